"""Numbers carried from plane to plane: what overlaps most keeps its number."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

LEAST_OVERLAP = 0.2
"""Of two planes' regions, the least intersection over union at which one can be the other going on."""

DENSE_KEYS = 2**24
"""Up to so many pairs of ids are counted in one table, beyond that by sorting."""


@dataclass(frozen=True, eq=False)
class Overlap:
    """How many pixels each id of one plane shares with each of the next; only pairs that share any.

    Attributes
    ----------
    first, second : (pairs,) int64
        Ids in the one and the other plane.
    pixels : (pairs,) float64
        That both hold.
    """

    first: np.ndarray
    second: np.ndarray
    pixels: np.ndarray


def overlap(first: np.ndarray, second: np.ndarray) -> Overlap:
    """Count the pixels that ids of two planes share.

    Parameters
    ----------
    first, second : (rows, columns) int
        Ids ≥ 0; two planes of one shape, else ``ValueError``.

    Notes
    -----
    Cost: one pass over the pixels where the largest ids are below some thousands, else a sort of them.
    """
    if first.shape != second.shape:
        raise ValueError(f"The planes have shapes {first.shape} and {second.shape}; expected one shape for both.")
    width = int(second.max(initial=0)) + 1
    key = first.ravel().astype(np.int64) * width + second.ravel()
    if (int(first.max(initial=0)) + 1) * width <= DENSE_KEYS:
        counts = np.bincount(key)
        keys = np.flatnonzero(counts)
        counts = counts[keys]
    else:
        keys, counts = np.unique(key, return_counts=True)
    return Overlap(keys // width, keys % width, counts.astype(np.float64))


def link_labels(
    overlaps: Sequence[Overlap],
    tables: Sequence[np.ndarray],
    *,
    bridges: Sequence[Overlap] = (),
    least_overlap: float = LEAST_OVERLAP,
) -> list[np.ndarray]:
    """Renumber the labels of consecutive planes so that what overlaps most has one number.

    Between each two planes the one-to-one assignment of greatest total intersection over union, of pairs that reach
    ``least_overlap`` (the linear assignment problem; Kuhn 1955). What is left over is, with ``bridges``, assigned
    in the same way to what the plane before lost of the one before that. The first plane keeps its numbers; a label
    without any partner gets the next number that no plane has had so far.

    Parameters
    ----------
    overlaps : sequence of planes − 1 Overlap
        Of the *ids* of consecutive planes (leaves, say): made once, whatever the labels are.
    tables : sequence of (ids,) int
        For each plane the label, from 1, of each of its ids; 0 for those that are in no region.
    bridges : sequence of planes − 2 Overlap, optional
        Of planes with one between them, over which a number that was lost is found again.
    least_overlap : float in (0, 1]
        Least intersection over union of a pair.

    Returns
    -------
    list of (ids,) int32

    Notes
    -----
    Cost: one pass over the pairs of ids, and an assignment within each group of labels that overlap; about a
    millisecond a plane for hundreds of regions.
    """
    _check_counts(len(tables), len(overlaps), len(bridges))
    linked = [np.asarray(table, np.int32) for table in tables[:1]]
    used = int(linked[0].max(initial=0)) if linked else 0
    for index, (shared, table) in enumerate(zip(overlaps, tables[1:], strict=True), 1):
        numbers = np.zeros(int(table.max(initial=0)) + 1, np.int32)
        held, counterpart = match(*label_overlap(shared, linked[-1], table), least_overlap)
        numbers[counterpart] = held
        if bridges and index >= 2:
            lost, found, ratio = label_overlap(bridges[index - 2], linked[-2], table)
            left = ~np.isin(lost, linked[-1]) & (numbers[found] == 0)
            held, counterpart = match(lost[left], found[left], ratio[left], least_overlap)
            numbers[counterpart] = held
        present = np.unique(table)
        fresh = present[(present > 0) & (numbers[present] == 0)]
        numbers[fresh] = used + 1 + np.arange(len(fresh))
        used += len(fresh)
        linked.append(numbers[table])
    return linked


def _check_counts(planes: int, overlaps: int, bridges: int) -> None:
    if overlaps != max(0, planes - 1) or bridges not in (0, max(0, planes - 2)):
        raise ValueError(
            f"Received {overlaps} overlaps and {bridges} bridges for {planes} planes; expected one overlap for each "
            "two neighbours and one bridge, or none, for each two planes with one between."
        )


def label_overlap(shared: Overlap, first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs of labels that share pixels, and the intersection over union of each: three (pairs,) arrays.

    ``first`` and ``second``, (ids,) int: labels of the ids; 0 is no label, but its pixels count as outside.
    """
    one, two = first[shared.first].astype(np.int64), second[shared.second].astype(np.int64)
    width = int(second.max(initial=0)) + 1
    keys, place = np.unique(one * width + two, return_inverse=True)
    both = np.bincount(place, shared.pixels)
    area_one, area_two = np.bincount(one, shared.pixels), np.bincount(two, shared.pixels)
    rows, columns = keys // width, keys % width
    ratio = both / (area_one[rows] + area_two[columns] - both)
    kept = (rows > 0) & (columns > 0)
    return rows[kept], columns[kept], ratio[kept]


def match(rows: np.ndarray, columns: np.ndarray, weights: np.ndarray, least: float) -> tuple[np.ndarray, np.ndarray]:
    """The one-to-one pairs (rows, columns) of greatest total weight, of those of at least ``least``.

    ``rows``, ``columns``: (pairs,) int names; ``weights``: (pairs,) float > 0. Solved for each connected group of
    pairs alone; most are a single pair.
    """
    from scipy.optimize import linear_sum_assignment
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    strong = weights >= least
    rows, columns, weights = rows[strong], columns[strong], weights[strong]
    if not len(rows):
        return rows, columns
    row_names, row = np.unique(rows, return_inverse=True)
    column_names, column = np.unique(columns, return_inverse=True)
    size = len(row_names) + len(column_names)
    graph = coo_array((np.ones(len(row)), (row, column + len(row_names))), shape=(size, size))
    group = connected_components(graph, directed=False)[1][row]
    order = np.argsort(group, kind="stable")
    chosen = []
    for members in np.split(order, np.flatnonzero(np.diff(group[order])) + 1):
        if len(members) == 1:
            chosen.append(members)
            continue
        local_rows, r = np.unique(row[members], return_inverse=True)
        local_columns, c = np.unique(column[members], return_inverse=True)
        pair = np.full((len(local_rows), len(local_columns)), -1)
        gain = np.zeros(pair.shape)
        pair[r, c], gain[r, c] = members, weights[members]
        picked = pair[linear_sum_assignment(gain, maximize=True)]
        chosen.append(picked[picked >= 0])
    pairs: Any = np.concatenate(chosen)
    return rows[pairs], columns[pairs]


def link_images(labels: np.ndarray, *, least_overlap: float = LEAST_OVERLAP) -> np.ndarray:
    """Link the numbers of label images from plane to plane.

    Parameters
    ----------
    labels : (planes, rows, columns) int
        0 is background, and stays so.
    least_overlap : float in (0, 1]
        As in :func:`link_labels`.

    Returns
    -------
    (planes, rows, columns) int32
    """
    planes = [np.unique(plane, return_inverse=True) for plane in labels]
    ids = [inverse.reshape(labels.shape[1:]) for _, inverse in planes]
    overlaps = [overlap(one, two) for one, two in itertools.pairwise(ids)]
    bridges = [overlap(one, two) for one, two in zip(ids[:-2], ids[2:], strict=True)]
    tables = link_labels(overlaps, [names for names, _ in planes], bridges=bridges, least_overlap=least_overlap)
    linked = np.empty(labels.shape, np.int32)
    for plane, table, index in zip(linked, tables, ids, strict=True):
        plane[...] = table[index]
    return linked
