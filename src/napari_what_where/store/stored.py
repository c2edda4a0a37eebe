"""A backbone that remembers: what it has seen is read from disk, what is new is written along."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from napari_what_where.activations.backbone import Backbone
from napari_what_where.failures import explain
from napari_what_where.image import PerceptualScale, check_image
from napari_what_where.progress import Progress, Report, ignore_progress
from napari_what_where.store.draft import Draft, TooLarge
from napari_what_where.store.folder import ActivationStore
from napari_what_where.store.signature import sign

if TYPE_CHECKING:
    import numpy as np
    import torch

    from napari_what_where.activations.types import TokenActivations
    from napari_what_where.store.entry import Entry
    from napari_what_where.working_plane.object_scale import WorkingPlane

STAGE = "activations"
Remark = Callable[[str], None]


def ignore_remark(remark: str) -> None:
    """The ``remark`` of callers who do not care what became of the store."""


def remembered(backbone: Backbone, store: ActivationStore | None = None, *, remark: Remark = ignore_remark) -> Backbone:
    """``backbone`` with a store, by default the user's, if its activations are worth keeping; else itself."""
    if isinstance(backbone, Stored):
        return Stored(backbone.inner, store or backbone.store, remark=remark)
    return Stored(backbone, store or ActivationStore(), remark=remark) if backbone.keepable else backbone


class Stored(Backbone):
    """A backbone and the store in which its activations are kept.

    Parameters
    ----------
    inner : Backbone
        One whose activations are not ``keepable`` is run as if there were no store.
    store : ActivationStore
    remark : function of one sentence
        Told when something could not be kept, or what was kept cannot be used. That never stops a run.

    What is replayed is what was captured, bit for bit and in order, on the CPU; one network layer is in memory at a
    time. A run that ends by an exception, of ``receive`` or ``report`` as of the model, leaves no entry.
    """

    def __init__(self, inner: Backbone, store: ActivationStore, *, remark: Remark = ignore_remark) -> None:
        self.inner, self.store, self.info = inner, store, inner.info
        self._remark = remark

    def use(self, device: torch.device) -> None:
        self.inner.use(device)

    def describe(self) -> dict[str, Any]:
        return self.inner.describe()

    def describe_view(self, plane: WorkingPlane | None) -> dict[str, Any]:
        return self.inner.describe_view(plane)

    @property
    def keepable(self) -> bool:
        return self.inner.keepable

    def check_pathway(self, pathway: str) -> None:
        self.inner.check_pathway(pathway)

    def visit(
        self,
        image: Any,
        receive: Callable[[TokenActivations], None],
        *,
        scale: PerceptualScale | None = None,
        report: Report = ignore_progress,
    ) -> None:
        self._visit(image, None, receive, scale, report)

    def visit_plane(
        self,
        image: Any,
        plane: WorkingPlane,
        receive: Callable[[TokenActivations], None],
        *,
        scale: PerceptualScale | None = None,
        report: Report = ignore_progress,
    ) -> None:
        self._visit(image, plane, receive, scale, report)

    def _visit(
        self,
        image: Any,
        plane: WorkingPlane | None,
        receive: Callable[[TokenActivations], None],
        scale: PerceptualScale | None,
        report: Report,
    ) -> None:
        if self.store.is_off or not self.keepable:
            self._run(image, plane, receive, scale, report)
            return
        pixels = check_image(image)
        scale = scale or PerceptualScale.fit([pixels])
        signature = sign(pixels, scale, plane, self.inner)
        entry = self._find(signature)
        handed = 0 if entry is None else self._replay(entry, receive, report)
        if entry is not None and handed == len(entry.layers):
            return
        keeping = _Keeping(lambda: self.store.draft(signature, self._about(pixels)), self._say_not_kept)
        seen = 0

        def take(layer: TokenActivations) -> None:
            nonlocal seen
            seen += 1
            keeping.add(layer)
            # What a damaged entry gave before its damage is not given twice.
            if seen > handed:
                receive(layer)

        try:
            self._run(pixels, plane, take, scale, report)
        except BaseException:
            keeping.abandon()
            raise
        keeping.finish(self.store.make_room)

    def _run(
        self,
        image: Any,
        plane: WorkingPlane | None,
        receive: Callable[[TokenActivations], None],
        scale: PerceptualScale | None,
        report: Report,
    ) -> None:
        if plane is None:
            self.inner.visit(image, receive, scale=scale, report=report)
        else:
            self.inner.visit_plane(image, plane, receive, scale=scale, report=report)

    def _find(self, signature: str) -> Entry | None:
        try:
            return self.store.find(signature)
        except (OSError, ValueError):
            self._drop(signature)
            return None

    def _replay(self, entry: Entry, receive: Callable[[TokenActivations], None], report: Report) -> int:
        """Hand over what is kept, as far as it is as it was. How many network layers that were."""
        report(Progress(STAGE, 0, len(entry.layers)))
        for number in range(len(entry.layers)):
            try:
                layer = entry.read(number)
            except MemoryError:
                raise
            except Exception:
                self._drop(entry.signature)
                return number
            receive(layer)
            report(Progress(STAGE, number + 1, len(entry.layers)))
        entry.touch()
        return len(entry.layers)

    def _drop(self, signature: str) -> None:
        self.store.remove(signature)
        self._remark("Activations that were kept of this image cannot be read any more; the model runs again.")

    def _say_not_kept(self, problem: Exception) -> None:
        reason = str(problem) if isinstance(problem, TooLarge) else explain(problem)
        self._remark(f"The activations are not kept for the next run: {reason}")

    def _about(self, pixels: np.ndarray) -> dict[str, Any]:
        return {"model": self.info.name, "image_shape": list(pixels.shape)}


class _Keeping:
    """Writes along for as long as that works: what goes wrong ends the keeping, never the run."""

    def __init__(self, begin: Callable[[], Draft], failed: Callable[[Exception], None]) -> None:
        self._draft: Draft | None = None
        self._failed = failed
        try:
            self._draft = begin()
        except Exception as problem:
            failed(problem)

    def add(self, layer: TokenActivations) -> None:
        self._attempt(lambda draft: draft.add(layer))

    def finish(self, make_room: Callable[[int], None]) -> None:
        self._attempt(lambda draft: draft.finish(make_room))

    def abandon(self) -> None:
        if self._draft is not None:
            self._draft.abandon()
            self._draft = None

    def _attempt(self, act: Callable[[Draft], None]) -> None:
        if self._draft is None:
            return
        try:
            act(self._draft)
        except Exception as problem:
            self.abandon()
            self._failed(problem)
