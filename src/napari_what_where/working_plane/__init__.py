"""The plane that is worked on: its size, its tiles, and its channels where they are made tile by tile."""
