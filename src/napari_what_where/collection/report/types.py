"""What a report is made from: plain arrays, numbers and words."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np


@dataclass(frozen=True, eq=False)
class ReportImage:
    """One image of the collection.

    Attributes
    ----------
    name : as the reader knows it, such as its file name
    labels : (rows, columns) integers 1 … clusters; 0 is none of them
    vectors : (count, grid_rows, grid_columns) float; the k-th means the same in every image
    points : (coordinates, grid_rows, grid_columns) float; where tokens lie among each other when kinds are told apart
    read : gives the image, (rows, columns[, channels]) of any real dtype, when it is asked for; what it raises is told
        in the place of the picture
    files : what its results are, and their paths from the page on, to link to
    """

    name: str
    labels: np.ndarray
    vectors: np.ndarray
    points: np.ndarray
    read: Callable[[], np.ndarray]
    files: Mapping[str, str] = field(default_factory=dict)


class LayerEnergy(NamedTuple):
    """How much of a network layer was kept: ``kept``, 0 … 1, in ``rank`` of ``width`` directions."""

    name: str
    kept: float
    rank: int
    width: int


@dataclass(frozen=True, eq=False)
class Report:
    """All that a report says.

    Attributes
    ----------
    title : what the collection is called, such as the name of its folder
    images : in their order; each is asked for two times, none is kept
    clusters : how many there are
    values : eigenvalues, descending
    layers : what was kept of each network layer; empty where nothing was left out
    failures : name of an image, and in one line what was wrong with it
    facts : how the report was made, as (what, in words)
    remarks : sentences that a reader should know
    made : when and how long, in words; the only text that differs from run to run
    files : what other files there are of all images together, and their paths from the page on
    """

    title: str
    images: Sequence[ReportImage]
    clusters: int
    values: Sequence[float] | np.ndarray
    layers: Sequence[LayerEnergy] = ()
    failures: Sequence[tuple[str, str]] = ()
    facts: Sequence[tuple[str, str]] = ()
    remarks: Sequence[str] = ()
    made: str = ""
    files: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.clusters < 1:
            raise ValueError(f"Received {self.clusters} kinds; expected at least one.")


Picture = np.ndarray
"""(rows, columns, 3) uint8."""

Box = tuple[slice, slice]
"""Rows and columns of an image."""

Json = dict[str, Any]
