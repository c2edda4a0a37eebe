"""The dock that writes Labels layers in every format."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={"dock": ["ExportDock"]})
