"""The dock widget: the only place that knows napari and Qt."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={"dock": ["WhatWhereDock"]})
