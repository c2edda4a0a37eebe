"""Pretrained models on disk, and downloading them, in the hub's own cache: shared with other programs.

Nothing here imports huggingface_hub, which a child process does when something is downloaded.
"""

from napari_what_where.activations.hub.cache import cache_folder, find_on_disk
from napari_what_where.activations.hub.download import download_model
from napari_what_where.activations.hub.types import ModelOnDisk, ModelUnavailable, is_offline

__all__ = ["ModelOnDisk", "ModelUnavailable", "cache_folder", "download_model", "find_on_disk", "is_offline"]
