"""What is kept of runs: another number of kinds is quick, a cancelled run goes on, old results go, others stay."""

from __future__ import annotations

import gc
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

from napari_what_where.activations.filters import FiltersBackbone
from napari_what_where.widgets.collection import places as module
from napari_what_where.widgets.collection.pool import WORKING


@pytest.fixture
def calls(monkeypatch) -> list[int]:
    """One entry for each time that the backbone sees an image."""
    seen, whole = [], FiltersBackbone.visit

    def visit(self, image, *args, **options):
        seen.append(1)
        return whole(self, image, *args, **options)

    monkeypatch.setattr(FiltersBackbone, "visit", visit)
    return seen


@pytest.fixture
def temporary(tmp_path, monkeypatch) -> Path:
    """Where temporary folders are made."""
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(place))
    return place


def kept(folder: Path) -> set[Path]:
    return {path.parent for path in folder.rglob(module.MARK)}


@pytest.mark.parametrize("what", ["stack", "layers", "folder"])
def test_another_number_of_kinds_takes_no_model(driver, frames, photographs, calls, what):
    if what == "stack":
        driver.viewer.add_image(frames, name="cells")
    elif what == "layers":
        driver.viewer.layers.selection = {driver.viewer.add_image(frame) for frame in frames}
        driver.panel.inputs.choose("layers")
    else:
        driver.choose_folder(photographs)
    driver.run()
    before = len(calls)
    assert before == (4 if what == "folder" else 5)
    pixels = [layer for layer in driver.viewer.layers if "kinds" not in layer.name and "eigen" not in layer.name]
    for kinds in (3, 2):
        driver.viewer.layers.selection = set(pixels)
        driver.panel.clusters.setValue(kinds)
        driver.run()
        assert driver.message.startswith(f"{kinds} kinds in ")
        assert driver.panel.table.rowCount() == kinds
        assert len(calls) == before


def test_a_cancelled_run_on_a_stack_goes_on_where_it_was(driver, frames, monkeypatch):
    seen, visit = [], FiltersBackbone.visit

    def counted(self, image, *args, **options):
        seen.append(image.shape)
        if len(seen) == 4:
            driver.dock.task.cancel()
        return visit(self, image, *args, **options)

    monkeypatch.setattr(FiltersBackbone, "visit", counted)
    driver.viewer.add_image(frames, name="cells")
    driver.run()
    assert driver.message == "Cancelled; no layer was changed. Run goes on from here."
    driver.run()
    assert len(seen) <= 5 + 1  # that in flight was computed twice
    assert driver.message.startswith("2 kinds in 5 images")


def test_changed_pixels_are_seen(driver, frames, calls):
    layer = driver.viewer.add_image(frames.copy(), name="cells")
    driver.run()
    layer.data[2] = layer.data[2][:, ::-1]
    driver.run()
    assert len(calls) == 10


def test_what_is_temporary_goes_with_the_dock_and_the_layers(driver, frames, temporary):
    driver.viewer.add_image(frames, name="cells")
    driver.run()
    (root,) = temporary.iterdir()
    driver.viewer.window.remove_dock_widget(driver.dock)
    vectors = driver.layer("eigenvectors")
    assert np.isfinite(np.asarray(vectors.data[1, 2])).all()
    del vectors
    driver.dock = None
    driver.viewer.layers.clear()
    driver.qtbot.waitUntil(lambda: (gc.collect(), not root.exists())[1], timeout=5_000)


def test_results_of_the_last_settings_stay(driver, photographs, calls):
    driver.choose_folder(photographs)
    root = photographs / WORKING
    theirs = root / "mine"
    (theirs / "embeddings").mkdir(parents=True)
    (theirs / "embeddings" / "000000.npz").write_text("mine")
    for count in range(3, 3 + module.MOST + 1):
        driver.panel.count.setValue(count)
        driver.run()
    assert len(kept(root)) == module.MOST
    assert (theirs / "embeddings" / "000000.npz").read_text() == "mine"
    before = len(calls)
    driver.panel.count.setValue(4)
    driver.run()
    assert len(calls) == before
    assert "Found again in" in driver.message


def place(root: Path, name: str, *, unfinished: bool = False) -> Path:
    """A folder of an earlier run."""
    folder = root / name
    module._mark(folder, {})
    (folder / "embeddings").mkdir()
    (folder / "embeddings" / "000000.npz").write_text("")
    if unfinished:
        (folder / "activations").mkdir()
    return folder


def test_only_what_is_ours_and_nobody_needs_is_removed(tmp_path):
    names = [f"run{number}" for number in range(8)]
    folders = [place(tmp_path, name, unfinished=name in ("run3", "run5", "run7")) for name in names]
    for age, folder in enumerate(folders):
        module.os.utime(folder / module.MARK, (age, age))
    (folders[0] / "notes.txt").write_text("mine")
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / module.MARK).write_bytes((folders[1] / module.MARK).read_bytes())  # of another name
    with FileLock(folders[2] / module.LOCK):
        module.tidy(tmp_path, folders[3])
    there = {path.name for path in tmp_path.iterdir()}
    assert there == {"run0", "copy", "run2", "run3", "run6", "run7"}
    assert [path.name for path in folders[0].iterdir()] == ["notes.txt"]
    assert {folder.name for folder in folders if (folder / "activations").exists()} == {"run3", "run7"}


def test_the_published_method_goes_on_after_cancel_and_cannot_be_applied(driver, frames, calls, monkeypatch):
    from napari_what_where.embedding.collection_gradient import solve

    whole, shown, runs = solve.solve_collection_gradient, [], []

    def short(*arguments, report, **options):
        def tell(progress):
            shown.append(driver.dock.task.progress)
            if len(runs) == 1 and progress.done == 30:
                driver.dock.task.cancel()
            report(progress)

        runs.append(options["checkpoint"].exists())
        return whole(*arguments, report=tell, **options | {"epochs": 12, "side": 6})

    monkeypatch.setattr(solve, "solve_collection_gradient", short)
    driver.viewer.add_image(frames, name="cells")
    driver.panel.method.setCurrentIndex(driver.panel.method.findData("gradient"))
    driver.run()
    assert driver.message == "Cancelled; no layer was changed. Run goes on from here."
    assert {progress.stage for progress in shown[1:]} == {"gradient descent"}
    assert shown[-1].total == 60
    driver.run()
    assert runs == [False, True]
    assert len(calls) == 5
    assert driver.message.startswith("2 kinds in 5 images")
    assert not driver.panel.apply.isEnabled()
    assert not driver.panel.save.isEnabled()
    driver.panel.method.setCurrentIndex(driver.panel.method.findData("streaming"))
    driver.run()
    assert driver.panel.apply.isEnabled()


def test_the_size_of_objects_arrives(driver, frames):
    driver.viewer.add_image([frames, frames[:, ::2, ::2]], name="cells", multiscale=True)
    driver.panel.size.set_pixels(6)
    driver.run()
    assert driver.dock.session.found.analysis.provenance["options"]["smallest_object"] == 6.0
