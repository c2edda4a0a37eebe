"""The Refine dock: correct any Labels layer, with what a model knows of the image below it."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={"dock": ["RefineDock"]})
