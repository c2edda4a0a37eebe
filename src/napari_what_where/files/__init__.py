"""Files in and out: encoding, export, reading, names, pictures, and what is kept for after a crash."""
