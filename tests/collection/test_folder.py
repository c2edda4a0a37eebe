"""A folder of files analysed together: whatever stops a run, and wherever, another one completes it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from napari_what_where.activations.filters import FiltersBackbone
from napari_what_where.collection import folder as folder_module
from napari_what_where.collection import outputs
from napari_what_where.collection.answer import CollectionAnalysis
from napari_what_where.collection.earlier import names_in
from napari_what_where.collection.folder import WORKING, CollectionSettings, run_collection
from napari_what_where.collection.report.colours import label_colours
from napari_what_where.failures import Explained
from napari_what_where.files.reading import read_image
from napari_what_where.progress import Cancelled

SETTINGS = CollectionSettings(count=4, clusters=3)


@pytest.fixture
def folder(tmp_path, rng) -> Path:
    """Three small images of two tones and noise, of different sizes."""
    for number in range(3):
        pixels = rng.integers(0, 60, (24, 32 + number), dtype=np.uint8)
        pixels[:, 12 + number :] += 150
        Image.fromarray(pixels).save(tmp_path / f"image{number}.png")
    return tmp_path


def images(folder) -> list[Path]:
    return sorted(folder.glob("image*.png"))


def contents(out: Path) -> dict[str, object]:
    """All files, without what may differ from run to run: times."""
    return {str(path.relative_to(out)): _content(path) for path in sorted(out.rglob("*")) if path.is_file()}


def _content(path: Path) -> object:
    if path.suffix == ".json":
        return outputs.timeless(json.loads(path.read_text()))
    if path.suffix == ".html":
        return re.sub(r'<p class="made">.*?</p>', "", path.read_text())
    if path.suffix == ".pt":
        state = torch.load(path, weights_only=True)
        return repr({**_listed(state), "provenance": outputs.timeless(state.get("provenance", {}))})
    return path.read_bytes()


def _listed(value):
    if isinstance(value, dict):
        return {key: _listed(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_listed(each) for each in value]
    return value.tolist() if isinstance(value, torch.Tensor) else value


def statuses(found) -> list[str]:
    return [result.status for result in found.images]


@pytest.fixture
def calls(monkeypatch) -> list[int]:
    """One entry for each time that the backbone sees an image."""
    seen, whole = [], FiltersBackbone.visit

    def visit(self, image, *args, **options):
        seen.append(1)
        return whole(self, image, *args, **options)

    monkeypatch.setattr(FiltersBackbone, "visit", visit)
    return seen


def test_labels_mean_the_same_in_all_images_and_everything_is_written(folder, calls):
    seen = []
    found = run_collection(images(folder), folder / "out", SETTINGS, on_result=seen.append)
    assert found.images == seen
    assert statuses(found) == ["done"] * 3
    assert len(calls) == 3
    names = {each.name for each in (folder / "out").iterdir()} - {WORKING}
    ends = ("labels.tif", "eigenvectors.tif")
    each = {f"image{number}_{end}" for number in range(3) for end in ends} | {
        f"image{number}.json" for number in range(3)
    }
    assert names == each | {"collection.json", "report.html", "report_files", "projection.pt"}
    bright = []
    for path, result in zip(images(folder), found.images, strict=True):
        pixels, labels = read_image(path).pixels, tifffile.imread(result.written[0])
        assert labels.shape == pixels.shape
        assert set(np.unique(labels)) <= {1, 2, 3}
        bright.append(np.bincount(labels[pixels > 120]).argmax())
        assert bright[-1] != np.bincount(labels[pixels < 60]).argmax()
        record = json.loads(result.written[-1].read_text())
        np.testing.assert_allclose(record["clusters"]["shares"], [(labels == n).mean() for n in (1, 2, 3)])
        with tifffile.TiffFile(result.written[1]) as tiff:
            assert tiff.asarray().shape[0] == 4
            assert tiff.imagej_metadata["Labels"][0].startswith("eigenvector 1, eigenvalue ")
    assert len(set(bright)) == 1


def test_what_was_found_is_applied_to_other_images(folder):
    run_collection(images(folder), folder / "out", SETTINGS)
    saved = CollectionAnalysis.load(folder / "out" / "projection.pt")
    labels = saved.label(read_image(images(folder)[0]).pixels)
    np.testing.assert_array_equal(labels, tifffile.imread(folder / "out" / "image0_labels.tif"))


def test_a_second_run_does_nothing_and_a_third_all_of_it(folder, calls):
    run_collection(images(folder), folder / "out", SETTINGS)
    before, complete = stamps(folder / "out"), contents(folder / "out")
    found = run_collection(images(folder), folder / "out", SETTINGS)
    assert statuses(found) == ["skipped"] * 3
    assert found.clusters == 3
    assert stamps(folder / "out") == before
    assert len(calls) == 3
    assert statuses(run_collection(images(folder), folder / "out", SETTINGS, resume=False)) == ["done"] * 3
    assert len(calls) == 6
    assert contents(folder / "out") == complete


def stamps(out: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}


def test_another_number_of_clusters_takes_no_model(folder, calls):
    out, other = folder / "out", replace(SETTINGS, clusters=2)
    run_collection(images(folder), out, SETTINGS)
    kept = {path.name for path in (out / WORKING / "analysis").iterdir()}
    assert kept == {"embedding.pt", "embeddings", "regions"}
    calls.clear()
    assert statuses(run_collection(images(folder), out, other)) == ["done"] * 3
    assert calls == []
    run_collection(images(folder), folder / "fresh", other)
    assert contents(out) == contents(folder / "fresh")
    assert len(calls) == 3


@pytest.mark.parametrize(
    "change", ["clusters", "formats", "pixels", "one image less", "no labels", "no record", "no page", "no pictures"]
)
def test_what_is_not_all_there_or_of_another_request_is_done_anew(folder, change):
    run_collection(images(folder), folder / "out", SETTINGS)
    files, settings, out = images(folder), SETTINGS, folder / "out"
    if change == "clusters":
        settings = replace(SETTINGS, clusters=2)
    elif change == "formats":
        settings = replace(SETTINGS, formats=("png",))
    elif change == "pixels":
        Image.fromarray(np.fliplr(np.asarray(Image.open(files[1])))).save(files[1])
    elif change == "one image less":
        files = files[:2]
    elif change == "no pictures":
        folder_module.discard(out / "report_files")
    else:
        name = {"no labels": "image1_labels.tif", "no record": "collection.json", "no page": "report.html"}[change]
        (out / name).unlink()
    assert statuses(run_collection(files, out, settings)) == ["done"] * len(files)
    run_collection(files, folder / "fresh", settings)
    assert contents(out) == contents(folder / "fresh")


def test_one_bad_image_never_stops_the_rest(folder, calls):
    (folder / "image1.png").write_text("no image")
    files = [*images(folder), folder / "missing.png"]
    for _ in range(2):
        found = run_collection(files, folder / "out", SETTINGS)
        assert [each == "failed" for each in statuses(found)] == [False, True, False, True]
    assert len(calls) == 2
    assert "no image that can be read" in found.images[1].message
    assert found.images[1].written == ()
    page = (folder / "out" / "report.html").read_text()
    assert "2 images were left out" in page
    assert "missing.png: there is no such file" in page
    Image.fromarray(np.eye(24, dtype=np.uint8)).save(folder / "image1.png")
    assert statuses(run_collection(files, folder / "out", SETTINGS)) == ["done", "done", "done", "failed"]


def test_an_image_that_cannot_be_written_is_left_out_of_the_page(folder, monkeypatch):
    whole = outputs.write_eigenvectors

    def fail(path: Path, *args: object, **options: object) -> None:
        if "image1" in path.name:
            raise OSError(28, "No space left on device", str(path))
        whole(path, *args, **options)

    monkeypatch.setattr(outputs, "write_eigenvectors", fail)
    found = run_collection(images(folder), folder / "out", SETTINGS)
    assert statuses(found) == ["done", "failed", "done"]
    assert found.images[1].message.startswith("The disk is full")
    assert not (folder / "out" / "image1_labels.tif").exists()
    assert "1 image was left out" in (folder / "out" / "report.html").read_text()
    monkeypatch.undo()
    calls = []
    whole_visit = FiltersBackbone.visit
    monkeypatch.setattr(FiltersBackbone, "visit", lambda *a, **k: (calls.append(1), whole_visit(*a, **k)))
    assert statuses(run_collection(images(folder), folder / "out", SETTINGS)) == ["done"] * 3
    assert calls == []  # what has been computed is kept until all is written


def test_bad_files_of_one_name_are_told_apart(folder):
    files = images(folder)
    for name in "ab":
        (folder / name).mkdir()
        files.append(folder / name / "bad.png")
        files[-1].write_text("no image")
    run_collection(files, folder / "out", SETTINGS)
    page = (folder / "out" / "report.html").read_text()
    assert "2 images were left out" in page
    assert all(f"<li>{name}/bad.png: " in page for name in "ab")


def test_a_file_that_goes_before_the_page_is_drawn_leaves_a_blank_and_is_tried_again(folder):
    files, out = images(folder), folder / "out"
    pixels = files[1].read_bytes()

    def take_away(progress) -> None:
        if progress.stage == "report":
            files[1].unlink(missing_ok=True)

    found = run_collection(files, out, SETTINGS, report=take_away)
    assert statuses(found) == ["done"] * 3
    (remark,) = found.remarks
    assert remark.startswith("image1.png is blank in the report: there is no such file")
    assert "could not be read again: there is no such file" in (out / "report.html").read_text()
    files[1].write_bytes(pixels)
    again = run_collection(files, out, SETTINGS)
    assert again.remarks == []
    assert "could not be read again" not in (out / "report.html").read_text()


def test_images_of_different_depths_are_told(folder):
    for number, path in enumerate(images(folder)[1:]):
        pixels = np.asarray(Image.open(path)).astype(np.uint16) * 257
        tifffile.imwrite(folder / f"deep{number}.tif", pixels)
    files = [*images(folder), folder / "deep0.tif", folder / "deep1.tif"]
    for _ in range(2):
        found = run_collection(files, folder / "out", SETTINGS)
        (remark,) = found.remarks
        assert "(2 of 16 bits, 3 of 8 bits)" in remark
        assert remark in (folder / "out" / "report.html").read_text()


def test_what_concerns_all_images_is_said_once(folder, tmp_path):
    for wrong in ({"backbone": "nonesuch"}, {"pathway": "where"}, {"method": "magic"}, {"clusters": 0}):
        with pytest.raises(ValueError, match="expected|cannot"):
            run_collection(images(folder), folder / "out", replace(SETTINGS, **wrong))
    with pytest.raises(ValueError, match="no images"):
        run_collection([], folder / "out", SETTINGS)
    with pytest.raises(FileExistsError):
        run_collection(images(folder), images(folder)[0], SETTINGS)
    with pytest.raises(ValueError, match="None of the images can be analysed. .*missing.png: there is no such file"):
        run_collection([folder / "missing.png"], folder / "out", SETTINGS)


def test_images_of_one_name_and_names_of_ours_never_meet(folder):
    files = [folder / "collection.png", folder / "deep" / "collection.png"]
    (folder / "deep").mkdir()
    for path, source in zip(files, images(folder), strict=False):
        path.write_bytes(source.read_bytes())
    settings = replace(SETTINGS, formats=("coco", "png-colour"))
    found = run_collection(files, folder / "out", settings, title="both")
    names = [[path.name for path in result.written] for result in found.images]
    assert names[0][-1] == "collection-2.json"
    assert names[1][-1] == "collection-3.json"
    joined = json.loads((folder / "out" / "labels_coco.json").read_text())
    assert [each["file_name"] for each in joined["images"]] == ["collection.png", "deep/collection.png"]
    assert {each["name"] for each in joined["categories"]} <= {f"kind {number}" for number in (1, 2, 3)}
    coloured = np.asarray(Image.open(found.images[0].written[1])).reshape(-1, 3)
    assert {tuple(colour) for colour in coloured} <= {tuple(colour) for colour in label_colours(3)}
    assert "both: what is the same across 2 images" in (folder / "out" / "report.html").read_text()


def test_the_size_of_a_pixel_comes_through(folder, rng):
    for number in range(2):
        pixels = rng.integers(0, 999, (24, 32), dtype=np.uint16)
        tifffile.imwrite(folder / f"{number}.tif", pixels, imagej=True, resolution=(2, 2), metadata={"unit": "um"})
    found = run_collection([folder / "0.tif", folder / "1.tif"], folder / "out", SETTINGS)
    record = json.loads(found.images[1].written[-1].read_text())
    assert record["pixel_size"] == {"rows": 0.5, "columns": 0.5, "units": "micrometer"}
    with tifffile.TiffFile(found.images[1].written[0]) as tiff:
        assert tiff.imagej_metadata["unit"] == "um"


def test_two_runs_never_work_in_one_folder(folder):
    with folder_module._alone(folder / "out" / WORKING), pytest.raises(Explained, match="Another run is at work"):
        run_collection(images(folder), folder / "out", SETTINGS)
    assert statuses(run_collection(images(folder), folder / "out", SETTINGS)) == ["done"] * 3


def test_cancelled_anywhere_and_taken_up_again_it_is_as_if_never_stopped(folder, calls):
    reports = []
    run_collection(images(folder), folder / "whole", SETTINGS, report=reports.append)
    complete = contents(folder / "whole")
    for after in range(0, len(reports), max(1, len(reports) // 4)):
        calls.clear()
        left, out = iter(range(after)), folder / f"out{after}"

        def stop(_: object, left=left) -> None:
            if next(left, None) is None:
                raise Cancelled

        with pytest.raises(Cancelled):
            run_collection(images(folder), out, SETTINGS, report=stop)
        assert not (out / "collection.json").exists()
        run_collection(images(folder), out, SETTINGS)
        assert len(calls) <= 4
        assert contents(out) == complete


def test_results_of_other_settings_stay_while_a_run_is_stopped_before_it_writes(folder):
    run_collection(images(folder), folder / "out", SETTINGS)
    before = contents(folder / "out")

    def stop(progress) -> None:
        if progress.stage == "labels":
            raise Cancelled

    with pytest.raises(Cancelled):
        run_collection(images(folder), folder / "out", replace(SETTINGS, clusters=2), report=stop)
    assert {name: each for name, each in contents(folder / "out").items() if name in before} == before
    assert statuses(run_collection(images(folder), folder / "out", SETTINGS)) == ["skipped"] * 3


def plain_names(out: Path) -> set[str]:
    return {path.name for path in out.iterdir()}


def test_the_results_take_the_place_of_those_before_and_of_nothing_else(folder):
    out, files = folder / "out", images(folder)
    out.mkdir()
    theirs = {name: out / name for name in ("image1_labels.png", "image7_labels.tif", "image7.json", "notes.txt")}
    for path in theirs.values():
        path.write_text("mine")
    settings = replace(SETTINGS, formats=("tiff", "coco", "ome-zarr"), clusters=2)
    run_collection(files, out, settings)
    files[1].unlink()
    other = replace(SETTINGS, formats=("npy",))
    found = run_collection([files[0], files[2]], out, other)
    written = {path.name for result in found.images for path in result.written}
    all_together = {"collection.json", "report.html", "report_files", "projection.pt", WORKING}
    assert plain_names(out) == written | all_together | set(theirs)
    assert all(path.read_text() == "mine" for path in theirs.values())
    files[2].write_text("no image")
    found = run_collection([files[0], files[2]], out, other)
    assert statuses(found) == ["done", "failed"]
    written = {path.name for path in found.images[0].written}
    assert plain_names(out) == written | all_together | set(theirs)


@pytest.mark.parametrize("resume", [True, False])
def test_results_of_a_run_that_was_stopped_go_too(folder, resume):
    """Those of the run before it, and its own; but none that someone has put there."""
    out, files = folder / "out", images(folder)
    (out / "image2_labels.tif").parent.mkdir()
    run_collection(files[:2], out, SETTINGS)
    (out / "image2_labels.tif").write_text("mine")

    def stop(progress) -> None:
        if progress[:2] == ("writing results", 1):
            raise Cancelled

    with pytest.raises(Cancelled):
        run_collection(files, out, replace(SETTINGS, clusters=2), report=stop, resume=resume)
    assert not (out / "collection.json").exists()
    found = run_collection(files[:1], out, SETTINGS, resume=resume)
    written = {path.name for path in found.images[0].written}
    all_together = {"collection.json", "report.html", "report_files", "projection.pt", WORKING}
    assert plain_names(out) == written | all_together | {"image2_labels.tif"}
    assert (out / "image2_labels.tif").read_text() == "mine"


def test_what_could_not_be_written_again_leaves_nothing_of_before(folder, monkeypatch):
    run_collection(images(folder), folder / "out", SETTINGS)
    whole = outputs.write_eigenvectors

    def fail(path: Path, *args: object, **options: object) -> None:
        if "image1" in path.name:
            raise OSError(28, "No space left on device", str(path))
        whole(path, *args, **options)

    monkeypatch.setattr(outputs, "write_eigenvectors", fail)
    found = run_collection(images(folder), folder / "out", replace(SETTINGS, clusters=2))
    assert statuses(found) == ["done", "failed", "done"]
    assert not [name for name in plain_names(folder / "out") if name.startswith("image1")]


def test_a_result_that_is_an_image_now_stays(folder):
    out = folder / "out"
    run_collection(images(folder), out, SETTINGS)
    found = run_collection([out / "image1_labels.tif", images(folder)[0]], out, SETTINGS)
    assert statuses(found) == ["done", "done"]
    assert "image2_labels.tif" not in plain_names(out)


@given(st.text(max_size=12), st.sampled_from(["tiff", "none-such", 3]))
def test_no_record_names_anything_outside_of_the_folder(stem, format_name):
    record = {"request": {"formats": [format_name]}, "images": [{"stem": stem}, {"stem": f"../{stem}"}, {"stem": 3}]}
    try:
        names = names_in(record)
    except (ValueError, AttributeError):
        assert format_name != "tiff"
    else:
        assert all(Path(name).name == name and name.startswith(stem) for name in names)


KILLED = """
import os, shutil, signal
import torch
torch.set_num_threads(1)
from napari_what_where.activations.filters import FiltersBackbone
from napari_what_where.collection.folder import CollectionSettings, run_collection

files, settings = {files!r}, CollectionSettings(**{settings!r})
replace, visit = os.replace, FiltersBackbone.visit
total = 0

def counted(*args):
    global total
    total += 1
    replace(*args)

def run(out, place=None, after=0, settings=settings):
    # In a process of its own, which kills itself before the call after so many.
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    left = after

    def count(what):
        nonlocal left
        left -= place == what
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def counted_replace(*args):
        count("replace")
        replace(*args)

    def counted_visit(self, image, receive, **options):
        with open(out + ".calls", "a") as calls:
            calls.write("x")
        def received(layer):
            receive(layer)
            count("visit")
        visit(self, image, received, **options)

    os.replace, FiltersBackbone.visit = counted_replace, counted_visit
    run_collection(files, out, settings, title="x")
    os._exit(0)

# The first run also imports all that is needed, before there are other processes.
os.replace = counted
run_collection(files, "whole", settings, title="x")
os.replace = replace
points = [("visit", 0), ("visit", 2), *(("replace", total * part // 4) for part in range(4)), ("replace", total - 1)]
for place, after in points:
    out = f"out-{{place}}-{{after}}"
    print(out, run(out, place, after), run(out), flush=True)
other = CollectionSettings(**{settings!r} | {{"clusters": 2}})
for after in (0, 7):
    out = f"other-{{after}}"
    shutil.copytree("whole", out)
    print(out, run(out, "replace", after, other), run(out, settings=other), run(out), flush=True)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="forks")
def test_killed_anywhere_and_started_again_it_is_as_if_never_stopped(folder):
    """Within a visit of the model, and between any two files that are moved to their places."""
    code = KILLED.format(files=list(map(str, images(folder))), settings=asdict(SETTINGS))
    one = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    told = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        check=True,
        timeout=300,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | one,
    ).stdout.splitlines()
    ends = [line.split() for line in told]
    complete = contents(folder / "whole")
    assert len(ends) == 9
    for name, *codes in ends:
        assert codes == (["-9", "0"] if name.startswith("out") else ["-9", "0", "0"]), name
        assert contents(folder / name) == complete, name
        called = folder / f"{name}.calls"
        assert (len(called.read_text()) if called.exists() else 0) <= (4 if name.startswith("out") else 0), name


def test_what_another_command_wrote_in_the_same_folder_stays(folder):
    from napari_what_where.batch import BatchSettings, run_batch

    out = folder / "out"
    run_collection(images(folder), out, SETTINGS)
    run_batch(images(folder), out, BatchSettings(count=4, segments=2))
    before = {path.name: path.read_bytes() for path in out.glob("image2*")}
    assert len(before) == 3
    run_collection(images(folder)[:2], out, replace(SETTINGS, clusters=2))
    assert {path.name: path.read_bytes() for path in out.glob("image2*")} == before
    assert "collection" in json.loads((out / "image0.json").read_text())
