"""Pass after pass over the images of a collection; each is read, computed on and let go before the next."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import reduce
from operator import add
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from napari_what_where.collection.sorts import check_fits, depth_of, fit_scale, spread, tell_depths
from napari_what_where.collection.spool import Spool
from napari_what_where.failures import explain
from napari_what_where.image import PerceptualScale, check_image
from napari_what_where.progress import Cancelled, Progress, Report, checkpoints
from napari_what_where.store.signature import sign
from napari_what_where.working_plane.object_scale import WorkingPlane, plan_plane

if TYPE_CHECKING:
    import torch

    from napari_what_where.activations.backbone import Backbone
    from napari_what_where.activations.types import TokenActivations

SCALE_IMAGES = 16
"""The intensity scale is fitted to at most so many images, evenly spaced."""
SCALE_PIXELS = 8_000_000
"""To about so many of their pixels in all."""
_Sum = TypeVar("_Sum")


@dataclass(eq=False)
class Passes:
    """What all passes over a collection share, and which of its images failed.

    ``images``: anything with a length whose items can be asked for by number, each (rows, columns[, channels]); they
    are asked for again in every pass that needs pixels. With ``skip_bad`` an image that fails is noted in
    ``failures`` and left out from then on; else what it raised is raised, with its number.
    """

    images: Sequence[Any]
    backbone: Backbone
    pathway: str
    spool: Spool
    device: torch.device
    skip_bad: bool
    report: Report
    scale: PerceptualScale | None = None
    smallest_object: float | None = None
    failures: dict[int, str] = field(default_factory=dict)
    signatures: dict[int, str] = field(default_factory=dict)
    depths: dict[int, str] = field(default_factory=dict)
    """Of images of data, what their numbers are."""

    @property
    def good(self) -> list[int]:
        """Numbers of the images that have not failed."""
        return [number for number in range(len(self.images)) if number not in self.failures]

    @property
    def strict(self) -> Passes:
        """The same, in which no image may fail any more."""
        return replace(self, skip_bad=False)

    def pixels(self, number: int) -> np.ndarray:
        """An image, checked. Whatever goes wrong with reading it is its own fault."""
        with self.blaming(number, Exception):
            return check_image(self.images[number])

    def fit_scale(self) -> PerceptualScale:
        """One intensity scale for all, from evenly spaced images, unless one was given.

        In place of those that are no images others are looked at, until there are enough, or no more.
        """
        if self.scale is None:
            self.scale = fit_scale(self._sample(min(len(self.images), SCALE_IMAGES)))
        return self.scale

    def _sample(self, wanted: int) -> list[np.ndarray]:
        """Some pixels of so many images; those that are none are left for later to be told."""
        found: list[np.ndarray] = []
        for number in spread(len(self.images), wanted):
            if len(found) == wanted:
                break
            self.report(Progress("reading", len(found), wanted))
            try:
                pixels = self.pixels(number)
            except _Failed:
                continue
            step = max(1, int(np.ceil(np.sqrt(pixels.shape[0] * pixels.shape[1] * wanted / SCALE_PIXELS))))
            step = 1 if len(self.images) == 1 else min(step, min(pixels.shape[:2]) // 2)
            found.append(np.array(pixels[::step, ::step]))
        return found

    def sign_all(self) -> None:
        """Look at every image, and at what decides its activations; no model runs."""
        scale = self.fit_scale()
        for done, number in enumerate(self.good):
            self.report(Progress("reading", done, len(self.images)))
            with self._leaving_out(), self.blaming(number, TypeError, ValueError):
                self._sign(number, self.pixels(number), scale)

    def first(self, each: Callable[[Sequence[TokenActivations]], _Sum]) -> _Sum:
        """The sum over images of what ``each`` makes of their network layers, which the model computes now.

        What an earlier, unfinished run has kept of an image is read instead.
        """
        total: _Sum | None = None
        for number in self.good:
            tell = _within(self.report, f"image {number + 1} of {len(self.images)}")
            tell(Progress("reading", number, len(self.images)))
            with self._leaving_out():
                layers = self._compute(number, tell)
                with self.blaming(number, ValueError), checkpoints(tell, Progress("collection", 0, 0)):
                    part = each(self._on_device(layers))
                total = part if total is None else add(total, part)
        if total is None:
            raise ValueError(self._none_left())
        return total

    def again(self, stage: str, each: Callable[[Sequence[TokenActivations]], _Sum]) -> _Sum:
        """The sum over images of what ``each`` makes of what was kept of them."""
        return reduce(add, self.layers(stage, each))

    def layers(self, stage: str, each: Callable[[Sequence[TokenActivations]], _Sum]) -> Iterator[_Sum]:
        """For every image that has not failed, in order, what ``each`` makes of what was kept of it."""
        good = self.good
        for done, number in enumerate(good):
            self.report(progress := Progress(stage, done, len(good)))
            with checkpoints(self.report, progress):
                yield each(self._on_device(self.kept(number)))

    def kept(self, number: int) -> list[TokenActivations]:
        """What was kept of an image; computed again where it was damaged meanwhile.

        That it cannot be read any more ends the work: it is part of what was found before.
        """
        layers = self.spool.read(number, self.signatures[number])
        return layers if layers is not None else self.strict._compute(number, self.report)

    def fresh(self, number: int, report: Report) -> list[TokenActivations]:
        """What the model gives now of an image, which is not kept; raises as :meth:`kept`."""
        pixels, scale = self.strict.pixels(number), self.fit_scale()
        return self.backbone.extract(pixels, scale=scale, plane=self.plane(pixels), report=report)

    def plane(self, pixels: np.ndarray) -> WorkingPlane:
        """The plane that an image is worked on."""
        return plan_plane((pixels.shape[0], pixels.shape[1]), self.smallest_object)

    def _compute(self, number: int, report: Report) -> list[TokenActivations]:
        pixels, scale = self.pixels(number), self.fit_scale()
        with self.blaming(number, TypeError, ValueError):
            signature = self._sign(number, pixels, scale)
            found = self.spool.read(number, signature)
            if found is not None:
                return found
            return self.spool.write(
                number,
                signature,
                pixels.shape,
                lambda receive: self.backbone.view(
                    pixels, receive, scale=scale, plane=self.plane(pixels), report=report
                ),
                pathway=self.pathway,
                model=self.backbone.info.name,
            )

    def _sign(self, number: int, pixels: np.ndarray, scale: PerceptualScale) -> str:
        check_fits(scale, pixels)
        plane = self.plane(pixels)
        if not scale.colour:
            self.depths[number] = depth_of(pixels)
        signature = self.signatures[number] = sign(pixels, scale, None if plane.view else plane, self.backbone)
        return signature

    def _on_device(self, layers: Sequence[TokenActivations]) -> Sequence[TokenActivations]:
        return [on_device(layer, self.device) for layer in layers]

    @contextmanager
    def blaming(self, number: int, *kinds: type[Exception]) -> Iterator[None]:
        """Within the block, exceptions of these kinds are an image's own fault: it fails, and they say which it is."""
        try:
            yield
        except (Cancelled, MemoryError, _Failed):
            raise
        except kinds as problem:
            text = explain(problem)
            if self.skip_bad:
                self.failures[number] = text
                raise _Failed from problem
            kind = TypeError if isinstance(problem, TypeError) else ValueError
            raise kind(f"Image {number} (of {len(self.images)}, counted from 0): {text}") from problem

    @contextmanager
    def _leaving_out(self) -> Iterator[None]:
        """Within the block an image may fail, and the next one follows."""
        with suppress(_Failed):
            yield

    def remarks(self) -> list[str]:
        """Sentences that the reader of what was found should know of the images."""
        return tell_depths(self.depths[number] for number in self.good if number in self.depths)

    def _none_left(self) -> str:
        number = min(self.failures)
        return (
            f"None of the {len(self.images)} images could be analysed; expected at least one. "
            f"Image {number} (counted from 0): {self.failures[number]}"
        )


class _Failed(Exception):
    """An image failed, and that has been noted."""


def on_device(layer: TokenActivations, device: torch.device) -> TokenActivations:
    """A network layer's activations there; where float64 is not to be had, they stay."""
    if device.type in ("cpu", "mps"):
        return layer
    query, key, value = (None if each is None else each.to(device) for each in (layer.query, layer.key, layer.value))
    return replace(layer, query=query, key=key, value=value)


def _within(report: Report, title: str) -> Report:
    return lambda progress: report(progress._replace(stage=f"{title}: {progress.stage}"))
