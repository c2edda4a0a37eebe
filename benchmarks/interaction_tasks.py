"""Images with one true segmentation each, for a simulated annotator: photographs, micrographs, generated scenes."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from training.pool import HELD_OUT
from training.scenes import make_scene

LEAST_SHARE = 0.0025
"""True regions of a smaller part of the image are not counted, nor drawn on."""
CROP, SCENE = 128, (192, 256)
BSDS_TUNING, SCENES_TUNING, SCENES = 20, 6, 18
MICROGRAPHS = (("nuclei.tif", "nuclei_masks.tif"), ("maize.tif", "maize_masks.tif"))
KINDS = ("photographs", "micrographs", "scenes")


class Task(NamedTuple):
    """``truth``: (rows, columns) int, labels 1 … n, 0 where a pixel does not count; ``tuning``: not measured on."""

    kind: str
    name: str
    image: np.ndarray
    truth: np.ndarray
    tuning: bool


def counted(regions: np.ndarray) -> np.ndarray:
    """Regions of at least ``LEAST_SHARE``, numbered from 1 in order of their numbers; 0 elsewhere."""
    _, index, areas = np.unique(regions, return_inverse=True, return_counts=True)
    large = areas >= LEAST_SHARE * regions.size
    return np.where(large, np.cumsum(large), 0)[index.reshape(regions.shape)]


def photographs(folder: Path) -> Iterator[Task]:
    """BSDS500's validation images by name, the first ones for tuning; of the annotators the one with the fewest
    regions, two at least.
    """
    from skimage.io import imread

    from napari_what_where.evaluation.datasets.bsds import read_bsds500

    for number, sample in enumerate(read_bsds500(folder).samples):
        several = [counted(each) for each in sample.read().segmentations or ()]
        several = [each for each in several if each.max() >= 2] or several
        truth = min(several, key=lambda each: int(each.max()))
        yield Task("photographs", sample.name, imread(sample.image), truth, number < BSDS_TUNING)


def micrographs(folder: Path) -> Iterator[Task]:
    """Windows of ``CROP`` pixels, every second to measure on, every fourth to tune on; what is no object is a region,
    too.
    """
    from tifffile import imread

    for image_name, masks_name in MICROGRAPHS:
        image, masks = imread(folder / image_name), imread(folder / masks_name)
        number = 0
        for top in range(0, image.shape[0] - CROP + 1, CROP):
            for left in range(0, image.shape[1] - CROP + 1, CROP):
                window = np.s_[top : top + CROP, left : left + CROP]
                truth = counted(masks[window])
                if truth.max() >= 2:
                    name = f"{Path(image_name).stem} {top},{left}"
                    if number % 4 != 2:
                        yield Task("micrographs", name, image[window], truth, number % 4 == 0)
                    number += 1


def scenes() -> Iterator[Task]:
    """Generated scenes that no model was trained on: leaves, landscapes and micrographs by turns."""
    for number in range(SCENES_TUNING + SCENES):
        kind = ("leaves", "landscape", "microscopy")[number % 3]
        scene = make_scene([HELD_OUT, number], size=SCENE, kind=kind)
        yield Task("scenes", f"{kind} {number}", scene.image, counted(scene.labels), number < SCENES_TUNING)
