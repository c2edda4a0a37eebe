"""What a run will take of time and memory, on this machine, and what would fit."""
