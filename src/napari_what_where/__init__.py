"""What a pretrained vision model knows about the structure of your image.

Every name below loads on first use; nothing heavy is imported before.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
