"""The command's promises: names, one-line complaints, exit status, no half-written files."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image
from skimage.draw import polygon2mask

from napari_what_where import cli, demonstration, pipeline
from napari_what_where.files.filenames import plan_stems
from napari_what_where.pipeline import analyze
from napari_what_where.planes import analyze_planes, find_stack_objects
from napari_what_where.segments.stack import TreeStack


@pytest.fixture
def two_halves(tmp_path) -> Path:
    """A small image of two tones."""
    pixels = np.full((40, 60, 3), 40, np.uint8)
    pixels[:, 30:] = (220, 180, 60)
    Image.fromarray(pixels).save(tmp_path / "halves.png")
    return tmp_path / "halves.png"


def names_in(folder) -> list[str]:
    return sorted(path.name for path in Path(folder).iterdir())


def segment(*arguments: object) -> int:
    return cli.main(["segment", "--count", "4", *map(str, arguments)])


def test_segment_writes_labels_eigenvectors_and_provenance(two_halves, tmp_path, capsys):
    out = tmp_path / "new" / "out"
    assert segment(two_halves, "--out", out, "--segments", 2) == 0
    assert names_in(out) == ["halves.json", "halves_eigenvectors.tif", "halves_labels.tif"]
    labels = tifffile.imread(out / "halves_labels.tif")
    assert (labels.shape, labels.dtype) == ((40, 60), np.uint16)
    assert [np.unique(half).size for half in (labels[:, :29], labels[:, 31:])] == [1, 1]
    assert np.unique(labels).tolist() == [1, 2]
    assert tifffile.imread(out / "halves_eigenvectors.tif").shape[0] == 4
    record = json.loads((out / "halves.json").read_text())
    assert {"versions", "options", "seconds", "eigenvalues", "image", "segments"} <= record.keys()
    assert record["source"] == "halves.png"
    said = capsys.readouterr()
    assert "halves_labels.tif" in said.out
    assert said.err == ""  # no terminal: no progress bar


def test_formats_and_auto(two_halves, tmp_path):
    out = tmp_path / "out"
    assert segment(two_halves, "--out", out, "--format", "png,tiff") == 0
    tiff, png = tifffile.imread(out / "halves_labels.tif"), np.asarray(Image.open(out / "halves_labels.png"))
    np.testing.assert_array_equal(tiff, png)


def test_objects_are_written_when_asked_for(tmp_path):
    rows, columns = np.indices((60, 80))
    inside = np.hypot(rows % 30 - 15, columns % 40 - 20) < 9
    Image.fromarray((40 + 150 * inside).astype(np.uint8)).save(tmp_path / "discs.png")
    out = tmp_path / "out"
    assert segment(tmp_path / "discs.png", "--out", out, "--objects", "--format", "tiff,png") == 0
    objects = tifffile.imread(out / "discs_objects.tif")
    assert objects.max() == 4
    assert ((objects > 0) == inside).mean() > 0.98
    np.testing.assert_array_equal(objects, np.asarray(Image.open(out / "discs_objects.png")))
    assert json.loads((out / "discs.json").read_text())["objects"] == {"found": 4}


def test_objects_never_replace_an_image(tmp_path):
    images = [str(tmp_path / name) for name in ("a.png", "a_objects.tif")]
    assert plan_stems(images, str(tmp_path), ["tiff"], objects=True) == [
        (Path(images[0]), "a-2"),
        (Path(images[1]), "a_objects"),
    ]
    assert [stem for _, stem in plan_stems(images, str(tmp_path), ["tiff"])] == ["a", "a_objects"]


def test_labels_keep_the_size_of_a_pixel(tmp_path, rng):
    pixels = rng.integers(0, 4000, (40, 60), dtype=np.uint16)
    scale = {"axes": "YX", "unit": "um"}
    tifffile.imwrite(tmp_path / "a.tif", pixels, imagej=True, resolution=(4, 2), metadata=scale)
    assert segment(tmp_path / "a.tif", "--out", tmp_path / "out") == 0
    with tifffile.TiffFile(tmp_path / "out/a_labels.tif") as tiff:
        assert tiff.imagej_metadata["unit"] == "um"
        assert np.divide(*tiff.pages[0].tags["XResolution"].value) == pytest.approx(4)


def test_one_bad_image_does_not_stop_the_rest(two_halves, tmp_path, capsys):
    bad = tmp_path / "bad.png"
    bad.write_text("this is\nno image")
    tiny = tmp_path / "tiny.npy"
    np.save(tiny, np.full((3, 3), np.nan))
    missing = tmp_path / "missing.png"
    assert segment(bad, missing, tiny, two_halves, "--out", tmp_path / "out") == 1
    assert names_in(tmp_path / "out") == ["halves.json", "halves_eigenvectors.tif", "halves_labels.tif"]
    complaints = capsys.readouterr().err.splitlines()
    assert len(complaints) == 3
    for complaint, path in zip(complaints, (bad, missing, tiny), strict=True):
        assert complaint.startswith(f"what-where: {path}: ")


def test_an_unforeseen_error_is_one_line_too(two_halves, tmp_path, capsys, monkeypatch):
    def fail(*_: object, **__: object) -> None:
        raise KeyError("layer\n9")

    monkeypatch.setattr(pipeline, "analyze", fail)
    assert segment(two_halves, "--out", tmp_path / "out") == 1
    assert capsys.readouterr().err == f"what-where: {two_halves}: KeyError: 'layer\\n9'\n"


def test_one_stem_twice_becomes_two(two_halves, tmp_path):
    (tmp_path / "b").mkdir()
    Image.fromarray(np.full((24, 32), 90, np.uint8)).save(tmp_path / "b/halves.tif")
    out = tmp_path / "out"
    assert segment(two_halves, tmp_path / "b/halves.tif", "--out", out) == 0
    assert tifffile.imread(out / "halves_labels.tif").shape == (40, 60)
    assert tifffile.imread(out / "halves-2_labels.tif").shape == (24, 32)
    assert names_in(out)[:2] == ["halves-2.json", "halves-2_eigenvectors.tif"]


@pytest.mark.parametrize(
    ("images", "stems"),
    [
        (["a/x.png", "b/x.tif", "c/x.jpg"], ["x", "x-2", "x-3"]),
        (["x-2.png", "x.png", "d/x.png"], ["x-2", "x", "x-3"]),
        (["x.png", "d/x.png", "x-2.png"], ["x", "x-2", "x-2-2"]),
        (["a/X.png", "a/x.png"], ["X", "x-2"]),
        (["out/x.png", "out/x_labels.tif"], ["x-2", "x_labels"]),
        (["a.ome.tif"], ["a.ome"]),
    ],
)
def test_stems_never_meet_nor_replace_an_image(images, stems):
    assert [stem for _, stem in plan_stems(images, "out", ("tiff",))] == stems


def test_a_second_run_replaces_the_first(two_halves, tmp_path):
    for segments in (2, 3):
        assert segment(two_halves, "--out", tmp_path / "out", "--segments", segments) == 0
    assert len(names_in(tmp_path / "out")) == 3
    assert json.loads((tmp_path / "out/halves.json").read_text())["segments"]["asked"] == 3


def test_resume_keeps_what_is_there(two_halves, tmp_path, capsys):
    for flag, says in (([], " s)"), (["--resume"], "done before"), (["--resume", "--seed", "3"], " s)")):
        assert segment(two_halves, "--out", tmp_path / "out", *flag) == 0
        assert says in capsys.readouterr().out


def test_a_plane_of_a_stack_is_segmented_on_its_own(tmp_path, rng):
    stack = rng.integers(0, 99, (5, 24, 32), dtype=np.uint8)
    stack[1, :, 16:] += 150
    tifffile.imwrite(tmp_path / "a.tif", stack)
    assert segment(tmp_path / "a.tif", "--out", tmp_path / "whole") == 1
    assert segment(tmp_path / "a.tif", "--out", tmp_path / "out", "--select", "1,:,4:", "--no-edges") == 0
    labels = tifffile.imread(tmp_path / "out/a_labels.tif")
    np.testing.assert_array_equal(labels, analyze(stack[1, :, 4:], count=4, follow_edges=False).tree.labels())


@pytest.mark.parametrize("linked", [True, False])
def test_every_plane_of_a_stack_is_segmented_at_one_scale(tmp_path, rng, linked):
    stack = rng.integers(0, 99, (3, 2, 24, 32), dtype=np.uint16)
    stack[:, 0, :, 16:] += 150
    stack[2] *= 2
    tifffile.imwrite(tmp_path / "a.tif", stack, imagej=True, metadata={"axes": "ZCYX", "unit": "um", "spacing": 2.0})
    flags = ["--linked"] if linked else []
    inside = "--within=2,2;2,28;20,28;12,2"
    arguments = ["--planes", 0, "--channel-axis", "1", "--segments", 3, "--objects", inside, *flags]
    assert segment(tmp_path / "a.tif", "--out", tmp_path / "out", *arguments) == 0
    planes = np.moveaxis(stack, 1, -1)[:, 2:21, 2:29]
    outline = polygon2mask((19, 27), np.array([(0, 0), (0, 26), (18, 26), (10, 0)]))
    analyses = analyze_planes(planes, count=4)
    labels = TreeStack([analysis.tree for analysis in analyses], linked=linked).labels(3)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "out/a_labels.tif"), labels * outline)
    objects = find_stack_objects(analyses, linked=linked, outline=outline)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "out/a_objects.tif"), objects)
    record = json.loads((tmp_path / "out/a.json").read_text())
    assert record["linked"] is linked
    assert record["segments"] == {"asked": 3, "edited": False, "found": np.unique(labels * outline).size - 1}
    assert record["objects"] == {"found": np.unique(objects[objects > 0]).size}
    assert [plane["image"] for plane in record["planes"]] == [each.provenance["image"] for each in analyses]


def test_labels_of_a_stack_keep_the_size_of_a_pixel(tmp_path, rng):
    stack = rng.integers(0, 99, (2, 24, 32), dtype=np.uint16)
    metadata = {"axes": "ZYX", "unit": "um", "spacing": 2.0}
    tifffile.imwrite(tmp_path / "a.tif", stack, imagej=True, resolution=(4, 2), metadata=metadata)
    assert segment(tmp_path / "a.tif", "--out", tmp_path / "out", "--planes", 0) == 0
    with tifffile.TiffFile(tmp_path / "out/a_labels.tif") as tiff:
        assert (tiff.imagej_metadata["unit"], tiff.imagej_metadata["spacing"]) == ("um", 2)
        assert np.divide(*tiff.pages[0].tags["XResolution"].value) == pytest.approx(4)
        assert tiff.series[0].axes == "ZYX"


def test_files_as_channels_are_one_image(two_halves, tmp_path, capsys):
    other = tmp_path / "other.png"
    red, green, _ = Image.open(two_halves).split()
    red.save(two_halves)
    green.save(other)
    assert segment(two_halves, other, "--as-channels", "--out", tmp_path / "out", "--resume") == 0
    assert capsys.readouterr().out.startswith(f"{two_halves} + {other} -> {tmp_path / 'out' / 'halves_labels.tif'}")
    assert names_in(tmp_path / "out") == ["halves.json", "halves_eigenvectors.tif", "halves_labels.tif"]
    assert json.loads((tmp_path / "out/halves.json").read_text())["image"]["shape"] == [40, 60, 2]
    assert segment(two_halves, other, "--as-channels", "--out", tmp_path / "out", "--resume") == 0
    assert "done before" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--backbone", "nonesuch"], "'nonesuch'.*'filters'"),
        (["--pathway", "where"], "'filters' cannot give pathway 'where'"),
        (["--device", "mps"], "machine does not have"),
    ],
)
def test_what_is_not_available_is_one_line(two_halves, tmp_path, capsys, arguments, says):
    if "mps" in arguments and sys.platform == "darwin":
        pytest.skip("this machine may have it")
    assert segment(two_halves, two_halves, "--out", tmp_path / "out", *arguments) == 1
    (complaint,) = capsys.readouterr().err.splitlines()
    assert complaint.startswith("what-where: ")
    assert re.search(says, complaint)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["segment"],
        ["segment", "a.png"],
        ["segment", "a.png", "--out", "x", "--segments", "0"],
        ["segment", "a.png", "--out", "x", "--segments", "many"],
        ["segment", "a.png", "--out", "x", "--count", "-1"],
        ["segment", "a.png", "--out", "x", "--format", "jpeg"],
        ["segment", "a.png", "--out", "x", "--pathway", "why"],
        ["segment", "a.png", "--out", "x", "--select", "3,x"],
        ["segment", "a.png", "--out", "x", "--smallest-object", "0"],
        ["segment", "a.png", "--out", "x", "--normalization", "rows"],
        ["segment", "a.png", "--out", "x", "--within", "1,2;3,4"],
        ["segment", "a.png", "--out", "x", "--linked"],
        ["segment", "a.png", "--out", "x", "--planes", "0", "--format", "png"],
        ["segment", "a.png", "--out", "x", "--as-channels"],
        ["segment", "a.png", "b.png", "--out", "x", "--as-channels", "--channel-axis", "0"],
    ],
)
def test_wrong_usage_ends_with_status_2(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == 2
    assert "usage: what-where" in capsys.readouterr().err


def test_an_out_that_is_a_file_is_one_line(two_halves, capsys):
    assert segment(two_halves, "--out", two_halves) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_warnings_are_one_line(tmp_path, capsys):
    Image.fromarray(np.full((24, 32), 90, np.uint8)).save(tmp_path / "even.png")
    assert segment(tmp_path / "even.png", "--out", tmp_path / "out") == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("what-where: warning: The image is constant")


def test_progress_is_drawn_on_a_terminal_only(two_halves, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert segment(two_halves, "--out", tmp_path / "out") == 0
    drawn = capsys.readouterr().err
    assert "halves: " in drawn
    assert "\r" in drawn


@pytest.mark.skipif(sys.platform == "win32", reason="no POSIX signals")
def test_ctrl_c_leaves_no_traceback_and_no_half_written_file(two_halves, tmp_path):
    code = (
        # As at a terminal: a program that was started in the background ignores Ctrl-C, and so do its children.
        "import signal, sys\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from napari_what_where import cli\nfrom napari_what_where.files import export\n"
        "write = export.write_eigenvectors\n"
        "def slow(*a, **k):\n    write(*a, **k)\n    print('WRITING', flush=True)\n    import time; time.sleep(60)\n"
        "export.write_eigenvectors = slow\n"
        f"sys.exit(cli.main(['segment', {str(two_halves)!r}, '--out', 'out', '--count', '4']))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=tmp_path, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout.readline() == "WRITING\n"
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        _, complaint = process.communicate(timeout=60)
    assert process.returncode == 130
    assert complaint == "what-where: interrupted\n"
    assert names_in(tmp_path / "out") == []


def test_backbones_are_listed_with_what_one_wants_to_know(capsys):
    assert cli.main(["backbones"]) == 0
    header, *rows = capsys.readouterr().out.splitlines()
    assert header.split()[:5] == ["NAME", "STATUS", "SIZE", "PATHWAYS", "LICENCE"]
    assert any(row.startswith("filters ") and "ready" in row and "BSD-3-Clause" in row for row in rows)


def test_a_reader_that_leaves_early_is_no_traceback(tmp_path):
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "napari_what_where.cli", "backbones"]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, cwd=tmp_path)
    os.close(writing)
    assert done.stderr == ""


def test_demo_without_a_window_writes_pictures_and_masks(tmp_path, capsys):
    assert cli.main(["demo", "--no-gui", "--out", str(tmp_path / "demo")]) == 0
    names = names_in(tmp_path / "demo")
    assert len(names) == 8
    said = capsys.readouterr().out
    assert str(tmp_path / "demo") in said
    assert all(name in said for name in names)
    overlay = np.asarray(Image.open(tmp_path / "demo/coffee_overlay.png"))
    image = np.asarray(Image.open(tmp_path / "demo/coffee_input.png"))
    assert overlay.shape == image.shape == (400, 600, 3)
    assert 0.005 < np.any(overlay != image, axis=2).mean() < 0.2


def test_demo_says_why_there_is_no_window(monkeypatch):
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    assert demonstration.why_no_window() == "there is no display"
    monkeypatch.setenv("DISPLAY", ":9999")
    monkeypatch.setenv("QT_QPA_PLATFORM", "xcb")
    assert demonstration.why_no_window() == "Qt cannot open a window on the display"
