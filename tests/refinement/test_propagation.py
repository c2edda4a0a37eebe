"""Strokes carried to the rest of a plane."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.ndimage import maximum_filter
from scipy.stats import rankdata
from skimage.segmentation import watershed

import napari_what_where as ww
from napari_what_where.refinement.flooding import flood_borders, near_borders
from napari_what_where.refinement.propagation import Propagator, _majority, lead
from napari_what_where.refinement.walking import Walkers, ranks

SHAPE = (48, 64)


@pytest.fixture(scope="module")
def quarters():
    """Four flat, slightly noisy quarters in colour, and which they are, from 1 on."""
    truth = np.array([[1, 2], [3, 4]]).repeat(24, axis=0).repeat(32, axis=1)
    colours = np.array([[0, 0, 0], [200, 40, 40], [40, 200, 40], [40, 40, 200], [220, 220, 60]])
    image = colours[truth] + np.random.default_rng(0).integers(-12, 13, (*SHAPE, 3))
    return image.astype(np.uint8), truth


@pytest.fixture(scope="module")
def analysis(quarters):
    return ww.analyze(quarters[0])


@pytest.fixture(scope="module")
def propagator(analysis):
    return Propagator(analysis)


def strokes_of(truth):
    scribbles = np.zeros(truth.shape, np.uint8)
    for row, column in ((10, 10), (10, 50), (40, 10), (40, 50)):
        scribbles[row, column : column + 5] = truth[row, column]
    return scribbles


def test_a_stroke_in_each_quarter_gives_the_quarters(analysis, quarters):
    labels = ww.propagate_labels(analysis, strokes_of(quarters[1]))
    assert labels.dtype == np.int32
    assert (labels == quarters[1]).mean() > 0.99


def test_only_the_first_call_prepares_anything(analysis, quarters, monkeypatch):
    ww.propagate_labels(analysis, strokes_of(quarters[1]))
    monkeypatch.setattr("napari_what_where.refinement.propagation.make_walkers", None)
    ww.propagate_labels(analysis, strokes_of(quarters[1]))


def test_without_edges_the_embedding_alone_decides(quarters):
    analysis = ww.analyze(quarters[0], follow_edges=False)
    labels = ww.propagate_labels(analysis, strokes_of(quarters[1]))
    assert (labels == quarters[1]).mean() > 0.9


def test_a_constant_image_is_shared_out(quarters):
    with pytest.warns(UserWarning, match="constant"):
        analysis = ww.analyze(np.full(SHAPE, 7.0))
    labels = ww.propagate_labels(analysis, strokes_of(quarters[1]))
    assert set(np.unique(labels)) == {1, 2, 3, 4}


@pytest.mark.parametrize("shape", [(96, 128), (24, 32), (37, 91)])
def test_labels_of_any_resolution(analysis, quarters, shape):
    rows, columns = (np.arange(new) * old // new for new, old in zip(shape, SHAPE, strict=True))
    truth = quarters[1][rows][:, columns]
    scribbles = np.where(np.random.default_rng(0).random(shape) < 0.02, truth, 0)
    labels = Propagator(analysis, shape).labels(scribbles)
    assert labels.shape == shape
    np.testing.assert_array_equal(labels[scribbles > 0], scribbles[scribbles > 0])
    assert (labels == truth).mean() > 0.95


def test_an_image_larger_than_its_working_plane(quarters):
    image = np.kron(quarters[0][..., 0], np.ones((30, 30), np.uint8))
    analysis = ww.analyze(image)
    assert analysis.tree.working_leaves.shape != image.shape
    scribbles = np.zeros(image.shape, np.int32)
    scribbles[100, 100:200], scribbles[100, 1400] = 1, 2  # one of them a single pixel
    labels = ww.propagate_labels(analysis, scribbles)
    assert labels[100, 1400] == 2
    assert (labels[:700, 1000:] == 2).mean() > 0.95
    assert (labels[:700, :900] == 1).mean() > 0.95


def test_strokes_of_two_labels_in_one_region_part_it(propagator):
    scribbles = np.zeros(SHAPE, np.int32)
    scribbles[2:5, 2] = 1
    scribbles[2:5, 4] = 2
    labels = propagator.labels(scribbles)
    np.testing.assert_array_equal(labels[scribbles > 0], scribbles[scribbles > 0])
    assert set(np.unique(labels)) == {1, 2}


# Labels that are there already


def test_without_strokes_nothing_changes(propagator, quarters):
    nothing = np.zeros(SHAPE, np.int32)
    np.testing.assert_array_equal(propagator.labels(nothing), nothing)
    np.testing.assert_array_equal(propagator.labels(nothing, current=quarters[1]), quarters[1])


def test_a_stroke_corrects_what_is_around_it_and_nothing_far_away(propagator, quarters):
    truth = quarters[1]
    wrong = truth.copy()
    wrong[truth == 2] = 1
    wrong[30:33, 5:8] = 9  # somebody's own detail, far from the stroke
    scribbles = np.zeros(SHAPE, np.int32)
    scribbles[10, 40:60] = 2
    labels = propagator.labels(scribbles, current=wrong)
    assert ((labels == 2) == (truth == 2)).mean() > 0.98
    np.testing.assert_array_equal(labels[28:, :24], wrong[28:, :24])


def test_background_that_is_there_stays_background(propagator, quarters):
    current = np.where(quarters[1] == 1, 1, 0)
    scribbles = np.zeros(SHAPE, np.int32)
    scribbles[10, 40:60] = 2
    labels = propagator.labels(scribbles, current=current)
    assert (labels[quarters[1] == 2] == 2).mean() > 0.95
    assert (labels[quarters[1] > 2] == 0).mean() > 0.95
    assert (labels[quarters[1] == 1] == 1).mean() > 0.95


@given(
    current=arrays(np.int32, SHAPE, elements=st.integers(0, 4), fill=st.just(1)),
    scribbles=arrays(np.uint8, SHAPE, elements=st.integers(0, 5), fill=st.just(0)),
    locked=st.sets(st.integers(0, 5)),
)
def test_whatever_is_painted(propagator, current, scribbles, locked):
    labels = propagator.labels(scribbles, current=current, locked=locked)
    kept = np.isin(current, list(locked))
    np.testing.assert_array_equal(labels[kept], current[kept])
    assert not np.isin(labels[~kept], list(locked)).any()
    counts = (scribbles > 0) & ~np.isin(scribbles, list(locked)) & ~kept
    np.testing.assert_array_equal(labels[counts], scribbles[counts])
    assert set(np.unique(labels)) <= set(np.unique(current)) | set(np.unique(scribbles[counts]))
    # Whatever was asked for in between, of the same arrays, too.
    there, drawn = current.copy(), scribbles.copy()
    current[:, :20], scribbles[:3] = 1, 2
    propagator.labels(scribbles, current=current)
    current[:], scribbles[:] = there, drawn
    again = propagator.labels(scribbles, current=current, locked=locked)
    np.testing.assert_array_equal(labels, again)


@given(scribbles=arrays(np.int32, SHAPE, elements=st.integers(0, 3), fill=st.just(0)))
def test_numbers_are_only_names(propagator, scribbles):
    names = np.array([0, 70, 500, 1000])
    np.testing.assert_array_equal(propagator.labels(names[scribbles]), names[propagator.labels(scribbles)])


# What it is made of


def walkers_of(pixels, laplacian, boundaries):
    return Walkers(np.zeros((1, 1), np.int32), pixels, laplacian, boundaries, np.zeros((1, 1), np.float32))


def naive_chances(laplacian, pixels, votes, closed, prior, loyalty):
    """Of each leaf a linear equation: it is the weighted mean of its neighbours that are not closed, and its prior."""
    weights = -np.asarray(laplacian.todense())
    np.fill_diagonal(weights, 0)
    count, labels = votes.shape
    matrix, right = np.zeros((count, count)), np.zeros((count, labels))
    for leaf in range(count):
        matrix[leaf, leaf] = 1
        if closed[leaf]:
            continue
        if votes[leaf].any():
            right[leaf, votes[leaf].argmax()] = 1
            continue
        around = np.where(closed, 0, weights[leaf])
        own = loyalty * pixels[leaf] / pixels.mean()
        matrix[leaf, leaf] = around.sum() + own + 1e-9
        matrix[leaf] -= around
        if prior[leaf] >= 0:
            right[leaf, prior[leaf]] = own
    return np.linalg.solve(matrix, right)


@given(st.integers(0, 10_000))
def test_chances_are_those_of_the_naive_equations(seed):
    from scipy import sparse

    rng = np.random.default_rng(seed)
    count, labels = int(rng.integers(2, 12)), int(rng.integers(1, 4))
    weights = np.triu(rng.random((count, count)) * (rng.random((count, count)) < 0.5), 1)
    weights += weights.T
    laplacian = sparse.csr_array(np.diag(weights.sum(axis=0)) - weights)
    votes = rng.integers(0, 5, (count, labels)) * (rng.random((count, 1)) < 0.3)
    closed, pixels = rng.random(count) < 0.2, rng.integers(1, 50, count)
    prior, loyalty = rng.integers(-1, labels, count), float(rng.random()) + 0.01
    walkers = walkers_of(pixels, laplacian, None)
    found = walkers.chances(votes, closed, prior, loyalty)
    np.testing.assert_allclose(found, naive_chances(laplacian, pixels, votes, closed, prior, loyalty), atol=1e-6)


def naive_passes(boundaries, closed):
    """The lowest pass between any two leaves, the highest boundary on the best way: Floyd and Warshall."""
    passes = np.where(boundaries > 0, boundaries, np.inf)
    passes[closed], passes[:, closed] = np.inf, np.inf
    np.fill_diagonal(passes, 0)
    for middle in range(len(passes)):
        passes = np.minimum(passes, np.maximum(passes[:, middle, None], passes[middle]))
    return passes


@given(st.integers(0, 10_000))
def test_the_forest_joins_each_leaf_over_the_lowest_pass(seed):
    from scipy import sparse

    rng = np.random.default_rng(seed)
    count, labels = int(rng.integers(2, 12)), int(rng.integers(1, 4))
    boundaries = np.triu((rng.random((count, count)) + 0.1) * (rng.random((count, count)) < 0.4), 1)
    votes = rng.integers(0, 5, (count, labels)) * (rng.random((count, 1)) < 0.4)
    closed = rng.random(count) < 0.2
    found = walkers_of(np.ones(count), None, sparse.csr_array(boundaries)).forest(votes, closed)
    passes = naive_passes(boundaries + boundaries.T, closed)
    seeds = np.flatnonzero(votes.any(axis=1) & ~closed)
    for leaf in range(count):
        best = passes[leaf, seeds].min(initial=np.inf)
        if closed[leaf] or np.isinf(best):
            assert found[leaf] == -1
        else:
            roots = seeds[np.isclose(passes[leaf, seeds], best)]
            assert found[leaf] in votes[roots].argmax(axis=1)


@given(st.integers(0, 10_000))
def test_forests_are_cut_from_one_spanning_tree(seed):
    """As among all boundaries, which are looked at where a leaf is closed."""
    from scipy import sparse

    rng = np.random.default_rng(seed)
    count = int(rng.integers(2, 12))
    boundaries = np.triu(rng.random((count, count)) * (rng.random((count, count)) < 0.5), 1)
    votes = rng.integers(0, 5, (count, 3)) * (rng.random((count, 1)) < 0.4)
    nobody = np.zeros(count, bool)
    walkers = walkers_of(np.ones(count), None, sparse.csr_array(boundaries))
    alone = np.pad(boundaries, ((0, 1), (0, 1)))
    beside = walkers_of(np.ones(count + 1), None, sparse.csr_array(alone))
    expected = beside.forest(np.pad(votes, ((0, 1), (0, 0))), np.append(nobody, True))[:-1]
    for _ in range(2):  # the tree is made by the first call
        np.testing.assert_array_equal(walkers.forest(votes, nobody), expected)


@given(arrays(np.float64, st.integers(0, 20), elements=st.sampled_from([0, 0.1, 0.5, 2])))
def test_ranks_are_even_and_shared_by_equals(values):
    expected = (rankdata(values) - 0.5) / max(len(values), 1)
    np.testing.assert_allclose(ranks(values), expected)


@given(arrays(np.float64, st.tuples(st.integers(1, 8), st.integers(1, 4)), elements=st.sampled_from([0, 0.2, 0.4, 1])))
def test_the_lead_of_the_likeliest_label(chance):
    expected = [np.ptp(sorted(row)[-2:]) if len(row) > 1 else 1 for row in chance]
    np.testing.assert_allclose(lead(chance), expected)


@given(
    leaves=arrays(np.int32, (5, 6), elements=st.integers(0, 4)),
    labels=arrays(np.int32, (5, 6), elements=st.integers(0, 3)),
)
def test_majority_is_the_most_frequent_label(leaves, labels):
    found = _majority(leaves, labels, 5)
    for leaf in np.unique(leaves):
        inside = np.bincount(labels[leaves == leaf])
        assert found[leaf] == inside.argmax()


@given(arrays(np.int32, (9, 11), elements=st.integers(0, 2), fill=st.just(0)), st.integers(1, 3))
def test_near_borders_as_one_pixel_after_another(labels, margin):
    expected = np.zeros(labels.shape, bool)
    for row, column in np.ndindex(labels.shape):
        # A border pixel has a 4-neighbour with another label.
        for r in range(max(0, row - margin + 1), min(9, row + margin)):
            for c in range(max(0, column - margin + 1), min(11, column + margin)):
                around = [(r - 1, c), (r + 1, c), (r, c - 1), (r, c + 1)]
                inside = [place for place in around if 0 <= place[0] < 9 and 0 <= place[1] < 11]
                expected[row, column] |= any(labels[place] != labels[r, c] for place in inside)
    np.testing.assert_array_equal(near_borders(labels, margin), expected)


def test_floods_meet_on_the_edge_and_leave_what_is_fixed():
    labels = np.repeat([[1] * 10 + [2] * 10], 8, axis=0)
    strength = np.zeros((8, 20), np.float32)
    strength[:, 12] = 1
    fixed = np.zeros((8, 20), bool)
    fixed[:2] = True
    undecided = near_borders(labels, 4)
    answer, _ = flood_borders(labels, undecided, np.zeros_like(labels), strength, fixed)
    np.testing.assert_array_equal(answer[:2], labels[:2])
    assert (answer[2:, :12] == 1).all()
    assert (answer[2:, 13:] == 2).all()


@given(
    labels=arrays(np.int32, (9, 12), elements=st.integers(0, 3), fill=st.just(0)),
    undecided=arrays(bool, (9, 12)),
    strokes=arrays(np.int32, (9, 12), elements=st.integers(1, 5), fill=st.just(0)),
    fixed=st.none() | arrays(bool, (9, 12)),
    seed=st.integers(0, 9),
)
def test_only_the_window_of_what_is_undecided_is_flooded(labels, undecided, strokes, fixed, seed):
    """As a flood of the whole plane."""
    strength = np.random.default_rng(seed).random((9, 12), np.float32)
    kept = np.zeros((9, 12), bool) if fixed is None else fixed
    around = maximum_filter((undecided & ~kept).view(np.uint8), 3).view(bool) & ~kept
    painted = (strokes > 0) & ~kept
    markers = np.where(painted, strokes + 1, np.where(undecided & ~kept, 0, labels + 1))
    flooded = watershed(strength, markers, mask=around)
    expected = np.where(painted, strokes, np.where(around & (flooded > 0), flooded - 1, labels))
    np.testing.assert_array_equal(flood_borders(labels, undecided, strokes, strength, fixed)[0], expected)


@pytest.mark.parametrize("ground", ["flat", "steps", "noise"])
@given(seed=st.integers(0, 999), fixed=st.booleans())
@settings(max_examples=8)
def test_what_was_flooded_before_changes_nothing(ground, seed, fixed):
    """One stroke after another, each with what the last one left, as each by itself; where much is equal, too."""
    rng, shape = np.random.default_rng(seed), (90, 110)
    noise = rng.random(shape, np.float32)
    strength = {"flat": np.zeros(shape, np.float32), "steps": np.floor(noise * 3), "noise": noise}[ground]
    areas = np.zeros(shape, np.int32)
    strokes, kept, before = np.zeros(shape, np.int32), rng.random(shape) < 0.01 if fixed else None, None
    for number in range(1, 7):
        row, column = rng.integers(0, shape[0] - 30), rng.integers(0, shape[1] - 30)
        areas[row : row + 30, column : column + 25] = number
        strokes[row + 5 : row + 9, column : column + 20] = number % 4 + 1
        undecided = near_borders(areas, 4)
        expected, _ = flood_borders(areas, undecided, strokes, strength, kept)
        found, before = flood_borders(areas, undecided, strokes, strength, kept, before)
        np.testing.assert_array_equal(found, expected)


# Refusals


@pytest.mark.parametrize(
    ("scribbles", "problem", "told"),
    [
        (np.zeros(SHAPE), TypeError, "float64; expected integers"),
        (np.zeros(SHAPE, bool), TypeError, "bool; expected integers"),
        (np.zeros((3, 4), int), ValueError, r"shape \(3, 4\); expected \(48, 64\)"),
        (np.full(SHAPE, -1), ValueError, "smallest of the scribbles is -1"),
        (np.full(SHAPE, 2**40), ValueError, "Renumber them"),
    ],
)
def test_what_are_no_scribbles_is_refused_in_words(analysis, scribbles, problem, told):
    with pytest.raises(problem, match=told):
        ww.propagate_labels(analysis, scribbles)


def test_current_labels_are_checked_too(propagator):
    nothing = np.zeros(SHAPE, int)
    with pytest.raises(TypeError, match="labels are of dtype float64"):
        propagator.labels(nothing, current=np.zeros(SHAPE))


def test_it_can_be_cancelled(analysis):
    from napari_what_where.progress import Cancelled

    def report(progress):
        raise Cancelled

    with pytest.raises(Cancelled):
        Propagator(analysis, report=report)
