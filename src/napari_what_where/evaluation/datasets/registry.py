"""The layouts that can be evaluated, by name; nothing heavy is imported before one is read."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_what_where.evaluation.datasets.types import DataSet

_READERS = {
    "bsds500": ("bsds", "read_bsds500"),
    "voc": ("voc", "read_voc"),
    "coco": ("coco", "read_coco"),
    "coco-stuff": ("coco", "read_coco_stuff"),
    "cityscapes": ("cityscapes", "read_cityscapes"),
    "folder": ("folder", "read_folder"),
}
DATASETS = tuple(_READERS)


def read_dataset(name: str, folder: str | Path, **options: Any) -> DataSet:
    """Read the listing of a data set; ``options`` are its reader's (``split``; for a folder see ``read_folder``).

    Raises ``LayoutError``, a ``ValueError``, that says what was expected and what was found; ``ValueError`` for an
    unknown name or two images of one name. Cost: a listing of folders; COCO's annotations are read as a whole.
    """
    if name not in _READERS:
        raise ValueError(f"The data set is {name!r}; expected one of {', '.join(DATASETS)}.")
    module, function = _READERS[name]
    reader = getattr(import_module(f"napari_what_where.evaluation.datasets.{module}"), function)
    dataset: DataSet = reader(Path(folder), **options)
    # On some disks names that differ in case alone are one, and results are files of these names.
    seen: set[str] = set()
    for sample in dataset.samples:
        if sample.name.casefold() in seen:
            raise ValueError(f"{folder} has two images called {sample.name}; expected names that are unique.")
        seen.add(sample.name.casefold())
    return dataset
