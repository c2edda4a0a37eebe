"""Several label images together: what the joined file says of their images."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from napari_what_where.files.formats.types import LabelImage
from napari_what_where.files.many import JOINED, Export, export_all

PLANE = np.pad(np.ones((3, 4), np.int32), 2)


def export(stem: str, path: str | None, name: str = "cells.tif") -> Export:
    given = LabelImage(PLANE, axes="YX", image_name=name if path is None else Path(path).name, name=stem)
    return Export(stem, given, image_path=None if path is None else Path(path))


@pytest.mark.parametrize(
    ("paths", "names", "of"),
    [
        (["/a/one/cells.tif", "/a/two/cells.tif"], ["one/cells.tif", "two/cells.tif"], [1, 2]),
        (["/a/one/cells.tif", "/a/one/cells.tif"], ["cells.tif"], [1, 1]),
        (["/a/one/cells.tif", "/a/two/cells.tif", "/a/one/cells.tif"], ["one/cells.tif", "two/cells.tif"], [1, 2, 1]),
        (["/a/cells.tif", None], ["cells.tif", "other"], [1, 2]),
        ([None, None], ["other"], [1, 1]),
    ],
)
def test_images_of_one_name_in_different_folders_stay_apart(tmp_path, paths, names, of):
    exports = [export(f"labels{number}", path, "other") for number, path in enumerate(paths)]
    export_all(exports, tmp_path, ["coco"])
    data = json.loads((tmp_path / f"{JOINED}_coco.json").read_text())
    assert [image["file_name"] for image in data["images"]] == names
    assert [each["image_id"] for each in data["annotations"]] == of
