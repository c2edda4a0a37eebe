"""``analyze`` as the public contract has it: every image and option, or an error in words; never a half-made result."""

from __future__ import annotations

import gc
import json
import threading
from functools import partial

import numpy as np
import pytest
import torch
from skimage.metrics import adapted_rand_error

import napari_what_where as ww
from napari_what_where.activations.backbone import BackboneInfo
from napari_what_where.activations.filters import FiltersBackbone
from napari_what_where.image import PerceptualScale
from napari_what_where.pipeline import Analysis, analyze
from napari_what_where.progress import Cancelled, Progress
from napari_what_where.working_plane.lazy_channels import LazyChannels
from napari_what_where.working_plane.object_scale import plan_plane

from .activations.test_backbones import AttentionBackbone
from .images import DTYPES, REFUSED, scene


def same(first: Analysis, second: Analysis) -> bool:
    pairs = (
        (first.embedding.values, second.embedding.values),
        (first.embedding.vectors, second.embedding.vectors),
        (first.embedding.sharp_vectors, second.embedding.sharp_vectors),
        (first.tree.leaves, second.tree.leaves),
        (first.tree.children, second.tree.children),
        (first.tree.labels(5), second.tree.labels(5)),
    )
    return all(np.array_equal(one, other) for one, other in pairs)


def check(analysis: Analysis, shape: tuple[int, int], count: int) -> None:
    embedding = analysis.embedding
    assert embedding.vectors.shape == (count, *embedding.grid)
    assert np.isfinite(embedding.vectors).all()
    assert np.isfinite(embedding.sharp_vectors).all()
    assert np.all(np.diff(embedding.values) <= 0)
    labels = analysis.tree.labels(3)
    assert labels.shape == shape
    assert labels.min() == 1
    assert json.loads(json.dumps(analysis.provenance, allow_nan=False)) == analysis.provenance


# -------------------------------------------------------------------------------------------------------- call forms


def test_the_contract():
    image = scene((48, 60), channels=3)
    analysis = ww.analyze(image, backbone="filters", pathway="what", count=8)
    check(analysis, (48, 60), 8)
    assert analysis.embedding.vectors.dtype == np.float32
    assert analysis.tree.labels("auto").shape == (48, 60)
    assert sorted(np.unique(analysis.tree.labels(6))) == [1, 2, 3, 4, 5, 6]


def test_it_is_the_steps_one_after_the_other():
    image = scene((40, 50), channels=3)
    analysis = ww.analyze(image, count=6, device="cpu")
    activations = ww.load_backbone("filters").extract(image)
    affinity = ww.joint_affinity(activations, pathway="what", normalization="degree", device="cpu")
    embedding = ww.spectral_embedding(affinity, count=6, method="exact")
    tree = ww.region_tree(embedding, image)
    np.testing.assert_array_equal(analysis.embedding.vectors, embedding.vectors)
    np.testing.assert_array_equal(analysis.tree.labels(7), tree.labels(7))


def test_a_loaded_backbone_will_do():
    image = scene()
    assert same(analyze(image, count=4, backbone=FiltersBackbone()), analyze(image, count=4, backbone="filters"))


@pytest.mark.parametrize("pathway", ["what", "where", "both"])
@pytest.mark.parametrize("normalization", ["degree", "none"])
def test_every_pathway_of_a_backbone_with_attention(pathway, normalization):
    image = scene()
    analysis = analyze(image, backbone=AttentionBackbone(), pathway=pathway, normalization=normalization, count=5)
    check(analysis, image.shape, 5)
    assert analysis.provenance["options"]["pathway"] == pathway
    assert analysis.provenance["options"]["normalization"] == normalization


def test_edges_can_be_left_out():
    image = scene(channels=3)
    with_edges, without = (analyze(image, count=4, follow_edges=follow) for follow in (True, False))
    assert not np.array_equal(with_edges.tree.labels(8), without.tree.labels(8))
    np.testing.assert_array_equal(with_edges.embedding.vectors, without.embedding.vectors)


def test_the_channels_it_worked_on_are_kept():
    for image, channels in ((scene((40, 50), channels=3), 3), (scene((40, 50)), 1), (scene((40, 50), channels=9), 6)):
        kept = analyze(image, count=4).channels
        assert kept is not None
        assert (kept.shape, kept.dtype) == ((40, 50, channels), np.float32)
    assert analyze(scene(), count=4, follow_edges=False).channels is None


def test_objects_by_the_contract():
    image = scene((48, 60), channels=3)
    objects = ww.find_objects(ww.analyze(image))
    assert objects.shape == (48, 60)
    assert objects.dtype.kind == "i"
    assert objects.min() == 0


def test_options_go_by_name_only():
    with pytest.raises(TypeError, match="positional"):
        analyze(scene(), "filters")


# ------------------------------------------------------------------------------------------------------------ images


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("channels", [None, 1, 2, 3, 4, 5, 9])
def test_any_dtype_and_number_of_channels(dtype, channels):
    image = scene((16, 20), channels=channels, dtype=dtype)
    before = image.copy()
    check(analyze(image, count=4), (16, 20), 4)
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize("shape", [(2, 2), (2, 9), (5, 7), (3, 900), (900, 3)])
def test_odd_shapes(shape):
    for channels in (None, 3):
        image = scene(shape, channels=channels)
        check(analyze(image, count=2), shape, 2)


def test_a_frozen_strided_foreign_image_is_read_where_it_lies():
    image = scene((40, 40), dtype="uint16")
    expected = analyze(image, count=4)
    for other in (image.astype(">u2"), np.asfortranarray(image), image[::-1].copy()[::-1]):
        other.flags.writeable = False
        assert same(analyze(other, count=4), expected)


def test_alpha_is_composited_away():
    image = scene((30, 40), channels=4)
    image[..., 3] = 255
    assert same(analyze(image, count=4), analyze(image[..., :3], count=4))
    clear = image.copy()
    clear[:, 20:, 3] = 0
    white = image[..., :3].copy()
    white[:, 20:] = 255
    assert same(analyze(clear, count=4), analyze(white, count=4))


def test_contrast_of_data_does_not_count():
    image = scene((40, 40), dtype="uint16") // 2
    plain, brighter = analyze(image, count=4), analyze(image * 2, count=4)
    np.testing.assert_allclose(brighter.embedding.values, plain.embedding.values, atol=1e-4)


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((20, 30), np.uint8),
        np.full((20, 30), 1e300),
        np.full((20, 30, 3), [200, 30, 7], np.uint8),
        np.full((20, 30, 8), np.arange(8.0)),
        np.zeros((2, 2), bool),
    ],
)
def test_a_constant_image_warns_and_is_remarked_on(image):
    with pytest.warns(UserWarning, match="The image is constant"):
        analysis = analyze(image, count=3)
    check(analysis, image.shape[:2], 3)
    assert analysis.provenance["remarks"] == [
        "The image is constant: there is no structure to find, and segments are arbitrary."
    ]


def test_more_vectors_than_tokens_warn_and_are_remarked_on():
    with pytest.warns(UserWarning, match="using 25"):
        analysis = analyze(scene((5, 5)), count=1000)
    check(analysis, (5, 5), 25)
    assert analysis.provenance["options"]["count"] == 1000
    assert analysis.provenance["remarks"] == ["Only 25 eigenvectors: the image has no more tokens."]


# ------------------------------------------------------------------------------------------------------ object scale


def test_a_small_object_is_looked_for_in_tiles_that_agree_with_the_whole(monkeypatch):
    image = scene((150, 190), channels=3)
    whole = analyze(image, count=6, smallest_object=20)
    monkeypatch.setattr("napari_what_where.working_plane.object_scale.plan_plane", partial(plan_plane, tile_side=60))
    seen: list[Progress] = []
    tiled = analyze(image, count=6, smallest_object=20, report=seen.append)
    check(tiled, (150, 190), 6)
    assert tiled.provenance["options"]["smallest_object"] == 20
    assert tiled.provenance["plane"] == {"shape": [150, 190], "leaves": 285, "tiles": 12}
    assert whole.provenance["plane"]["tiles"] == 1
    assert tiled.plane is not None
    assert len(tiled.plane.tiles) == 12
    assert isinstance(tiled.channels, LazyChannels)
    assert isinstance(whole.channels, np.ndarray)
    np.testing.assert_array_equal(tiled.channels[3:90, 7:40], whole.channels[3:90, 7:40])
    np.testing.assert_allclose(tiled.embedding.values, whole.embedding.values, atol=1e-4)
    assert adapted_rand_error(whole.tree.labels(5), tiled.tree.labels(5))[0] <= 0.05
    assert {progress.stage for progress in seen} >= {"activations", "eigenvectors", "segments"}


@pytest.mark.parametrize("stage", ["activations", "segments"])
def test_cancelled_inside_tiles_it_leaves_nothing(monkeypatch, stage):
    monkeypatch.setattr("napari_what_where.working_plane.object_scale.plan_plane", partial(plan_plane, tile_side=60))
    running = threading.active_count()

    def report(progress):
        if progress.stage == stage:
            raise Cancelled

    with pytest.raises(Cancelled):
        analyze(scene((150, 190)), count=4, smallest_object=20, report=report)
    assert threading.active_count() == running


def test_the_size_of_objects_sets_the_number_of_leaves():
    image = scene((120, 150))
    fine, coarse = (analyze(image, count=4, smallest_object=size).tree for size in (12, 60))
    assert fine.leaf_count > 2 * coarse.leaf_count
    assert fine.labels("auto").shape == coarse.labels("auto").shape == (120, 150)


def test_an_object_larger_than_the_image_is_remarked_on():
    analysis = analyze(scene((40, 50)), count=2, smallest_object=999)
    assert analysis.provenance["remarks"] == [
        "The smallest object, 999 pixels, is larger than the image; its longest side is used."
    ]


def test_a_scale_can_be_shared():
    image = scene((40, 60), dtype="uint16")
    part = image[:, :30] // 3
    shared = PerceptualScale.fit([image])
    np.testing.assert_array_equal(analyze(part, count=2, scale=shared).channels, shared.apply(part))
    assert not np.array_equal(analyze(part, count=2).channels, shared.apply(part))


# -------------------------------------------------------------------------------------------------------- provenance


def test_the_provenance_is_complete():
    analysis = analyze(scene((40, 50), channels=3), count=5, seed=7, device="cpu")
    record = analysis.provenance
    assert record["made_by"] == "napari-what-where"
    assert record["made_at"].endswith("+00:00")
    assert {"python", "napari-what-where", "torch", "numpy", "scipy", "scikit-image"} <= set(record["versions"])
    assert record["image"]["shape"] == [40, 50, 3]
    assert record["image"]["dtype"] == "uint8"
    assert len(record["image"]["sha256"]) == 64
    assert record["model"] == {"name": "filters"}
    assert record["options"] == {
        "backbone": "filters",
        "backbone_options": {},
        "pathway": "what",
        "count": 5,
        "normalization": "degree",
        "method": "exact",
        "follow_edges": True,
        "device": "cpu",
        "seed": 7,
        "smallest_object": None,
    }
    assert record["plane"] == {"shape": [40, 50], "leaves": 1500, "tiles": 1}
    assert record["network_layers"] == ["colour", "edges", "texture", "surroundings"]
    assert record["token_grid"] == list(analysis.embedding.grid)
    assert record["eigenvalues"] == analysis.embedding.values.tolist()
    assert len(record["residuals"]) == 5
    assert record["converged"] is True
    assert record["products"] > 0
    assert set(record["seconds"]) == {"activations", "affinity", "embedding", "segments"}
    assert all(seconds >= 0 for seconds in record["seconds"].values())
    assert record["remarks"] == []
    json.dumps(record, allow_nan=False)


def test_the_provenance_tells_images_apart():
    image = scene()
    other = image.copy()
    other[3, 4] += 1
    digests = {analyze(each, count=2).provenance["image"]["sha256"] for each in (image, image.copy(), other)}
    assert len(digests) == 2


def test_the_record_is_plain_whatever_was_passed():
    analysis = analyze(scene(), count=np.int64(3), seed=np.uint8(1), follow_edges=np.True_, device=torch.device("cpu"))
    json.dumps(analysis.provenance, allow_nan=False)
    assert analysis.provenance["options"]["count"] == 3


def test_the_same_call_gives_the_same_answer():
    image = scene((48, 50), channels=3)
    first = analyze(image, count=6)
    torch.rand(5)
    np.random.random(5)  # noqa: NPY002
    second = analyze(image, count=6)
    assert same(first, second)
    ignored = {"made_at", "seconds"}
    assert {key: value for key, value in first.provenance.items() if key not in ignored} == {
        key: value for key, value in second.provenance.items() if key not in ignored
    }


# ------------------------------------------------------------------------------------------------------------ refusals


def never(progress: Progress) -> None:
    raise AssertionError(f"work began before the options were checked: {progress}")


@pytest.mark.parametrize(("image", "error", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_no_image_is_refused_in_words(image, error, words):
    with pytest.raises(error, match=words):
        analyze(image, report=never)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"backbone": "filter"}, ValueError, "'filters'"),
        ({"backbone": ""}, ValueError, "backbone"),
        ({"backbone": None}, (ValueError, TypeError), "backbone"),
        ({"backbone": 3}, (ValueError, TypeError), "backbone"),
        ({"pathway": "where"}, ValueError, "it has no attention, so no queries and keys. Use pathway 'what'"),
        ({"pathway": "both"}, ValueError, "it has no attention, so no queries and keys. Use pathway 'what'"),
        ({"pathway": "who"}, ValueError, "pathway is 'who'; expected one of 'what', 'where', 'both'"),
        ({"pathway": None}, ValueError, "pathway is None"),
        ({"normalization": "row"}, ValueError, "normalization is 'row'; expected one of 'degree', 'none'"),
        ({"normalization": True}, ValueError, "normalization is True"),
        ({"method": "lanczos"}, ValueError, "method is 'lanczos'; expected one of 'exact'"),
        ({"method": None}, ValueError, "method is None"),
        ({"device": "abacus"}, ValueError, "device is 'abacus'; expected one of auto, cpu, cuda, mps"),
        ({"device": None}, ValueError, "device is None"),
        ({"count": 0}, ValueError, "count is 0; expected at least 1 eigenvector"),
        ({"count": -3}, ValueError, "count is -3"),
        ({"count": "16"}, TypeError, "count is '16'; expected a whole number of eigenvectors, for example 16"),
        ({"count": 4.0}, TypeError, "count is 4.0"),
        ({"count": True}, TypeError, "count is True"),
        ({"count": np.True_}, TypeError, "count is"),
        ({"count": None}, TypeError, "count is None"),
        ({"smallest_object": 0}, ValueError, "smallest_object is 0; expected a diameter in pixels"),
        ({"smallest_object": -3.5}, ValueError, "smallest_object is -3.5"),
        ({"smallest_object": float("nan")}, ValueError, "smallest_object is nan"),
        ({"smallest_object": float("inf")}, ValueError, "smallest_object is inf"),
        ({"smallest_object": "24"}, TypeError, "smallest_object is '24'"),
        ({"smallest_object": True}, TypeError, "smallest_object is True"),
        ({"smallest_object": [24]}, TypeError, "smallest_object is list"),
        ({"scale": 0.5}, TypeError, "scale is float; expected what PerceptualScale"),
        ({"seed": "lucky"}, TypeError, "seed is 'lucky'"),
    ],
)
def test_wrong_options_are_refused_in_words_before_any_work(options, error, words):
    with pytest.raises(error, match=words):
        analyze(scene(), report=never, **options)


# ------------------------------------------------------------------------------------------------ progress and cancel


def test_every_stage_reports_from_the_calling_thread():
    seen: list[Progress] = []
    threads = set()

    def report(progress):
        seen.append(progress)
        threads.add(threading.get_ident())

    analyze(scene((40, 50), channels=3), count=4, report=report)
    stages = list(dict.fromkeys(progress.stage for progress in seen))
    assert stages == ["activations", "affinity", "eigenvectors", "segments"]
    assert threads == {threading.get_ident()}


@pytest.mark.parametrize("stage", ["activations", "affinity", "eigenvectors", "segments"])
def test_cancelled_in_any_stage_it_leaves_nothing(stage):
    image = scene((40, 50), channels=3)
    before, expected, running = image.copy(), analyze(image, count=4), threading.active_count()

    def report(progress):
        if progress.stage == stage:
            raise Cancelled

    with pytest.raises(Cancelled):
        analyze(image, count=4, report=report)
    gc.collect()
    assert threading.active_count() == running
    np.testing.assert_array_equal(image, before)
    assert same(analyze(image, count=4), expected)


def test_errors_of_a_report_pass_through():
    def report(progress):
        raise RuntimeError("the bar fell down")

    with pytest.raises(RuntimeError, match="the bar fell down"):
        analyze(scene(), report=report)


def test_errors_of_a_backbone_pass_through():
    class Broken(FiltersBackbone):
        info = BackboneInfo("broken", "test", "fails after one layer", ("what",), 0, "BSD-3-Clause")

        def visit(self, image, receive, **options):
            super().visit(image, receive, **options)
            raise LookupError("no such layer")

    with pytest.raises(LookupError, match="no such layer"):
        analyze(scene(), backbone=Broken())


def test_one_scale_for_the_backbone_and_the_tree(monkeypatch):
    # The backbone and the tree must see the same intensities, fitted once.
    from napari_what_where.image import PerceptualScale

    fitted = []
    original = PerceptualScale.fit.__func__

    def fit(cls, images):
        fitted.append(len(images))
        return original(cls, images)

    monkeypatch.setattr(PerceptualScale, "fit", classmethod(fit))
    analyze(scene(), count=3)
    assert fitted == [1]
