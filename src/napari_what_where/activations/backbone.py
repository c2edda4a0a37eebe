"""The seam of backbones: image in, activations of every network layer out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from napari_what_where.activations.types import TokenActivations
from napari_what_where.image import PerceptualScale
from napari_what_where.progress import Report, ignore_progress
from napari_what_where.working_plane.object_scale import WorkingPlane

if TYPE_CHECKING:
    import torch

PATHWAYS = ("what", "where", "both")


@dataclass(frozen=True)
class BackboneInfo:
    """What a user wants to know before choosing a backbone."""

    name: str
    family: str
    description: str
    pathways: tuple[str, ...]
    """Which of "what" and "where" it can give."""
    size_bytes: int
    """Of its weights; 0 if it has none."""
    licence: str
    status: str = "ready"
    """"ready", or what is missing and what to do about it."""


class Backbone(ABC):
    """A source of activations.

    Subclasses set ``info`` and implement :meth:`visit`, which *pushes* each network layer as soon as it is captured:
    the receiver may keep it, fold it into an affinity and drop it, or raise (to cancel inside a forward pass).
    """

    info: BackboneInfo
    given_options: Mapping[str, Any] = MappingProxyType({})
    """What it was asked for beyond its name, as :func:`~napari_what_where.load_backbone` takes it."""

    def use(self, device: torch.device) -> None:  # noqa: B027 - not every backbone has weights to move
        """Compute on this device from now on. What is cheap enough for the CPU may ignore it."""

    def describe(self) -> dict[str, Any]:
        """What decides the activations besides the image, ready for JSON: model, revision, options."""
        return {"name": self.info.name}

    def describe_view(self, plane: WorkingPlane | None) -> dict[str, Any]:
        """What :meth:`visit_plane` looks at, or :meth:`visit` for None, ready for JSON: what is told alike is alike."""
        return {} if plane is None else asdict(plane)

    @contextmanager
    def at_timestep(self, timestep: int) -> Iterator[bool]:
        """Within the block a diffusion model looks at this timestep; yields whether there are timesteps at all."""
        yield False

    @property
    def keepable(self) -> bool:
        """Whether activations are worth keeping on disk, and :meth:`describe` tells all that decides them."""
        return False

    @abstractmethod
    def visit(
        self,
        image: Any,
        receive: Callable[[TokenActivations], None],
        *,
        scale: PerceptualScale | None = None,
        report: Report = ignore_progress,
    ) -> None:
        """Run on one image and hand each network layer's activations to ``receive``.

        ``image``: (rows, columns[, channels]), any real dtype. ``scale``: one intensity scaling for all images of a
        collection; by default the image's own. Exceptions of ``receive`` and ``report`` pass through and leave
        nothing behind. Raises ``ValueError`` or ``TypeError`` for what is no image.
        """

    def visit_plane(
        self,
        image: Any,
        plane: WorkingPlane,
        receive: Callable[[TokenActivations], None],
        *,
        scale: PerceptualScale | None = None,
        report: Report = ignore_progress,
    ) -> None:
        """:meth:`visit` at the scale of a working plane that an object size asked for.

        By default one view of the whole image, whatever the plane. A backbone that can look closer, tile by tile,
        hands over the tokens of all tiles on one grid for each network layer.
        """
        self.visit(image, receive, scale=scale, report=report)

    def view(
        self,
        image: Any,
        receive: Callable[[TokenActivations], None],
        *,
        scale: PerceptualScale | None = None,
        plane: WorkingPlane | None = None,
        report: Report = ignore_progress,
    ) -> None:
        """:meth:`visit`, or :meth:`visit_plane` for a ``plane`` that an object size asked for."""
        if plane is None or plane.view:
            self.visit(image, receive, scale=scale, report=report)
        else:
            self.visit_plane(image, plane, receive, scale=scale, report=report)

    def extract(
        self,
        image: Any,
        *,
        scale: PerceptualScale | None = None,
        plane: WorkingPlane | None = None,
        report: Report = ignore_progress,
    ) -> list[TokenActivations]:
        """All network layers' activations at once; see :meth:`view`."""
        collected: list[TokenActivations] = []
        self.view(image, collected.append, scale=scale, plane=plane, report=report)
        return collected

    def check_pathway(self, pathway: str) -> None:
        """Raise ``ValueError``, saying why and what to do, if this backbone cannot give the pathway, or none can."""
        if pathway not in PATHWAYS:
            raise ValueError(f"pathway is {pathway!r}; expected one of {', '.join(map(repr, PATHWAYS))}.")
        needed = ("what", "where") if pathway == "both" else (pathway,)
        missing = [name for name in needed if name not in self.info.pathways]
        if missing:
            lacks = "attention, so no queries and keys" if "where" in missing else "values"
            raise ValueError(
                f"Backbone {self.info.name!r} cannot give pathway {pathway!r}: it has no {lacks}. "
                f"Use pathway {self.info.pathways[0]!r}, or another backbone."
            )
