"""The dock that analyses many images as one: a stack, several layers, a folder of files."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={"dock": ["CollectionDock"]})
