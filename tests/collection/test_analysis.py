"""Many images analysed as one: what is asked for, what comes back, what goes wrong, and going on."""

from __future__ import annotations

import gc

import numpy as np
import pytest

import napari_what_where as ww
from napari_what_where.activations.filters import FiltersBackbone
from napari_what_where.collection import methods
from napari_what_where.collection.answer import CollectionAnalysis
from napari_what_where.collection.spool import Spool
from napari_what_where.progress import Cancelled
from napari_what_where.segments.shared import shared_tree
from napari_what_where.working_plane.object_scale import plan_plane

SIZES = ((32, 40), (40, 32), (36, 36), (32, 32))
COLOURS = np.array([[230, 40, 40], [40, 200, 60], [50, 60, 220]])


class Counting(FiltersBackbone):
    """Counts how often it looks at an image; stops the world at a given one."""

    def __init__(self, stop_at: int | None = None) -> None:
        super().__init__()
        self.seen, self.stop_at = 0, stop_at

    def visit(self, image, receive, **more) -> None:
        if self.seen == self.stop_at:
            raise KeyboardInterrupt
        self.seen += 1
        super().visit(image, receive, **more)


def scene(seed: int, size=(32, 40)) -> tuple[np.ndarray, np.ndarray]:
    """Three colours that recur in every image at other places: (rows, columns, 3) uint8, and which is where."""
    rng = np.random.default_rng(seed)
    truth = np.zeros(size, int)
    truth[:, size[1] // 2 :] = 1
    top, left = rng.integers(2, 14, 2)
    truth[top : top + 12, left : left + 12] = 2
    noise = rng.normal(0, 6, (*size, 3))
    return np.clip(COLOURS[truth] + noise, 0, 255).astype(np.uint8), truth


@pytest.fixture(scope="module")
def images() -> list[np.ndarray]:
    return [scene(seed, size)[0] for seed, size in enumerate(SIZES)]


@pytest.fixture(scope="module")
def together(images) -> CollectionAnalysis:
    return ww.analyze_collection(images, clusters=3, count=6)


def test_one_number_means_one_thing_in_every_image(together, images):
    assert (len(together), together.clusters, together.count) == (4, 3, 6)
    meant = []
    for number, size in enumerate(SIZES):
        truth, labels = scene(number, size)[1], together.labels[number]
        assert labels.shape == size
        assert labels.dtype == np.int32
        assert labels.min() >= 1
        commonest = [int(np.bincount(labels[truth == colour]).argmax()) for colour in range(3)]
        right = [(labels[truth == colour] == commonest[colour]).mean() for colour in range(3)]
        assert min(right) > 0.8
        meant.append(commonest)
    assert meant == [meant[0]] * 4
    assert sorted(meant[0]) == [1, 2, 3]


def test_an_image_that_was_not_among_them_is_embedded_as_they_are(together, images):
    for number, image in enumerate(images):
        np.testing.assert_allclose(together.embed(image), together.embeddings[number].vectors, atol=1e-5)
        np.testing.assert_array_equal(together.label(image), together.labels[number])
    other, truth = scene(99)
    labels = together.label(other)
    first = together.labels[0]
    for colour in range(3):
        known = np.bincount(first[scene(0)[1] == colour]).argmax()
        assert (labels[truth == colour] == known).mean() > 0.8


def test_trees_have_the_clusters_for_kinds(together):
    tree = together.trees[1]
    assert set(tree.features(3)["kind"]) <= {1, 2, 3}
    whole = tree.kinds[: tree.leaf_count][tree.leaves]
    assert (whole == together.labels[1]).mean() > 0.9


def test_the_record_tells_how_it_was_made(together):
    record = together.provenance
    assert record["options"]["method"] == "streaming"
    np.testing.assert_allclose(record["eigenvalues"], together.values)
    assert np.all(np.diff(together.values) <= 0)
    assert {layer["name"] for layer in record["layers"]} >= {"colour", "edges"}
    assert record["error_bound"] < 1e-6


def test_a_saved_projection_applies_to_other_images(together, images, tmp_path):
    together.save(tmp_path / "p.pt")
    loaded = CollectionAnalysis.load(tmp_path / "p.pt")
    np.testing.assert_array_equal(loaded.label(images[2]), together.labels[2])
    assert len(loaded) == 0
    assert loaded.provenance == together.provenance
    with pytest.raises(IndexError):
        loaded.labels[0]
    with pytest.raises(ValueError, match="made with the model"):
        CollectionAnalysis.load(tmp_path / "p.pt", backbone=ww.load_backbone("built-in"))
    (tmp_path / "no.pt").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="no projection"):
        CollectionAnalysis.load(tmp_path / "no.pt")


def test_a_temporary_folder_goes_with_the_answer(images):
    found = ww.analyze_collection(images[:2], clusters=2, count=4)
    folder = found.folder
    assert folder.is_dir()
    assert not (folder / "activations").exists()
    del found
    gc.collect()
    assert not folder.exists()


def test_where_it_stopped_it_goes_on_and_finds_the_same(images, together, tmp_path):
    broken = Counting(stop_at=2)
    with pytest.raises(KeyboardInterrupt):
        ww.analyze_collection(images, backbone=broken, clusters=3, count=6, folder=tmp_path)
    again = Counting()
    found = ww.analyze_collection(images, backbone=again, clusters=3, count=6, folder=tmp_path)
    assert broken.seen + again.seen == 4
    np.testing.assert_array_equal(found.values, together.values)
    for number in range(4):
        np.testing.assert_array_equal(found.labels[number], together.labels[number])
        np.testing.assert_array_equal(found.embeddings[number].vectors, together.embeddings[number].vectors)


def test_what_was_finished_is_found_again_unless_something_changed(images, tmp_path):
    first = Counting()
    ww.analyze_collection(images, backbone=first, clusters=3, count=4, folder=tmp_path)
    second = Counting()
    found = ww.analyze_collection(images, backbone=second, clusters=3, count=4, folder=tmp_path)
    assert (first.seen, second.seen) == (4, 0)
    assert found.labels[0].shape == (32, 40)
    other = ww.analyze_collection(images, backbone=second, clusters=2, count=4, folder=tmp_path)
    assert (second.seen, other.clusters) == (0, 2)
    np.testing.assert_array_equal(other.labels[1], ww.analyze_collection(images, clusters=2, count=4).labels[1])
    ww.analyze_collection(images, backbone=second, clusters=2, count=3, folder=tmp_path)
    assert second.seen == 4
    changed = [*images[:3], images[3][::-1].copy()]
    third = Counting()
    ww.analyze_collection(changed, backbone=third, clusters=2, count=4, folder=tmp_path)
    assert third.seen == 4


def test_other_clusters_take_no_model_wherever_that_is_stopped(images, tmp_path):
    options = {"count": 4, "folder": tmp_path}
    ww.analyze_collection(images, clusters=3, **options)
    fresh = ww.analyze_collection(images, clusters=2, count=4)
    model = Counting(stop_at=0)
    for place in (("reading", 2), ("clusters", 0), ("labels", 0), ("labels", 2)):

        def stop(progress, place=place) -> None:
            if (progress.stage, progress.done) == place:
                raise Cancelled

        with pytest.raises(Cancelled):
            ww.analyze_collection(images, clusters=2, backbone=model, report=stop, **options)
    found = ww.analyze_collection(images, clusters=2, backbone=model, **options)
    for number in range(len(images)):
        np.testing.assert_array_equal(found.labels[number], fresh.labels[number])
    assert found.provenance["options"] == fresh.provenance["options"]


def test_what_was_found_with_other_clusters_stays(images, together, tmp_path):
    options = {"count": 6, "folder": tmp_path}
    first = ww.analyze_collection(images, clusters=3, **options)
    ww.analyze_collection(images, clusters=2, follow_edges=False, **options)
    np.testing.assert_array_equal(first.labels[1], together.labels[1])
    again = ww.analyze_collection(images, clusters=3, **options)
    assert again.provenance == first.provenance
    kept = again.trees[2]
    anew = shared_tree(images[2], again.embeddings[2], again.projector.clusters, again.projector.scale)
    for name in ("leaves", "children", "heights", "kinds"):
        np.testing.assert_array_equal(getattr(kept, name), getattr(anew, name))
    assert kept.auto_ratio == anew.auto_ratio
    np.testing.assert_array_equal(kept.features(5)["embedding_2"], anew.features(5)["embedding_2"])


@pytest.mark.parametrize("gone", ["embeddings/000001.npz", "clusters-2/labels/000001.tif", "regions/000001.npz"])
def test_a_file_that_somebody_removed_is_made_again(images, tmp_path, gone):
    options = {"clusters": 2, "count": 4, "folder": tmp_path}
    before = ww.analyze_collection(images, **options)
    labels = [np.array(each) for each in before.labels]
    (tmp_path / gone).unlink()
    again = ww.analyze_collection(images, **options)
    for number, each in enumerate(labels):
        np.testing.assert_array_equal(again.labels[number], each)
        assert again.trees[number].leaf_count
        assert again.embeddings[number].vectors.shape == before.embeddings[number].vectors.shape


def test_files_of_others_in_the_folder_stay(images, tmp_path):
    theirs = [tmp_path / name for name in ("000000.tif", "embeddings/notes.txt", "clusters-few/000001.tif", "a.json")]
    for path in theirs:
        path.parent.mkdir(exist_ok=True)
        path.write_text("mine")
    for count in (3, 4):
        ww.analyze_collection(images[:2], clusters=2, count=count, folder=tmp_path)
    assert all(path.read_text() == "mine" for path in theirs)


def test_bad_images_are_named_or_left_out(images):
    bad = images[1].astype(float) / 255
    bad[3, 3] = np.nan
    grey = images[2][..., 0]
    mixed = [images[0], bad, grey, images[3], "nothing.png"]
    with pytest.raises(ValueError, match=r"Image 1 \(of 5, counted from 0\): The image has 3 NaN"):
        ww.analyze_collection(mixed, clusters=2)
    found = ww.analyze_collection(mixed, clusters=2, count=4, skip_bad=True)
    assert set(found.failures) == {1, 2, 4}
    assert "NaN" in found.failures[1]
    assert "8-bit colour" in found.failures[2]
    assert found.labels[3].shape == (32, 32)
    with pytest.raises(LookupError, match="Image 1 was left out: .*NaN"):
        found.labels[1]
    with pytest.raises(ValueError, match="None of the"):
        ww.analyze_collection([bad, bad], skip_bad=True)


def test_fewer_eigenvectors_than_were_asked_for_are_told(images):
    with pytest.warns(UserWarning, match="Only [0-9]+ eigenvectors of the 200 asked for") as told:
        found = ww.analyze_collection(images[:2], clusters=2, count=200)
    assert 1 < found.count < 200
    assert found.provenance["remarks"] == [str(each.message) for each in told]
    assert told[0].filename == __file__


def test_numbers_of_different_kinds_are_told_and_of_one_kind_not():
    grey = [scene(seed, (24, 28))[0][..., 0] for seed in range(4)]
    deep = [each.astype(np.uint16) * 257 for each in grey]
    with pytest.warns(UserWarning, match=r"different kinds of numbers \(1 of 16 bits, 3 of 8 bits\)"):
        ww.analyze_collection([*grey[:3], deep[3]], clusters=2, count=4)
    for same in (grey[:2], [deep[0].astype(np.float32), deep[1].astype(float)]):
        assert ww.analyze_collection(same, clusters=2, count=4).provenance["remarks"] == []


class Going(list):
    """Images, of which one can be read so many times."""

    def __init__(self, images, number: int, times: int) -> None:
        super().__init__(images)
        self.number, self.left = number, times

    def __getitem__(self, number):
        if number == self.number:
            self.left -= 1
            if self.left < 0:
                raise FileNotFoundError("it went away")
        return super().__getitem__(number)


@pytest.mark.parametrize("redraw", [True, False])
def test_an_image_that_goes_while_the_method_runs_is_named(images, redraw, monkeypatch):
    model = ww.load_backbone("built-in", resolution=32, filters=False)
    monkeypatch.setattr(methods, "MOST_HELD", 0)
    monkeypatch.setattr(Spool, "read", lambda *_: None)  # it is computed again
    options = {**GRADIENT, "epochs": 3, "batch": 2, "redraw": redraw}
    going = Going(images[:2], 1, 2)  # for the scale, and for the first pass
    with pytest.raises(ValueError, match=r"Image 1 \(of 2, counted from 0\): .*it went away"):
        ww.analyze_collection(
            going, backbone=model, method="gradient", method_options=options, clusters=2, count=3, skip_bad=True
        )


def test_an_image_that_goes_while_statistics_are_made_is_named(images, monkeypatch):
    monkeypatch.setattr(Spool, "read", lambda *_: None)
    with pytest.raises(ValueError, match="Image 1 .*it went away"):
        ww.analyze_collection(Going(images[:2], 1, 2), clusters=2, count=3, skip_bad=True)


@pytest.mark.parametrize("good", [[7], [1, 22, 38]])
def test_any_image_will_do_for_the_scale_where_those_looked_at_first_are_bad(images, good):
    """16 of 40 are looked at first, and none of these is among them."""
    mixed = ["nothing.png"] * 40
    for number in good:
        mixed[number] = images[0]
    found = ww.analyze_collection(mixed, clusters=2, count=4, skip_bad=True)
    assert sorted(set(range(40)) - set(found.failures)) == good


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"method": "magic"}, ValueError, "expected one of 'streaming', 'gradient'"),
        ({"clusters": 0}, ValueError, "expected at least 1"),
        ({"clusters": "many"}, TypeError, '"auto"'),
        ({"clusters": True}, TypeError, "whole number"),
        ({"count": 0}, ValueError, "at least 1 eigenvector"),
        ({"pathway": "where"}, ValueError, "no attention"),
        ({"pathway": "why"}, ValueError, "pathway is 'why'"),
        ({"backbone": "none-such"}, ValueError, "none-such"),
    ],
)
def test_options_that_are_none_are_told(images, options, error, words):
    with pytest.raises(error, match=words):
        ww.analyze_collection(images[:1], **options)


def test_no_images_are_told():
    with pytest.raises(ValueError, match="no images"):
        ww.analyze_collection([])


def test_constant_images_and_a_single_one_and_auto_clusters_come_through(images):
    flat = np.full((20, 30, 3), 90, np.uint8)
    assert np.unique(ww.analyze_collection([flat, flat], clusters=4, count=4).labels[0]).tolist() == [1]
    alone = ww.analyze_collection(images[:1], clusters="auto", count=6)
    assert 1 <= alone.clusters <= 6


def test_it_is_cancelled_from_any_stage_and_leaves_nothing(images, tmp_path, monkeypatch):
    import tempfile

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    stages = []
    ww.analyze_collection(images[:2], clusters=2, count=4, report=lambda p: stages.append(p.stage.split(": ")[-1]))
    assert {"reading", "activations", "eigenvectors", "clusters", "labels"} <= set(stages)
    for stage in sorted(set(stages)):

        def stop(progress, stage=stage) -> None:
            if progress.stage.endswith(stage):
                raise Cancelled

        with pytest.raises(Cancelled):
            ww.analyze_collection(images[:2], clusters=2, count=4, report=stop)
    gc.collect()
    assert not list(tmp_path.glob("what-where-*"))


def test_the_size_of_objects_decides_what_is_worked_on(images, together):
    found = ww.analyze_collection(images, clusters=3, count=6, smallest_object=4)
    wanted = plan_plane(images[1].shape[:2], 4).leaves
    assert found.trees[1].leaf_count <= 1.2 * wanted < together.trees[1].leaf_count
    assert found.provenance["options"]["smallest_object"] == 4.0
    np.testing.assert_array_equal(found.label(images[1]), found.labels[1])
    with pytest.raises(ValueError, match="smallest_object is -1"):
        ww.analyze_collection(images, smallest_object=-1)


def test_without_edges_and_of_data_channels(rng):
    planes = rng.integers(0, 4000, (2, 24, 24, 2)).astype(np.uint16)
    planes[:, :12] += 8000
    found = ww.analyze_collection(planes, clusters=2, count=4, follow_edges=False)
    np.testing.assert_array_equal(found.labels[0][0], found.labels[0][0][0])
    assert found.labels[0][0, 0] != found.labels[0][-1, 0]


def test_the_built_in_model_sees_each_image_in_both_pathways(images):
    options = {"resolution": 64}
    for pathway in ("where", "both"):
        found = ww.analyze_collection(
            images[:2], backbone="built-in", backbone_options=options, pathway=pathway, clusters=3, count=5
        )
        assert found.embeddings[0].vectors.shape[0] == 5
        assert {layer["pathway"] for layer in found.provenance["layers"]} == {"what", "where"}


GRADIENT = {"epochs": 12, "batch": 3, "within": 20, "between": 20, "side": 8, "ema": 0.9}


def test_the_gradient_method_tells_the_same_things_apart(images):
    found = ww.analyze_collection(images, method="gradient", method_options=GRADIENT, clusters=3, count=6)
    assert found.embeddings[0].vectors.shape == (6, 8, 8)
    together = np.stack([found.embeddings[number].vectors.reshape(6, -1) for number in range(4)])
    gram = np.einsum("nik,njk->ij", together, together) / 4
    np.testing.assert_allclose(gram, np.eye(6), atol=1e-3)
    truth = scene(0)[1]
    labels = found.labels[0]
    assert np.bincount(labels[truth == 0]).argmax() != np.bincount(labels[truth == 1]).argmax()
    with pytest.raises(ValueError, match="no others"):
        found.embed(images[0])
    with pytest.raises(TypeError, match="no options"):
        ww.analyze_collection(images, method_options=GRADIENT)


def test_the_gradient_method_draws_timesteps_of_a_model_that_has_them(images):
    model = ww.load_backbone("built-in", resolution=32, filters=False)
    seen = []
    visit = model.visit

    def watched(image, receive, **more) -> None:
        seen.append(model.timesteps)
        visit(image, receive, **more)

    model.visit = watched
    own = model.timesteps
    options = {**GRADIENT, "epochs": 3, "batch": 2}
    ww.analyze_collection(images[:2], backbone=model, method="gradient", method_options=options, clusters=2, count=3)
    drawn = seen[2:]
    assert seen[:2] == [own, own]
    assert len(set(drawn)) > 1
    assert model.timesteps == own
    seen.clear()
    options |= {"redraw": False}
    ww.analyze_collection(images[:2], backbone=model, method="gradient", method_options=options, clusters=2, count=3)
    assert len(seen) == 2
