"""Neural networks as backbones: one way to run and watch them, and a thin adapter for each family."""
