"""Many files with one set of settings: whatever stops a run, and wherever, another one completes it."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

import napari_what_where as ww
from napari_what_where import cli
from napari_what_where.batch import BatchSettings, FilePart, run_batch
from napari_what_where.files import export
from napari_what_where.files.reading import read_image
from napari_what_where.progress import Cancelled
from napari_what_where.segment_command import as_command

SETTINGS = BatchSettings(count=4, segments=3)


@pytest.fixture
def folder(tmp_path, rng) -> Path:
    """Three small images of two tones and noise."""
    for number in range(3):
        pixels = rng.integers(0, 60, (24, 32 + number), dtype=np.uint8)
        pixels[:, 16:] += 150
        Image.fromarray(pixels).save(tmp_path / f"image{number}.png")
    return tmp_path


def images(folder) -> list[Path]:
    return sorted(folder.glob("image*.png"))


def contents(out) -> dict[str, object]:
    """All files, without what may differ from run to run: times."""
    found: dict[str, object] = {}
    for path in sorted(Path(out).iterdir()):
        if path.suffix == ".json":
            found[path.name] = timeless(json.loads(path.read_text()))
        else:
            found[path.name] = path.read_bytes()
    return found


def timeless(record: dict[str, object]) -> dict[str, object]:
    kept = {key: value for key, value in record.items() if key not in ("seconds", "made_at")}
    return kept | ({"planes": [timeless(plane) for plane in kept["planes"]]} if "planes" in kept else {})


def statuses(results) -> list[str]:
    return [result.status for result in results]


def test_settings_survive_json():
    settings = replace(SETTINGS, formats=("png", "tiff"), smallest_object=7.5, segments="auto")
    assert BatchSettings(**json.loads(json.dumps(asdict(settings)))) == settings


@pytest.mark.parametrize(
    "wrong", [{"segments": 0}, {"segments": "many"}, {"smallest_object": -1.0}, {"formats": ("jpeg",)}]
)
def test_settings_that_are_none_are_refused(wrong):
    with pytest.raises(ValueError, match="expected"):
        BatchSettings(**wrong)


def test_every_file_gets_what_analyze_gives(folder):
    seen = []
    results = run_batch(images(folder)[:2], folder / "out", replace(SETTINGS, objects=True), on_result=seen.append)
    assert results == seen
    assert statuses(results) == ["done"] * 2
    for path, result in zip(images(folder)[:2], results, strict=True):
        analysis = ww.analyze(read_image(path).pixels, count=4)
        np.testing.assert_array_equal(tifffile.imread(result.written[0]), analysis.tree.labels(3))
        np.testing.assert_array_equal(tifffile.imread(result.written[1]), ww.find_objects(analysis))
        assert all(each.is_file() for each in result.written)
        assert result.message.startswith("3 segments, ")


def test_a_second_run_does_nothing_and_a_third_all_of_it(folder):
    run_batch(images(folder), folder / "out", SETTINGS)
    before = {path: path.stat().st_mtime_ns for path in (folder / "out").iterdir()}
    assert statuses(run_batch(images(folder), folder / "out", SETTINGS)) == ["skipped"] * 3
    assert before == {path: path.stat().st_mtime_ns for path in (folder / "out").iterdir()}
    assert statuses(run_batch(images(folder), folder / "out", SETTINGS, resume=False)) == ["done"] * 3


@pytest.mark.parametrize(
    "change",
    [{"segments": 2}, {"seed": 1}, {"formats": ("png",)}, {"follow_edges": False}, {"normalization": "none"}],
)
def test_other_settings_are_done_anew(folder, change):
    first = images(folder)[:1]
    run_batch(first, folder / "out", SETTINGS)
    assert statuses(run_batch(first, folder / "out", replace(SETTINGS, **change))) == ["done"]


def test_another_image_of_the_same_name_date_and_size_is_done_anew(folder):
    path = folder / "a.npy"
    np.save(path, np.eye(24))
    stat = path.stat()
    run_batch([path], folder / "out", SETTINGS)
    np.save(path, np.eye(24)[::-1])
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert path.stat().st_size == stat.st_size
    assert statuses(run_batch([path], folder / "out", SETTINGS)) == ["done"]


@pytest.mark.parametrize("damage", ["missing labels", "no record", "half a record", "a record of something else"])
def test_results_that_are_not_all_there_are_done_anew(folder, damage):
    first, record = images(folder)[:1], folder / "out/image0.json"
    run_batch(first, folder / "out", SETTINGS)
    complete = contents(folder / "out")
    if damage == "missing labels":
        (folder / "out/image0_labels.tif").unlink()
    elif damage == "no record":
        record.unlink()
    else:
        record.write_text(record.read_text()[:100] if damage == "half a record" else "[]")
    assert statuses(run_batch(first, folder / "out", SETTINGS)) == ["done"]
    assert contents(folder / "out") == complete


def test_one_bad_image_never_stops_the_rest(folder):
    (folder / "image1.png").write_text("no image")
    results = run_batch([*images(folder), folder / "missing.png"], folder / "out", SETTINGS)
    assert statuses(results) == ["done", "failed", "done", "failed"]
    assert "no image that can be read" in results[1].message
    assert results[1].written == ()


def test_what_concerns_all_files_is_said_once(folder):
    for wrong in ({"backbone": "nonesuch"}, {"pathway": "where"}):
        with pytest.raises(ValueError, match="expected|cannot"):
            run_batch(images(folder), folder / "out", replace(SETTINGS, **wrong))
    with pytest.raises(FileExistsError):
        run_batch(images(folder), images(folder)[0], SETTINGS)


def test_stages_count_files_and_tell_what_goes_on_within(folder):
    stages = []
    run_batch(images(folder), folder / "out", SETTINGS, report=stages.append)
    assert [stage for stage in stages if stage.stage.count(":") == 0] == [
        (f"file {number + 1}/3 image{number}", number, 3) for number in range(3)
    ]
    assert any(stage.stage == "file 2/3 image1: segments" for stage in stages)


@pytest.mark.parametrize("after", [0, 1, 20, 60, 90])
def test_cancelled_anywhere_and_taken_up_again_it_is_as_if_never_stopped(folder, after):
    run_batch(images(folder), folder / "whole", SETTINGS)
    reports = iter(range(after))

    def stop(_: object) -> None:
        if next(reports, None) is None:
            raise Cancelled

    with pytest.raises(Cancelled):
        run_batch(images(folder), folder / "out", SETTINGS, report=stop)
    assert len(contents(folder / "out")) % 3 == 0
    run_batch(images(folder), folder / "out", SETTINGS)
    assert contents(folder / "out") == contents(folder / "whole")


@pytest.mark.skipif(sys.platform == "win32", reason="no POSIX signals")
@pytest.mark.parametrize("place", ["encoding.write_imagej", "os.replace"])
def test_killed_while_results_of_other_settings_are_replaced_it_completes(folder, place):
    """After the kill some files are of the new settings and some of the old: no record may vouch for them."""
    run_batch(images(folder), folder / "whole", SETTINGS)
    run_batch(images(folder), folder / "out", replace(SETTINGS, segments=2))
    code = (
        "import os, signal\nfrom napari_what_where.files import encoding, export\n"
        "from napari_what_where.files.formats import tiff\n"
        "from napari_what_where.batch import BatchSettings, run_batch\n"
        f"whole, calls = {place}, []\n"
        "def kill(*a, **k):\n    calls.append(1)\n    whole(*a, **k)\n"
        "    if len(calls) == 6: os.kill(os.getpid(), signal.SIGKILL)\n"
        f"{'export.write_imagej = tiff.write_imagej' if 'imagej' in place else place} = kill\n"
        f"run_batch({list(map(str, images(folder)))!r}, 'out', BatchSettings(**{asdict(SETTINGS)!r}))"
    )
    killed = subprocess.run([sys.executable, "-c", code], cwd=folder, check=False, timeout=100)
    assert killed.returncode == -signal.SIGKILL
    left = statuses(run_batch(images(folder), folder / "out", SETTINGS))
    assert left.count("done") >= 1
    assert contents(folder / "out") == contents(folder / "whole")


def test_a_disk_that_is_full_leaves_the_results_that_were_there(folder, monkeypatch):
    first = images(folder)[:1]
    run_batch(first, folder / "out", SETTINGS)
    before = contents(folder / "out")

    def fail(path: Path, *_: object, **__: object) -> None:
        Path(path).write_bytes(b"half")
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(export, "write_eigenvectors", fail)
    (result,) = run_batch(first, folder / "out", SETTINGS, resume=False)
    assert (result.status, result.message[:16]) == ("failed", "The disk is full")
    assert contents(folder / "out") == before


def test_a_failure_while_results_are_replaced_is_made_good(folder, monkeypatch):
    first = images(folder)[:1]
    run_batch(first, folder / "out", SETTINGS)
    complete, whole = contents(folder / "out"), os.replace

    def fail(source: object, target: object) -> None:
        if Path(str(target)).name == "image0_eigenvectors.tif":
            raise PermissionError(13, "Permission denied", str(source), None, str(target))
        whole(source, target)

    with monkeypatch.context() as within:
        within.setattr(os, "replace", fail)
        assert statuses(run_batch(first, folder / "out", replace(SETTINGS, segments=2))) == ["failed"]
    run_batch(first, folder / "out", SETTINGS)
    assert contents(folder / "out") == complete


@pytest.mark.skipif(sys.platform == "win32", reason="quotes for POSIX shells")
@pytest.mark.parametrize(
    ("settings", "select", "channel_axis"),
    [
        (SETTINGS, (0, slice(1, 3)), 0),
        (BatchSettings(count=5, follow_edges=False, seed=-3, objects=True), (-1, -2), None),
        (BatchSettings(count=3, normalization="none", formats=("tiff", "png")), (0, slice(None), slice(2, 22)), 0),
        (BatchSettings(count=3, segments=5), (1, 0, slice(None), slice(None, None, -1)), None),
    ],
)
def test_the_command_gives_the_same_bit_for_bit(tmp_path, rng, settings, select, channel_axis):
    stack = rng.integers(0, 9, (2, 3, 24, 32), dtype=np.uint16)
    stack[:, 1:, 5:15, 8:20] += 900
    path = tmp_path / "it's a stack; $HOME.tif"
    tifffile.imwrite(path, stack, imagej=True, metadata={"axes": "ZCYX"})
    command = as_command(path, settings, tmp_path / "out", FilePart(select, channel_axis))
    assert cli.main(shlex.split(command)[1:]) == 0
    part = stack[select]
    pixels = part if channel_axis is None else np.moveaxis(part, channel_axis, -1)
    options = settings.analyze_options()
    analysis = ww.analyze(pixels, **options)
    written = tifffile.imread(tmp_path / "out" / f"{path.stem}_labels.tif")
    np.testing.assert_array_equal(written, analysis.tree.labels(settings.segments))
    record = json.loads((tmp_path / "out" / f"{path.stem}.json").read_text())
    assert record["image"] == analysis.provenance["image"]


def test_the_command_of_a_name_with_a_dash_is_no_option(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(np.eye(24, dtype=np.uint8)).save("-dash.png")
    assert cli.main(shlex.split(as_command("-dash.png", SETTINGS, "-out"))[1:]) == 0
    assert (tmp_path / "-out/-dash_labels.tif").is_file()


@pytest.fixture
def volume(tmp_path, rng) -> Path:
    """A stack of three planes of two tones and noise."""
    planes = rng.integers(0, 60, (3, 24, 32), dtype=np.uint8)
    planes[:, :, 16:] += 150
    tifffile.imwrite(tmp_path / "volume.tif", planes, photometric="minisblack")
    return tmp_path / "volume.tif"


STACK = FilePart(plane_axis=0)


def test_a_second_run_of_a_stack_does_nothing(volume):
    settings, out = replace(SETTINGS, objects=True, linked=True), volume.parent / "out"
    (result,) = run_batch([volume], out, settings, part=STACK)
    assert result.status == "done"
    assert result.message.endswith(" objects, 3 planes")
    assert [path.name for path in result.written] == [
        "volume_labels.tif",
        "volume_objects.tif",
        "volume_eigenvectors.tif",
        "volume.json",
    ]
    assert {path.name for path in out.iterdir()} == {path.name for path in result.written}
    before = {path: path.stat().st_mtime_ns for path in out.iterdir()}
    assert statuses(run_batch([volume], out, settings, part=STACK)) == ["skipped"]
    assert before == {path: path.stat().st_mtime_ns for path in out.iterdir()}


@pytest.mark.parametrize(
    ("settings", "part"),
    [
        (replace(SETTINGS, linked=True), STACK),
        (replace(SETTINGS, segments=2), STACK),
        (SETTINGS, FilePart((slice(0, 2),), plane_axis=0)),
        (SETTINGS, FilePart(plane_axis=0, within=(((2.0, 2.0), (2.0, 20.0), (20.0, 2.0)),))),
        (SETTINGS, FilePart((0,))),
    ],
)
def test_another_part_or_numbering_of_a_stack_is_done_anew(volume, settings, part):
    run_batch([volume], volume.parent / "out", SETTINGS, part=STACK)
    assert statuses(run_batch([volume], volume.parent / "out", settings, part=part)) == ["done"]


@pytest.mark.parametrize("plane_axis", [None, 0])
def test_another_outline_in_the_same_window_is_done_anew(volume, plane_axis):
    corners = ((2.0, 2.0), (2.0, 20.0), (20.0, 2.0)), ((20.0, 20.0), (2.0, 20.0), (20.0, 2.0))
    first, second = (FilePart(None if plane_axis == 0 else (0,), None, plane_axis, (each,)) for each in corners)
    for part, expected in ((first, "done"), (first, "skipped"), (second, "done")):
        assert statuses(run_batch([volume], volume.parent / "out", SETTINGS, part=part)) == [expected]


def test_a_stack_of_which_one_plane_has_changed_is_done_anew(volume):
    run_batch([volume], volume.parent / "out", SETTINGS, part=STACK)
    planes = tifffile.imread(volume)
    planes[2, 3, 4] ^= 1
    tifffile.imwrite(volume, planes, photometric="minisblack")
    assert statuses(run_batch([volume], volume.parent / "out", SETTINGS, part=STACK)) == ["done"]


def test_a_stack_that_is_cancelled_leaves_nothing_and_is_completed(volume):
    run_batch([volume], volume.parent / "whole", SETTINGS, part=STACK)
    reports = iter(range(60))

    def stop(_: object) -> None:
        if next(reports, None) is None:
            raise Cancelled

    with pytest.raises(Cancelled):
        run_batch([volume], volume.parent / "out", SETTINGS, part=STACK, report=stop)
    assert contents(volume.parent / "out") == {}
    run_batch([volume], volume.parent / "out", SETTINGS, part=STACK)
    assert contents(volume.parent / "out") == contents(volume.parent / "whole")


def test_a_stack_is_no_png(volume):
    with pytest.raises(ValueError, match="a stack is written as tiff"):
        run_batch([volume], volume.parent / "out", replace(SETTINGS, formats=("png",)), part=STACK)


def test_the_record_of_a_part_says_where_it_lies(folder):
    first, corners = images(folder)[0], ((2.0, 3.0), (2.0, 20.0), (15.0, 3.0))
    (result,) = run_batch([first], folder / "out", SETTINGS, part=FilePart(within=(corners,)))
    record = json.loads(result.written[-1].read_text())
    assert record["window"] == {"rows": [2, 16], "columns": [3, 21]}
    assert record["request"]["within"] == ["2,3;2,20;15,3"]
    assert record["segments"]["edited"] is False
    labels = tifffile.imread(result.written[0])
    assert labels.shape == (14, 18)
    assert record["segments"]["found"] == np.unique(labels[labels > 0]).size
    assert result.message == f"{record['segments']['found']} segments"


def test_files_that_are_channels_give_one_image_and_are_not_replaced(tmp_path, rng):
    paths = [tmp_path / "a.tif", tmp_path / "a_labels.tif"]
    channels = rng.integers(0, 999, (2, 24, 32), dtype=np.uint16)
    for path, channel in zip(paths, channels, strict=True):
        tifffile.imwrite(path, channel)
    (result,) = run_batch([paths], tmp_path, SETTINGS)
    assert (result.path, result.status) == (paths[0], "done")
    assert result.written[0].name == "a-2_labels.tif"
    expected = ww.analyze(np.moveaxis(channels, 0, -1), count=4).tree.labels(3)
    np.testing.assert_array_equal(tifffile.imread(result.written[0]), expected)
    assert json.loads(result.written[-1].read_text())["source"] == "a.tif + a_labels.tif"
    assert statuses(run_batch([paths[::-1]], tmp_path / "out", SETTINGS)) == ["done"]
    with pytest.raises(ValueError, match="an image of no files"):
        run_batch([()], tmp_path, SETTINGS)


def test_images_of_one_name_are_several_in_the_joined_file(folder):
    files = []
    for number, place in enumerate(["left", "right/deep"]):
        (folder / place).mkdir(parents=True)
        files.append(folder / place / "image0.png")
        pixels = np.flip(np.asarray(Image.open(folder / "image0.png")), axis=number)
        Image.fromarray(np.ascontiguousarray(pixels)).save(files[-1])
    run_batch([*files, folder / "image1.png"], folder / "out", replace(SETTINGS, formats=("coco",)))
    data = json.loads((folder / "out" / "labels_coco.json").read_text())
    names = {each["id"]: each["file_name"] for each in data["images"]}
    assert list(names.values()) == ["left/image0.png", "right/deep/image0.png", "image1.png"]
    assert {each["image_id"] for each in data["annotations"]} == set(names)
