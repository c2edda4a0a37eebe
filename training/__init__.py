"""How the built-in model was made: scenes with known truth, and the training on them. Not part of the package."""
