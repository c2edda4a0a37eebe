"""Refining labels by hand, ours or anyone's, with the region tree and the embedding of the image as a guide."""
