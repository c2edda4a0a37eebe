"""The formats that label images are written in: one module a family, a row each in ``registry.py``."""
