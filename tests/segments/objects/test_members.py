"""Sets of leaves beside dense memberships."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.measure import label

from napari_what_where.segments.clusters import kmeans
from napari_what_where.segments.objects import members
from napari_what_where.segments.objects.members import CLUSTERS, component_members, node_members


def random_tree(leaves: int, rng: np.random.Generator) -> np.ndarray:
    roots, children = list(range(leaves)), []
    for node in range(leaves, 2 * leaves - 1):
        children.append([roots.pop(int(rng.integers(len(roots)))) for _ in range(2)])
        roots.append(node)
    return np.array(children, np.int64).reshape(-1, 2)


def dense(children: np.ndarray) -> np.ndarray:
    """Which leaves each node holds, (nodes, leaves) bool."""
    count = len(children) + 1
    held = [np.eye(count, dtype=bool)[leaf] for leaf in range(count)]
    for first, second in children.tolist():
        held.append(held[first] | held[second])
    return np.array(held)


@given(st.integers(1, 40), st.integers(0, 200))
def test_nodes_hold_what_dense_memberships_hold(leaves, seed):
    rng = np.random.default_rng(seed)
    children, areas = random_tree(leaves, rng), rng.integers(1, 9, leaves).astype(float)
    low, high = sorted(rng.integers(1, int(areas.sum()) + 2, 2).tolist())
    held = dense(children)
    fitting = np.flatnonzero((held @ areas >= low) & (held @ areas <= high))
    nodes, found = node_members(children, areas, (low, high))
    np.testing.assert_array_equal(nodes, fitting)
    for node, inside in zip(nodes, found, strict=True):
        np.testing.assert_array_equal(inside, np.flatnonzero(held[node]))


def test_a_chain_of_many_leaves_has_few_candidates(monkeypatch):
    monkeypatch.setattr(members, "MANY_LEAVES", 100)
    count = 2000
    chain = np.array([(0, 1), *((count + i - 1, i + 1) for i in range(1, count - 1))])
    nodes, found = node_members(chain, np.ones(count), (4, count))
    sizes = np.array([len(inside) for inside in found])
    assert len(nodes) < 100
    # What is left out is hardly larger than the candidate below it.
    assert (sizes[1:] / sizes[:-1]).max() < 1.3
    assert sizes[-1] > count / 1.11


@settings(max_examples=10)
@given(st.integers(0, 100))
def test_components_are_those_of_the_naive_twin_in_its_order(seed):
    rng = np.random.default_rng(seed)
    leaves = np.repeat(np.repeat(np.arange(48).reshape(6, 8), 2, axis=0), 3, axis=1)
    features = rng.integers(0, 4, (48, 2)) + 0.1 * rng.normal(size=(48, 2))
    areas = np.full(48, 6.0)
    rows = []
    for clusters in CLUSTERS:
        grid = kmeans(features, clusters, weights=areas).reshape(6, 8)
        parts = label(grid, connectivity=1, background=-1).ravel()
        rows += [parts == part for part in np.unique(parts)]
    twin = np.unique(np.array(rows), axis=0)
    twin = twin[(twin @ areas >= 12) & (twin @ areas <= 150)]
    found = component_members(leaves, features, areas, (12, 150))
    assert [np.flatnonzero(row).tolist() for row in twin] == [group.tolist() for group in found]
