"""BSDS500: Arbelaez, Maire, Fowlkes & Malik, TPAMI 2011. Several annotators' segmentations of each photograph."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from napari_what_where.evaluation.datasets.files import files_in, not_laid_out
from napari_what_where.evaluation.datasets.types import DataSet, Sample, Truth

EXPECTED = "data/images/SPLIT/ID.jpg and data/groundTruth/SPLIT/ID.mat"
DEFAULT_SPLIT = "val"


def read_bsds500(folder: Path, split: str = DEFAULT_SPLIT) -> DataSet:
    """The images of a split in order of their names; ``LayoutError`` where there are none."""
    data = folder / "data"
    images, truths = data / "images" / split, data / "groundTruth" / split
    paths = files_in(images, (".jpg",))
    if not paths or not truths.is_dir():
        raise not_laid_out(folder, "BSDS500", f"{EXPECTED}, with SPLIT {split}", truths if paths else images)
    samples = []
    for path in paths:
        truth = truths / f"{path.stem}.mat"
        samples.append(Sample(path.stem, path, (truth,), partial(read_annotators, truth)))
    return DataSet("bsds500", samples, ("regions", "boundaries"), ("regions", "boundaries"))


def read_annotators(path: Path) -> Truth:
    """The segmentations in one of the data set's .mat files, a cell array ``groundTruth`` of annotators."""
    from scipy.io import loadmat

    if not path.exists():
        raise FileNotFoundError(f"there is no ground truth {path.name}")
    content = loadmat(path)
    if "groundTruth" not in content:
        raise ValueError(f"{path.name} holds no groundTruth; expected a cell array with one entry an annotator.")
    cells = content["groundTruth"].ravel()
    return Truth(segmentations=[cell["Segmentation"][0, 0].astype(np.int64) for cell in cells])
