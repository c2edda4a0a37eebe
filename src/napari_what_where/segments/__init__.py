"""Eigenvectors to labels: the region tree and what is built on it."""
