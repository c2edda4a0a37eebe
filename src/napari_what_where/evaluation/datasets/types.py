"""What every layout of images and ground truth is read into."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import numpy as np

    from napari_what_where.evaluation.instances import Instance

MEASURES = ("regions", "boundaries", "classes", "instances")
"""Groups of measures, and what of the truth each needs."""


class LayoutError(ValueError):
    """A folder that is not laid out as the data set is; says what was expected and what was found."""


@dataclass(frozen=True, eq=False)
class Truth:
    """The ground truth of one image; what a data set does not have is empty or None.

    ``segmentations``: each annotator's (rows, columns) integer regions, negative where void; ``classes``: (rows,
    columns) class numbers, negative where void; ``instances``: a function that gives the objects, as encoding them
    costs; ``void``: (rows, columns) bool, pixels that belong to no object and judge none.
    """

    segmentations: Sequence[np.ndarray] = ()
    classes: np.ndarray | None = None
    instances: Callable[[], list[Instance]] | None = None
    void: np.ndarray | None = None


class Sample(NamedTuple):
    """One image of a data set.

    ``name``: unique within it; ``image``: the file; ``sources``: all files that its truth is read from; ``read``:
    reads the truth.
    """

    name: str
    image: Path
    sources: tuple[Path, ...]
    read: Callable[[], Truth]


@dataclass(frozen=True, eq=False)
class DataSet:
    """Images with ground truth.

    ``measures``: the groups, of ``MEASURES``, that the truth allows; ``usual``: those measured unless asked
    otherwise; ``classes``: the names of class numbers, where they are known; ``options``: how the truth was asked to
    be read, ready for JSON.
    """

    name: str
    samples: Sequence[Sample]
    measures: tuple[str, ...]
    usual: tuple[str, ...]
    classes: Mapping[int, str] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
