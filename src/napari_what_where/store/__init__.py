"""Activations kept on disk, so that no change of what follows them repeats a forward pass."""
