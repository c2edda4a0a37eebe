"""The streaming embedding of a collection, beside a dense matrix over the tokens of all images."""

from __future__ import annotations

from functools import reduce
from operator import add

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_what_where import TokenActivations, joint_affinity, spectral_embedding
from napari_what_where.affinity.pooling import orthonormal_overlap
from napari_what_where.embedding.collection.moments import Moments, leading_directions
from napari_what_where.embedding.collection.projection import Projection, solve
from napari_what_where.embedding.collection.statistics import COLUMNS, RANK, Gram, UnitMoments, ValueMeans, parts_of
from napari_what_where.progress import Cancelled, Progress, checkpoints

ALL = 10**6
PATHWAYS = ("what", "where", "both")


def images_of(
    seed: int, grids=((4, 5), (6, 4), (3, 3)), heads: int = 2, width: int = 3
) -> list[list[TokenActivations]]:
    """A few images of different sizes: a fine network layer, one half as fine, and one that stands in for both."""
    draw = torch.Generator().manual_seed(seed)

    def tensor(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=draw) + 0.5

    made = []
    for rows, columns in grids:
        coarse = ((rows + 1) // 2, (columns + 1) // 2)
        layers = [
            TokenActivations(name, grid, *(tensor(heads, grid[0] * grid[1], width) for _ in range(3)), weight=weight)
            for name, grid, weight in (("fine", (rows, columns), 1.0), ("coarse", coarse, 2.0))
        ]
        values = tensor(1, rows * columns, 4)
        made.append([*layers, TokenActivations("filters", (rows, columns), value=values, stands_in=True)])
    return made


def streamed(images, pathway: str, most: int = ALL, count: int = 6) -> tuple[Projection, Gram]:
    parts = parts_of(images[0], pathway)
    means = reduce(add, [ValueMeans.of(layers, parts) for layers in images])
    units = reduce(add, [UnitMoments.of(layers, parts, means) for layers in images])
    maps = units.maps(means, most)
    gram = reduce(add, [Gram.of(layers, maps) for layers in images])
    return solve(gram, maps, count), gram


def merged(tensor: torch.Tensor) -> np.ndarray:
    return tensor.double().permute(1, 0, 2).flatten(1).numpy()


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def naive_joint(images, pathway: str) -> np.ndarray:
    """J as a matrix over the finest tokens of all images, each a token's share of its image."""
    wanted = {"what": ["what"], "where": ["where"], "both": ["what", "where"]}[pathway]
    total, weights = 0.0, 0.0
    for number, first in enumerate(images[0]):
        for way in ["what"] if first.stands_in else wanted:
            weight = first.weight * (len(wanted) if first.stands_in else 1)
            layers = [layers[number] for layers in images]
            share = np.concatenate([np.full(layer.tokens, 1 / (len(images) * layer.tokens)) for layer in layers])
            if way == "what":
                values = [merged(layer.value) for layer in layers]
                mean = np.mean([each.mean(axis=0) for each in values], axis=0)
                rows = unit(np.concatenate(values) - mean)
                similar = (1 + rows @ rows.T) / 2
            else:
                query, key = (
                    np.concatenate([unit(merged(getattr(layer, role))) for layer in layers])
                    for role in ("query", "key")
                )
                similar = 0.5 + (query @ key.T + key @ query.T) / 4
            assert similar.min() > -1e-12
            scale = np.sqrt(share / (similar @ share))
            pooled = pooling(layers, [layers[0].grid for layers in images])
            total = total + weight * pooled.T @ (scale[:, None] * similar * scale) @ pooled
            weights += weight
    return total / weights


def pooling(layers, fine) -> np.ndarray:
    """P over all images: (coarse tokens, fine tokens), block by block."""
    from scipy.linalg import block_diag

    return block_diag(
        *[
            np.kron(*(orthonormal_overlap(c, f) for c, f in zip(layer.grid, grid, strict=True)))
            for layer, grid in zip(layers, fine, strict=True)
        ]
    )


def vectors_of(projection: Projection, images) -> np.ndarray:
    """(all tokens, count), orthonormal."""
    parts = [projection.embed(layers).vectors.reshape(projection.count, -1).T for layers in images]
    return np.concatenate(parts) / len(images) ** 0.5


@pytest.mark.parametrize("pathway", PATHWAYS)
@settings(max_examples=8)
@given(
    seed=st.integers(0, 2**31), grids=st.lists(st.tuples(st.integers(3, 7), st.integers(3, 7)), min_size=1, max_size=4)
)
def test_statistics_of_fixed_size_give_the_eigenpairs_of_the_dense_matrix(pathway, seed, grids):
    images = images_of(seed, grids)
    found, _ = streamed(images, pathway)
    joint = naive_joint(images, pathway)
    values = np.linalg.eigvalsh(joint)[::-1]
    np.testing.assert_allclose(found.values, values[: found.count], atol=1e-9)
    assert found.error_bound < 1e-7
    vectors = vectors_of(found, images)
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(found.count), atol=1e-5)
    np.testing.assert_allclose(joint @ vectors, vectors * found.values.numpy(), atol=1e-5)


@settings(max_examples=10)
@given(seed=st.integers(0, 2**31), pathway=st.sampled_from(PATHWAYS), most=st.integers(1, 5))
def test_what_is_left_out_moves_eigenvalues_by_no_more_than_is_said(seed, pathway, most):
    images = images_of(seed)
    found, _ = streamed(images, pathway, most)
    values = np.linalg.eigvalsh(naive_joint(images, pathway))[::-1][: found.count]
    assert np.abs(found.values.numpy() - values).max() <= found.error_bound + 1e-9
    kept = [layer["kept_energy"] for layer in found.layers]
    assert all(0 < each <= 1 for each in kept)
    assert min(kept) < 1


def units_of(layers: int, width: int, pathway: str) -> tuple[UnitMoments, ValueMeans]:
    """Second passes over one image of a model of so many network layers."""
    draw = torch.Generator().manual_seed(0)
    tokens = [torch.randn((3, 1, 9, width), generator=draw) for _ in range(layers)]
    image = [TokenActivations(f"layer {number}", (3, 3), *each) for number, each in enumerate(tokens)]
    parts = parts_of(image, pathway)
    means = ValueMeans.of(image, parts)
    return UnitMoments.of(image, parts, means), means


@settings(max_examples=15)
@given(st.integers(1, 30), st.integers(1, 12), st.sampled_from(PATHWAYS), st.integers(1, 8), st.integers(2, 500))
def test_all_features_keep_to_the_columns_there_are(layers, width, pathway, most, columns):
    units, means = units_of(layers, width, pathway)
    maps = units.maps(means, most, columns=columns)
    free = units.maps(means, most, columns=ALL)
    used, wanted = (sum(mapped.map.rank for mapped in each) for each in (maps, free))
    least = sum(3 if mapped.part.pathway == "where" else 2 for mapped in maps)
    assert used <= max(columns, least)
    if units._within(most, ALL) == units._within(most, columns):
        assert used == wanted


def test_a_deep_model_has_as_few_columns_as_a_shallow_one():
    """The layers of Stable Diffusion XL, and those of the built-in model with filters."""
    units, _ = units_of(1, 70, "both")
    deep, built_in = (
        UnitMoments({part._replace(layer=str(n)): each for n in range(many) for part, each in units.moments.items()})
        for many in (70, 10)
    )
    assert COLUMNS >= 140 * (9 + 1) + 70 * 9
    assert deep._within(RANK, COLUMNS) == 9
    assert built_in._within(RANK, COLUMNS) == RANK


def test_work_stops_between_decompositions():
    images = images_of(3)
    seen = []

    def stop_at(last: int) -> None:
        seen.append(last)
        if len(seen) == last:
            raise Cancelled

    _, gram = streamed(images, "both", 2)
    units, means = units_of(3, 4, "both")
    maps = streamed(images, "both", 2)[0].maps
    for work, least in ((lambda: units.maps(means), 6), (lambda: solve(gram, maps, 3), 4)):
        seen.clear()
        with checkpoints(lambda _: stop_at(0), Progress("x", 0, 0)):
            work()
        assert len(seen) == least
        for last in range(1, least + 1):
            seen.clear()
            with pytest.raises(Cancelled), checkpoints(lambda _, last=last: stop_at(last), Progress("x", 0, 0)):
                work()


@pytest.mark.parametrize("pathway", PATHWAYS)
def test_statistics_of_two_halves_add_up(pathway):
    images = images_of(3, ((4, 4), (5, 3), (3, 6), (4, 5)))
    parts = parts_of(images[0], pathway)

    def halves(each):
        """The sum image by image, and that of the sums of two halves, the second half first."""
        made = [each(layers) for layers in images]
        return reduce(add, made), reduce(add, made[2:]) + reduce(add, made[:2])

    means, other_means = halves(lambda layers: ValueMeans.of(layers, parts))
    for name, moments in means.moments.items():
        torch.testing.assert_close(moments.mean, other_means.moments[name].mean, rtol=1e-13, atol=1e-14)
    units, other_units = halves(lambda layers: UnitMoments.of(layers, parts, means))
    for part, moments in units.moments.items():
        torch.testing.assert_close(moments.mean_square, other_units.moments[part].mean_square, rtol=1e-13, atol=1e-14)
    maps = units.maps(means, 4)
    gram, other_gram = halves(lambda layers: Gram.of(layers, maps))
    torch.testing.assert_close(gram.matrix, other_gram.matrix, rtol=1e-13, atol=1e-14)
    torch.testing.assert_close(solve(gram, maps, 5).values, solve(other_gram, maps, 5).values, rtol=1e-12, atol=1e-13)


def test_of_one_image_it_is_its_own_joint_affinity():
    (layers,) = images_of(5, ((8, 6),), width=4)
    found, _ = streamed([layers], "what", count=5)
    alone = spectral_embedding(joint_affinity(layers, "what"), 5)
    np.testing.assert_allclose(found.values, alone.values, atol=1e-5)
    mine = found.embed(layers)
    for name in ("vectors", "sharp_vectors"):
        ours, theirs = (getattr(each, name).reshape(5, -1) for each in (mine, alone))
        np.testing.assert_allclose(np.abs((ours * theirs).sum(axis=1)), 1, atol=1e-4)
    np.testing.assert_allclose(found.sharp_values, alone.sharp_values, atol=1e-5)


def test_an_image_that_is_given_twice_weighs_twice_and_changes_no_direction():
    images = images_of(7)
    once, _ = streamed(images, "what")
    twice, _ = streamed([*images, *images], "what")
    torch.testing.assert_close(once.values, twice.values, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(once.embed(images[1]).vectors, twice.embed(images[1]).vectors, atol=1e-5)


def test_more_eigenvectors_than_there_are_directions_gives_what_there_are():
    images = images_of(1, ((2, 2),))
    found, _ = streamed(images, "what", count=50)
    assert found.count == 4
    assert found.embed(images[0]).vectors.shape == (4, 2, 2)


def test_values_that_are_all_alike_have_no_direction_but_the_constant():
    flat = TokenActivations("flat", (3, 4), value=torch.full((1, 12, 3), 2.5))
    found, _ = streamed([[flat], [flat]], "what", count=3)
    assert found.count == 1
    np.testing.assert_allclose(found.embed([flat]).vectors, 12**-0.5, atol=1e-6)


def test_an_image_without_a_network_layer_of_the_others_is_told():
    images = images_of(2)
    found, _ = streamed(images, "what")
    with pytest.raises(ValueError, match="lacks network layers coarse"):
        found.embed([images[0][0], images[0][2]])


@pytest.mark.parametrize(("pathway", "left"), [("what", {"value": None}), ("where", {"query": None, "key": None})])
def test_what_a_pathway_needs_and_is_not_there_is_told(pathway, left):
    (layers,) = images_of(2, ((3, 3),))
    lacking = [
        TokenActivations(
            "fine", (3, 3), **({"query": layers[0].query, "key": layers[0].key, "value": layers[0].value} | left)
        )
    ]
    with pytest.raises(ValueError, match=f"fine has no .*Pathway '{pathway}'|pathway '{pathway}' is unavailable"):
        streamed([lacking], pathway)


def test_directions_hold_the_energy_that_is_said():
    rows = torch.randn(200, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    rows = rows * torch.tensor([5.0, 3, 2, 1, 0.5, 0])
    square = Moments.of(rows).mean_square
    basis, missing = leading_directions(square, 2)
    outside = rows - rows @ basis @ basis.T
    assert basis.shape == (6, 2)
    assert missing == pytest.approx(float(outside.square().sum() / rows.square().sum()))
    assert leading_directions(square, ALL)[0].shape == (6, 5)
