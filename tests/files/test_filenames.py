"""Which files a folder offers, and what their results are called."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_what_where.files.export import output_paths
from napari_what_where.files.filenames import find_images, plan_stems
from napari_what_where.files.formats.registry import LABEL_FORMATS


def test_images_come_in_natural_order_without_what_is_none_or_ours(tmp_path):
    images = ["a1.png", "a2.PNG", "a10.tif", "b.jpeg", "c.npy", "labels.tif", "my_labels_2.tif"]
    others = [".hidden.png", "notes.txt", "a1.json", "a1_labels.tif", "a1_labels.png", "a1_objects.tif"]
    others += ["a1_objects.png", "a1_eigenvectors.tif", "movie.mp4", "a1_labels.ome.tif", "a1_labels_indexed.png"]
    others += ["a1_objects_colour.png", "a1_labels.npy", "a1_labels.geojson"]
    for name in random.Random(0).sample(images + others, len(images + others)):
        (tmp_path / name).touch()
    (tmp_path / "folder.png").mkdir()
    assert [path.name for path in find_images(tmp_path)] == images


def test_no_folder_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        find_images(tmp_path / "missing")


STEMS = ["x", "x-2", "X", "x_labels", "x_objects", "x_labels_coco", "labels_coco", "y"]


@given(st.lists(st.sampled_from(STEMS), min_size=1, max_size=8), st.booleans())
def test_results_never_meet_each_other_nor_an_image(stems, objects):
    formats = tuple(LABEL_FORMATS)
    images = [f"out/{stem}.tif" if number % 2 else f"{number}/{stem}.png" for number, stem in enumerate(stems)]
    written = [
        path
        for _, stem in plan_stems(images, "out", formats, objects=objects, reserved=["labels_coco.json"])
        for path in output_paths("out", stem, formats, objects=objects)
    ]
    lower = [str(path).casefold() for path in [*written, "out/labels_coco.json"]]
    assert len(set(lower)) == len(lower)
    assert not set(map(Path, images)) & set(written)
