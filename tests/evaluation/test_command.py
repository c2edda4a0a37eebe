"""``what-where evaluate``: what it prints, writes and exits with."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import tifffile
from scipy.io import savemat

from napari_what_where import cli

from . import layouts
from .layouts import NAMES, objects


@pytest.fixture
def data(tmp_path):
    return layouts.write_folder(tmp_path / "data")


@pytest.fixture
def evaluate(tmp_path):
    def run(*arguments: object) -> int:
        return cli.main(["evaluate", *map(str, arguments), "--out", str(tmp_path / "out"), "--count", "4"])

    return run


def test_our_segmentations_are_measured_and_the_figures_written(data, evaluate, tmp_path, capsys):
    assert evaluate("folder", data, "--measures", "regions,boundaries") == 0
    said = capsys.readouterr()
    assert said.err == ""
    assert "2 images measured\n" in said.out
    assert "ODS | at scale |" in said.out
    assert "| auto segments |" in said.out
    result = json.loads((tmp_path / "out/evaluation.json").read_text())
    assert result["summary"]["covering"].keys() == {"chosen", "ODS", "ODS scale", "OIS"}
    assert 0.5 < result["summary"]["covering"]["ODS"] <= result["summary"]["covering"]["OIS"] <= 1
    assert result["images"].keys() == set(NAMES)
    assert result["segmentations"]["backbone"] == "filters"
    assert {"python", "numpy", "napari-what-where"} <= result["environment"].keys()
    assert said.out.splitlines()[1] in (tmp_path / "out/evaluation.md").read_text()


def test_our_objects_are_measured_where_the_truth_has_objects(data, evaluate, capsys):
    pytest.importorskip("pycocotools")
    assert evaluate("folder", data) == 0
    rows = [line.split("|")[1].strip() for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    assert {"covering", "AP (COCO)", "DSB score@0.5"} <= set(rows)


def test_a_repetition_takes_over_what_there_is(data, evaluate, capsys):
    arguments = ("folder", data, "--measures", "regions")
    assert evaluate(*arguments, "--limit", 1) == evaluate(*arguments) == 0
    assert "2 images measured, 1 of them taken over from an earlier run" in capsys.readouterr().out
    assert evaluate(*arguments, "--segments", 3) == 0
    said = capsys.readouterr().out
    assert "2 images measured\n" in said
    assert "| 3 segments |" in said


def test_label_images_of_others_are_measured_by_the_same_code(data, evaluate, tmp_path, capsys):
    pytest.importorskip("pycocotools")
    for name in NAMES:
        layouts.save(tmp_path / "theirs" / f"{name}.png", objects())
    assert evaluate("folder", data, "--labels", tmp_path / "theirs") == 0
    said = capsys.readouterr().out
    rows = {row.split("|")[1].strip(): row.split("|")[2].strip() for row in said.splitlines() if row.startswith("|")}
    assert rows["measure"] == "as given"
    assert [rows[name] for name in ("covering", "AP@0.5 (COCO)", "DSB score@0.5")] == ["1.000"] * 3


def test_contour_maps_are_swept(evaluate, tmp_path, capsys):
    root = layouts.write_bsds500(tmp_path / "bsds")
    maps = tmp_path / "ucm2"
    maps.mkdir()
    for name in NAMES:
        ucm = np.zeros((49, 73))
        ucm[:, 36] = 0.5
        savemat(maps / f"{name}.mat", {"ucm2": ucm})
    assert evaluate("bsds500", root, "--ucm", maps) == 0
    assert "| measure                    |   ODS | at scale |   OIS |" in capsys.readouterr().out


def test_a_bad_image_is_one_line_and_exit_status_1(data, evaluate, tmp_path, capsys):
    (data / "first.png").write_text("no image")
    assert evaluate("folder", data, "--measures", "regions") == 1
    said = capsys.readouterr()
    assert said.err == (
        "what-where: first: is no image that can be read here; expected TIFF, PNG, JPEG, BMP, WebP or NPY\n"
    )
    assert "1 images measured; 1 failed" in said.out
    assert json.loads((tmp_path / "out/evaluation.json").read_text())["failures"].keys() == {"first"}


def test_no_image_at_all_leaves_no_figures(data, evaluate, tmp_path, capsys):
    (tmp_path / "theirs").mkdir()
    assert evaluate("folder", data, "--labels", tmp_path / "theirs", "--measures", "regions") == 1
    assert len(capsys.readouterr().err.splitlines()) == 2
    assert not (tmp_path / "out/evaluation.json").exists()


def test_a_wrong_folder_is_one_line(evaluate, tmp_path, capsys):
    assert evaluate("voc", tmp_path) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "is not laid out as PASCAL VOC: expected JPEGImages/ID.jpg" in line


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--split", "val"], "--split does not go with the layout folder"),
        (["--limit", "0"], "--limit is 0; expected a whole number from 1 on"),
        (["--labels", "nowhere"], "nowhere is no folder; expected one with a file for each image"),
        (["--backbone", "nothing"], "nothing"),
        (["--measures", "classes"], "allow regions, boundaries, instances"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(arguments, complaint, data, evaluate, tmp_path, capsys):
    assert evaluate("folder", data, *arguments) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert complaint in line
    assert not (tmp_path / "out").exists()


def test_options_of_plain_folders_are_for_plain_folders(evaluate, tmp_path, capsys):
    assert evaluate("voc", tmp_path, "--masks-are", "classes") == 1
    assert "--masks-are does not go with the layout voc" in capsys.readouterr().err


def test_unknown_measures_are_wrong_usage(data, evaluate, capsys):
    with pytest.raises(SystemExit, match="2"):
        evaluate("folder", data, "--measures", "beauty")
    assert "received 'beauty'; expected some of regions, boundaries, classes, instances" in capsys.readouterr().err


def test_an_interruption_says_how_to_go_on(data, evaluate, tmp_path, capsys, monkeypatch):
    from napari_what_where.files import reading

    read = reading.read_image

    def interrupted(path):
        if "second" in str(path):
            raise KeyboardInterrupt
        return read(path)

    monkeypatch.setattr(reading, "read_image", interrupted)
    arguments = ("folder", data, "--measures", "regions", "--masks-are", "instances")
    tifffile.imwrite(data / "first_masks.tif", objects())
    assert evaluate(*arguments) == 130
    assert "is kept in" in capsys.readouterr().err
    monkeypatch.undo()
    assert evaluate(*arguments) == 0
    assert "1 of them taken over" in capsys.readouterr().out


def test_its_help_loads_nothing_heavy(tmp_path):
    code = (
        "import sys\nfrom napari_what_where.cli import main\n"
        "try: main(['evaluate', '--help'])\nexcept SystemExit: pass\nprint('LOADED', *sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True)
    help_text, _, loaded = done.stdout.partition("LOADED")
    assert "coco-stuff" in help_text
    assert not {"numpy", "torch", "scipy", "pycocotools", "tqdm"} & set(loaded.split())
