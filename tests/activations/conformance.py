"""What every backbone must keep. Subclass, and give a ``backbone`` fixture, for example one with random weights."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from napari_what_where.activations.backbone import Backbone
from napari_what_where.activations.types import TokenActivations
from napari_what_where.image import PerceptualScale
from napari_what_where.progress import Cancelled, Progress

from ..images import DTYPES, REFUSED, scene


def same(first: list[TokenActivations], second: list[TokenActivations]) -> bool:
    """Whether two runs gave bit for bit the same activations."""
    return len(first) == len(second) and all(
        one.name == other.name
        and one.grid == other.grid
        and all(
            (getattr(one, role) is None) == (getattr(other, role) is None)
            and (getattr(one, role) is None or torch.equal(getattr(one, role), getattr(other, role)))
            for role in ("query", "key", "value")
        )
        for one, other in zip(first, second, strict=True)
    )


class BackboneConformance:
    """Tests of one backbone; ``channels`` and ``shapes`` may be narrowed where a model is slow."""

    channels: tuple[int | None, ...] = (None, 1, 2, 3, 4, 5, 8)
    shapes: tuple[tuple[int, int], ...] = ((2, 2), (2, 3), (5, 7), (3, 900), (900, 3), (37, 41))

    @pytest.fixture
    def backbone(self) -> Backbone:
        raise NotImplementedError

    def check(self, backbone: Backbone, image: np.ndarray) -> list[TokenActivations]:
        """Run on a private copy; check what must hold for every image."""
        before = image.copy()
        layers = backbone.extract(image)
        np.testing.assert_array_equal(image, before)
        assert layers
        names = [layer.name for layer in layers]
        assert len(set(names)) == len(names), "names tell network layers apart"
        for layer in layers:
            assert isinstance(layer, TokenActivations)
            held = {role for role in ("query", "key", "value") if getattr(layer, role) is not None}
            if "what" in backbone.info.pathways:
                assert "value" in held
            if not layer.stands_in:
                assert ({"query", "key"} <= held) == ("where" in backbone.info.pathways)
            for role in held:
                tensor = getattr(layer, role)
                assert tensor.shape[1] == layer.tokens == layer.grid[0] * layer.grid[1]
                assert bool(tensor.isfinite().all())
                assert not tensor.requires_grad
        return layers

    def test_it_introduces_itself(self, backbone):
        info = backbone.info
        assert info.name
        assert info.family
        assert info.description
        assert info.licence
        assert info.size_bytes >= 0
        assert info.pathways
        assert set(info.pathways) <= {"what", "where"}

    def test_any_number_of_channels(self, backbone):
        for channels in self.channels:
            self.check(backbone, scene(channels=channels, dtype="uint16"))

    @pytest.mark.parametrize("dtype", DTYPES)
    def test_any_real_dtype(self, backbone, dtype):
        for channels in (None, 3, 4):
            self.check(backbone, scene(channels=channels, dtype=dtype))

    def test_any_shape(self, backbone):
        for shape in self.shapes:
            layers = self.check(backbone, scene(shape))
            finest = max(layers, key=lambda layer: layer.tokens)
            # Images run at their own aspect: a long image has a long grid.
            assert (finest.grid[0] >= finest.grid[1]) or shape[0] <= shape[1]
            assert (finest.grid[1] >= finest.grid[0]) or shape[1] <= shape[0]

    @pytest.mark.parametrize("value", [0, 7, 255])
    @pytest.mark.parametrize("channels", [None, 3, 8])
    def test_constant_images(self, backbone, value, channels):
        self.check(backbone, np.full((20, 23) if channels is None else (20, 23, channels), value, np.uint8))

    def test_any_memory_layout(self, backbone):
        image = scene(channels=3)
        expected = backbone.extract(image)
        padded = np.zeros((image.shape[0], 2 * image.shape[1], 3), np.uint8)
        padded[:, ::2] = image
        frozen = image.copy()
        frozen.flags.writeable = False
        for other in (np.asfortranarray(image), image[::-1].copy()[::-1], padded[:, ::2], frozen):
            assert same(backbone.extract(other), expected)
        plane = scene(dtype="uint16")
        assert same(backbone.extract(plane.astype(">u2")), backbone.extract(plane))

    def test_the_same_image_gives_the_same_activations(self, backbone):
        image = scene(channels=3)
        state = torch.get_rng_state()
        first = copy.deepcopy(backbone.extract(image))
        backbone.extract(scene((11, 30), dtype="float32"))
        torch.rand(3)
        assert same(backbone.extract(image), first)
        torch.set_rng_state(state)

    def test_different_images_give_different_activations(self, backbone):
        image = scene(channels=3)
        assert not same(backbone.extract(image[:, ::-1]), backbone.extract(image))

    def test_the_scale_of_a_collection_counts(self, backbone):
        image = scene(dtype="uint16")
        scale = PerceptualScale.fit([image, image // 8])
        assert same(backbone.extract(image // 8, scale=scale), backbone.extract(image // 8, scale=scale))
        assert not same(backbone.extract(image // 8, scale=scale), backbone.extract(image // 8))

    def test_layers_are_pushed_as_they_come(self, backbone):
        image, received = scene(), []
        backbone.visit(image, received.append)
        assert same(received, backbone.extract(image))

    def test_progress_is_reported(self, backbone):
        seen: list[Progress] = []
        backbone.extract(scene(channels=3), report=seen.append)
        assert seen
        assert all(isinstance(progress, Progress) for progress in seen)
        # Before, pixels are read and weights loaded, as stages of their own.
        first = next(number for number, progress in enumerate(seen) if progress.stage == "activations")
        assert all(progress.stage.startswith(("reading", "loading ")) for progress in seen[:first])
        seen = seen[first:]
        assert all(progress.stage == "activations" for progress in seen)
        assert [progress.done for progress in seen] == sorted(progress.done for progress in seen)
        assert all(0 <= progress.done <= progress.total for progress in seen)
        assert seen[-1].done == seen[-1].total > 0

    def test_cancelled_by_its_report_at_every_step(self, backbone):
        image = scene()
        expected, steps = backbone.extract(image), []
        backbone.extract(image, report=steps.append)
        for last in {0, len(steps) // 2, len(steps) - 1}:
            seen = []

            def report(progress, seen=seen, last=last):
                seen.append(progress)
                if len(seen) > last:
                    raise Cancelled

            with pytest.raises(Cancelled):
                backbone.extract(image, report=report)
            assert len(seen) == last + 1
        assert same(backbone.extract(image), expected), "nothing is left behind"

    def test_cancelled_by_its_receiver_at_every_layer(self, backbone):
        image = scene()
        expected = backbone.extract(image)
        for last in {1, len(expected)}:
            received = []

            def receive(layer, received=received, last=last):
                received.append(layer)
                if len(received) == last:
                    raise Cancelled

            with pytest.raises(Cancelled):
                backbone.visit(image, receive)
            assert len(received) == last
        assert same(backbone.extract(image), expected), "nothing is left behind"

    @pytest.mark.parametrize(("image", "error", "words"), REFUSED.values(), ids=REFUSED.keys())
    def test_what_is_no_image_is_refused_in_words(self, backbone, image, error, words):
        received = []
        with pytest.raises(error, match=words):
            backbone.visit(image, received.append)
        assert not received

    def test_pathways_are_honest(self, backbone):
        for pathway in backbone.info.pathways:
            backbone.check_pathway(pathway)
        for pathway in {"what", "where", "both"} - set(backbone.info.pathways):
            if pathway == "both" and len(backbone.info.pathways) == 2:
                backbone.check_pathway(pathway)
                continue
            words = rf"{backbone.info.name!r} cannot give pathway '{pathway}': it has no .*\. Use pathway '"
            with pytest.raises(ValueError, match=words):
                backbone.check_pathway(pathway)
        for pathway in ("why", "", None, 3, ["what"]):
            with pytest.raises(ValueError, match="expected one of 'what', 'where', 'both'"):
                backbone.check_pathway(pathway)
