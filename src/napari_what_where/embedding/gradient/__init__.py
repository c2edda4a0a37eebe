"""The paper's per-image optimisation, by gradient descent: the reference for the exact solver."""
