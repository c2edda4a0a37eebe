"""Selection of candidates beside its naive twins."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_what_where.segments.objects.selection import best_disjoint, suppress


def random_tree(leaves: int, rng: np.random.Generator) -> np.ndarray:
    roots, children = list(range(leaves)), []
    for node in range(leaves, 2 * leaves - 1):
        pair = [roots.pop(int(rng.integers(len(roots)))) for _ in range(2)]
        children.append(pair)
        roots.append(node)
    return np.array(children, int).reshape(-1, 2)


def below(children: np.ndarray, leaves: int) -> list[set[int]]:
    held = [{leaf} for leaf in range(leaves)]
    for first, second in children.tolist():
        held.append(held[first] | held[second] | {first, second, len(held)})
    return [nodes | {node} for node, nodes in enumerate(held)]


@given(st.integers(1, 6), st.integers(0, 200))
def test_no_antichain_beats_it_where_areas_add_up(leaves, seed):
    """With areas that are sums of the leaves', and every node a candidate, the best mean quality of a full cover."""
    rng = np.random.default_rng(seed)
    children = random_tree(leaves, rng)
    held = below(children, leaves)
    sizes = rng.integers(1, 9, leaves).astype(float)
    areas = np.array([sum(sizes[leaf] for leaf in nodes if leaf < leaves) for nodes in held])
    qualities = rng.random(len(held)) + 0.01

    def score(nodes):
        return sum(areas[n] * qualities[n] for n in nodes) / sizes.sum()

    covers = [
        nodes
        for size in range(1, leaves + 1)
        for nodes in itertools.combinations(range(len(held)), size)
        if not any(one in held[other] or other in held[one] for one, other in itertools.combinations(nodes, 2))
        and sum(areas[n] for n in nodes) == sizes.sum()
    ]
    chosen = best_disjoint(children, qualities, areas)
    assert tuple(chosen) in covers
    assert score(chosen) == pytest.approx(max(map(score, covers)))


@given(st.integers(1, 30), st.integers(0, 100))
def test_what_is_chosen_is_disjoint_and_of_some_quality(leaves, seed):
    rng = np.random.default_rng(seed)
    children = random_tree(leaves, rng)
    held = below(children, leaves)
    qualities = np.where(rng.random(len(held)) < 0.5, 0, rng.random(len(held)))
    chosen = best_disjoint(children, qualities, rng.integers(1, 9, len(held)))
    assert all(qualities[node] > 0 for node in chosen)
    assert not any(one in held[other] or other in held[one] for one, other in itertools.combinations(chosen, 2))
    assert bool(chosen) == bool((qualities > 0).any())


def naive_suppress(masks, scores, overlap):
    kept = []
    for i in sorted(range(len(masks)), key=lambda i: (-scores[i], i)):
        ious = [(masks[i] & masks[j]).sum() / max((masks[i] | masks[j]).sum(), 1) for j in kept]
        if all(iou <= overlap for iou in ious):
            kept.append(i)
    return kept


@given(st.integers(0, 25), st.sampled_from([0.0, 0.3, 0.7, 1.0]), st.integers(0, 100))
def test_suppression_is_its_naive_twin(count, overlap, seed):
    rng = np.random.default_rng(seed)
    masks = rng.random((count, 12)) < rng.random((count, 1)) + 0.1
    scores = rng.integers(0, 4, count) / 4
    assert suppress(masks, scores, overlap) == naive_suppress(masks, scores, overlap)


def test_suppression_of_cells_is_that_of_their_pixels(rng):
    cells = rng.random((15, 8)) < 0.5
    areas = rng.integers(1, 6, 8)
    scores = rng.random(15)
    assert suppress(cells, scores, 0.6, areas) == suppress(np.repeat(cells, areas, axis=1), scores, 0.6)
