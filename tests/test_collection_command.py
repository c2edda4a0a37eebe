"""``what-where collection`` as a user runs it: what is said, where, and with which status."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from napari_what_where import cli
from napari_what_where.activations.filters import FiltersBackbone
from napari_what_where.collection import folder as folder_module
from napari_what_where.collection.folder import CollectionSettings
from napari_what_where.progress import Progress


@pytest.fixture
def folder(tmp_path, rng) -> Path:
    """Two small images of two tones and noise."""
    (tmp_path / "slides").mkdir()
    for number in range(2):
        pixels = rng.integers(0, 60, (24, 32), dtype=np.uint8)
        pixels[:, 16:] += 150
        Image.fromarray(pixels).save(tmp_path / "slides" / f"image{number}.png")
    return tmp_path / "slides"


def run(*words: object) -> int:
    return cli.main(["collection", *map(str, words)])


def test_a_folder_becomes_labels_and_a_page(folder, capsys):
    out = folder.parent / "out"
    assert run(folder, "--out", out, "--count", 4, "--clusters", 2, "--format", "png,tiff") == 0
    told, complaints = capsys.readouterr()
    assert told.splitlines() == [
        f"{folder}/image0.png -> {out}/image0_labels.png (2 kinds)",
        f"{folder}/image1.png -> {out}/image1_labels.png (2 kinds)",
        f"report: {out}/report.html",
    ]
    assert complaints == ""
    page = (out / "report.html").read_text()
    assert "slides: what is the same across 2 images" in page
    assert "kinds as png" in page
    assert json.loads((out / "collection.json").read_text())["options"]["count"] == 4
    assert run(folder, "--out", out, "--count", 4, "--clusters", 2, "--format", "png,tiff") == 0
    assert capsys.readouterr().out.count("done before, with the same settings") == 2
    assert run(folder, "--out", out, "--count", 4, "--clusters", 2, "--format", "png,tiff", "--restart") == 0
    assert "done before" not in capsys.readouterr().out


def test_results_in_the_folder_itself_are_no_images_of_the_next_run(folder, capsys):
    for _ in range(2):
        assert run(folder, "--out", folder, "--count", 3, "--clusters", 2) == 0
    assert capsys.readouterr().out.count("done before") == 2


def test_a_failing_image_is_one_line_and_status_1(folder, capsys):
    (folder / "image2.png").write_text("no image")
    assert run(folder, "--out", folder / "out", "--count", 3, "--clusters", 2) == 1
    told, complaints = capsys.readouterr()
    assert len(told.splitlines()) == 3
    (line,) = complaints.splitlines()
    assert line.startswith(f"what-where: {folder}/image2.png: is no image that can be read here; expected")


@pytest.mark.parametrize("what", ["nothing", "an empty folder", "a model that is none", "a file for a folder"])
def test_what_concerns_all_images_is_one_line_and_status_1(folder, capsys, what):
    (folder / "empty").mkdir()
    place = {"nothing": folder / "none", "an empty folder": folder / "empty"}.get(what, folder)
    out = folder / "image0.png" if what == "a file for a folder" else folder / "out"
    backbone = "nonesuch" if what == "a model that is none" else "filters"
    assert run(place, "--out", out, "--backbone", backbone) == 1
    told, complaints = capsys.readouterr()
    assert told == ""
    expected = {
        "nothing": "there is no such file",
        "an empty folder": "holds no images",
        "a model that is none": "'nonesuch'; expected one of",
        "a file for a folder": "is a file; expected a folder",
    }[what]
    assert expected in complaints.splitlines()[-1]


@pytest.mark.parametrize(
    "wrong", [["--segments", "3"], ["--clusters", "0"], ["--format", "jpeg"], ["--method", "magic"], ["--count", "few"]]
)
def test_wrong_usage_is_status_2(folder, capsys, wrong):
    with pytest.raises(SystemExit) as stopped:
        run(folder, "--out", folder / "out", *wrong)
    assert stopped.value.code == 2
    assert not (folder / "out").exists()


def test_every_option_arrives(folder, monkeypatch):
    asked = {}

    def keep(files, out, settings, **options):
        asked.update(files=files, out=out, settings=settings, **options)
        return folder_module.CollectionResult([], Path("page"), Path("record"), 1)

    monkeypatch.setattr(folder_module, "run_collection", keep)
    first, second = folder / "image1.png", folder
    words = [
        "--backbone=built-in",
        "--pathway=both",
        "--count=7",
        "--clusters=auto",
        "--method=gradient",
        "--device=cpu",
        "--seed=3",
        "--no-edges",
        "--smallest-object=12",
        "--format=png,coco",
        "--resolution=64",
        "--title=ours",
        "--restart",
    ]
    assert run(first, second, "--out", "there", *words) == 0
    assert asked["settings"] == CollectionSettings(
        backbone="built-in",
        backbone_options={"resolution": 64},
        pathway="both",
        count=7,
        clusters="auto",
        method="gradient",
        device="cpu",
        follow_edges=False,
        seed=3,
        smallest_object=12.0,
        formats=("png", "coco"),
    )
    assert asked["files"] == [first, folder / "image0.png", first]
    assert (asked["out"], asked["title"], asked["resume"]) == ("there", "ours", False)


def test_an_interruption_is_status_130_and_the_next_run_goes_on(folder, capsys, monkeypatch):
    whole = folder_module.run_collection

    def interrupted(*args, report, **options):
        def tell(progress: Progress) -> None:
            report(progress)
            if progress.stage == "labels":
                raise KeyboardInterrupt

        return whole(*args, report=tell, **options)

    with monkeypatch.context() as within:
        within.setattr(folder_module, "run_collection", interrupted)
        assert run(folder, "--out", folder / "out", "--count", 3, "--clusters", 2) == 130
    assert "interrupted" in capsys.readouterr().err
    monkeypatch.setattr(FiltersBackbone, "visit", lambda *args, **options: 1 / 0)  # what it gave is there
    assert run(folder, "--out", folder / "out", "--count", 3, "--clusters", 2) == 0


def test_another_number_of_kinds_takes_no_model(folder, capsys, monkeypatch):
    out = folder.parent / "out"
    assert run(folder, "--out", out, "--count", 3, "--clusters", 3) == 0
    assert run(folder, "--out", folder.parent / "fresh", "--count", 3, "--clusters", 2) == 0
    monkeypatch.setattr(FiltersBackbone, "visit", lambda *args, **options: 1 / 0)
    assert run(folder, "--out", out, "--count", 3, "--clusters", 2) == 0
    for name in ("image0_labels.tif", "image1_labels.tif"):
        assert (out / name).read_bytes() == (folder.parent / "fresh" / name).read_bytes()
