"""Quality figures of segmentations against ground truth on the user's own disk."""
