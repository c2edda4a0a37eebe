"""Pooling, loss and joint operator of a batch: each against a twin written from the equations."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_what_where.embedding.collection_gradient.exact import exact_batch, joint_trace
from napari_what_where.embedding.collection_gradient.graphs import GraphOptions, batch_graphs
from napari_what_where.embedding.collection_gradient.objective import BatchJoint, BatchObjective, layer_weights
from napari_what_where.embedding.collection_gradient.pooling import TablePooling

from ...affinity import twins as affinity_twins
from . import twins

CPU = torch.device("cpu")
GRIDS = {
    "nested": [[(4, 4), (2, 2), (1, 1)]] * 3,
    "uneven": [[(3, 4), (2, 2)], [(5, 2), (2, 1)], [(3, 3), (1, 2)]],
    "finer than the table": [[(6, 6), (4, 4)], [(6, 8), (4, 4)]],
}
SIDE = 4
NEAR = {"within": 4, "between": 5}


def made(name: str, seed: int = 0):
    images = twins.collection(GRIDS[name], seed=seed)
    return images, batch_graphs(images, "what", GraphOptions(**NEAR), CPU)


def tables(images: int, count: int, side: int = SIDE, seed: int = 0) -> torch.Tensor:
    return (2 * torch.randn(images, count, side, side, generator=torch.Generator().manual_seed(seed))).softmax(dim=1)


def flat(table: torch.Tensor) -> np.ndarray:
    """(images, columns, side, side) → (cells of all images, columns)."""
    return table.permute(0, 2, 3, 1).reshape(-1, table.shape[1]).double().numpy()


sizes = st.integers(1, 7)


class TestPooling:
    @settings(max_examples=20)
    @given(grids=st.lists(st.tuples(sizes, sizes), min_size=1, max_size=3), side=sizes)
    def test_orthonormal_pooling_is_its_twin_and_up_its_transpose(self, grids, side):
        pooling, x = TablePooling(tuple(grids), side, "orthonormal", CPU), tables(len(grids), 2, side)
        matrix = twins.pooling(grids, side)
        np.testing.assert_allclose(pooling.down(x), matrix @ flat(x), atol=1e-5)
        y = torch.randn(len(matrix), 2)
        np.testing.assert_allclose(flat(pooling.up(y)), matrix.T @ y.double().numpy(), atol=1e-5)

    @settings(max_examples=20)
    @given(grids=st.lists(st.tuples(sizes, sizes), min_size=1, max_size=3), side=sizes)
    def test_repeating_means_are_over_areas(self, grids, side):
        found = TablePooling(tuple(grids), side, "repeat", CPU).down(tables(len(grids), 2, side))
        blocks = []
        for rows, columns in grids:
            area = np.kron(affinity_twins.overlap(rows, side), affinity_twins.overlap(columns, side))
            blocks.append(area / area.sum(axis=1, keepdims=True))
        expected = twins.block_diagonal(blocks) @ flat(tables(len(grids), 2, side))
        np.testing.assert_allclose(found, expected, atol=1e-5)

    def test_upward_it_interpolates_between_cells_as_torch_does(self):
        x = tables(2, 3)
        found = TablePooling(((8, 6),) * 2, SIDE, "bilinear", CPU).down(x)
        expected = torch.nn.functional.interpolate(x, (8, 6), mode="bilinear", align_corners=False)
        torch.testing.assert_close(found, expected.permute(0, 2, 3, 1).reshape(-1, 3))

    def test_downward_it_averages_as_torch_does_where_grids_nest(self):
        x = tables(2, 3)
        found = TablePooling(((2, 1),) * 2, SIDE, "bilinear", CPU).down(x)
        expected = torch.nn.functional.adaptive_avg_pool2d(x, (2, 1))
        torch.testing.assert_close(found, expected.permute(0, 2, 3, 1).reshape(-1, 3))

    @pytest.mark.parametrize("kind", ["bilinear", "repeat"])
    def test_what_is_constant_stays_so(self, kind):
        pooling = TablePooling(((3, 9), (2, 4)), SIDE, kind, CPU)
        torch.testing.assert_close(pooling.down(torch.ones(2, 1, SIDE, SIDE)), torch.ones(35, 1))


class TestWeights:
    def test_they_fall_with_the_side_of_the_grid_and_sum_to_one(self):
        _, graphs = made("nested")
        assert layer_weights(graphs, "inverse") == pytest.approx([1 / 7, 2 / 7, 4 / 7])
        assert layer_weights(graphs, "equal") == pytest.approx([1 / 3] * 3)

    def test_grids_that_are_no_squares_count_by_the_root_of_their_area(self):
        _, graphs = made("uneven")
        assert graphs[0].side == pytest.approx((12**0.5 + 10**0.5 + 3) / 3)


class TestLoss:
    @pytest.mark.parametrize("name", list(GRIDS))
    @pytest.mark.parametrize("normalization", ["rows", "symmetric"])
    def test_it_is_that_of_the_equations_and_so_is_its_gradient(self, name, normalization):
        images, graphs = made(name)
        weights, count = layer_weights(graphs, "inverse"), 3
        objective = BatchObjective(graphs, weights, side=SIDE, normalization=normalization, upward="repeat", device=CPU)
        soft = tables(len(images), count).requires_grad_()
        parts = objective(soft)
        (found,) = torch.autograd.grad(parts[0] + parts[1], soft)
        # The equations once more, densely, in float64, by autograd through everything; D⁻¹S as it is.
        plain = soft.detach().double().requires_grad_()
        eigenvalue = overlap = torch.zeros((), dtype=torch.float64)
        for layer, weight in zip(zip(*images, strict=True), weights, strict=True):
            similarity = twins.graph(layer, "value", **NEAR)
            if normalization == "rows":
                degree = similarity.sum(axis=1, keepdims=True)
                matrix = torch.tensor(similarity / np.where(degree > 0, degree, 1))
            else:
                matrix = torch.tensor(twins.normalized(similarity, normalization))
            pooled = []
            for table, each in zip(plain, layer, strict=True):
                area = [affinity_twins.overlap(size, SIDE) for size in each.grid]
                rows, columns = (torch.tensor(part / part.sum(axis=1, keepdims=True)) for part in area)
                pooled.append(torch.einsum("ar,krc,bc->abk", rows, table, columns).reshape(-1, count))
            z = torch.cat(pooled)
            z = z / z.norm(dim=0)
            eigenvalue = eigenvalue + weight * sum((z[:, i] @ matrix @ z[:, i] - 1).abs() for i in range(count)) / count
            pairs = [(i, j) for i in range(count) for j in range(count) if i != j]
            overlap = overlap + weight * sum((z[:, i] @ z[:, j]) ** 2 for i, j in pairs) / len(pairs)
        assert [float(part) for part in parts] == pytest.approx([float(eigenvalue), float(overlap)], rel=1e-4)
        (expected,) = torch.autograd.grad(eigenvalue + overlap, plain)
        np.testing.assert_allclose(found, expected, atol=1e-4 * float(expected.abs().max()))


class TestJoint:
    @pytest.mark.parametrize("name", list(GRIDS))
    @pytest.mark.parametrize("normalization", ["rows", "symmetric"])
    def test_it_multiplies_as_the_dense_twin(self, name, normalization):
        images, graphs = made(name)
        weights = layer_weights(graphs, "inverse")
        joint = BatchJoint(graphs, weights, side=SIDE, normalization=normalization, device=CPU)
        layers = list(zip(*images, strict=True))
        matrix = twins.joint(layers, ["value"] * len(layers), weights, side=SIDE, normalization=normalization, **NEAR)
        np.testing.assert_allclose(joint.dense(), matrix, atol=1e-5)
        assert joint.shape == matrix.shape

    def test_layers_of_one_grid_are_summed_once(self):
        images = twins.collection([[(4, 4), (4, 4), (2, 2)]] * 2)
        graphs = batch_graphs(images, "where", GraphOptions(**NEAR), CPU)
        weights = layer_weights(graphs, "equal")
        joint = BatchJoint(graphs, weights, side=SIDE, normalization="symmetric", device=CPU)
        assert len(joint.terms) == 2
        matrix = twins.joint(
            list(zip(*images, strict=True)), ["query"] * 3, weights, side=SIDE, normalization="symmetric", **NEAR
        )
        np.testing.assert_allclose(joint.dense(), matrix, atol=1e-5)


class TestExact:
    @pytest.mark.parametrize("name", list(GRIDS))
    @pytest.mark.parametrize("normalization", ["rows", "symmetric"])
    @pytest.mark.parametrize("side", [4, 8])
    @pytest.mark.parametrize("small", [True, False])
    def test_its_values_are_those_of_the_dense_twin(self, name, normalization, side, small, monkeypatch):
        if not small:
            monkeypatch.setattr("napari_what_where.embedding.exact.DENSE_TOKENS", 0)
        images, graphs = made(name)
        weights, layers = layer_weights(graphs, "inverse"), list(zip(*images, strict=True))
        matrix = twins.joint(layers, ["value"] * len(layers), weights, side=side, normalization=normalization, **NEAR)
        found = exact_batch(graphs, weights, 4, side=side, normalization=normalization)
        np.testing.assert_allclose(found.values, np.linalg.eigvalsh(matrix)[::-1][:4], atol=1e-5)
        vectors = found.vectors.numpy()
        np.testing.assert_allclose(vectors.T @ vectors, np.eye(4), atol=1e-5)
        np.testing.assert_allclose(matrix @ vectors, vectors * found.values.numpy(), atol=1e-4)
        assert found.converged

    def test_more_vectors_than_the_finest_layer_has_tokens_fill_the_table(self):
        images = twins.collection([[(2, 2), (1, 1)]] * 2)
        graphs = batch_graphs(images, "what", GraphOptions(**NEAR), CPU)
        assert exact_batch(graphs, [0.5, 0.5], 20, side=4).vectors.shape == (32, 20)

    def test_where_values_fall_below_zero_the_tables_own_zeros_come_first(self):
        images = twins.collection([[(2, 2), (1, 1)]] * 2)
        graphs = batch_graphs(images, "what", GraphOptions(**NEAR), CPU)
        matrix = twins.joint(
            list(zip(*images, strict=True)), ["value"] * 2, [0.5, 0.5], side=4, normalization="rows", **NEAR
        )
        found = exact_batch(graphs, [0.5, 0.5], 8, side=4)
        np.testing.assert_allclose(found.values, np.linalg.eigvalsh(matrix)[::-1][:8], atol=1e-5)

    @settings(max_examples=10)
    @given(seed=st.integers(0, 99), count=st.integers(1, 6))
    def test_no_soft_assignment_has_a_larger_trace(self, seed, count):
        _, graphs = made("uneven", seed)
        weights = layer_weights(graphs, "inverse")
        for normalization in ("rows", "symmetric"):
            joint = BatchJoint(graphs, weights, side=SIDE, normalization=normalization, device=CPU)
            best = float(exact_batch(graphs, weights, count, side=SIDE, normalization=normalization).values.sum())
            assert joint_trace(joint, tables(3, count, seed=seed)) <= best + 1e-5

    def test_the_trace_of_the_exact_vectors_is_the_sum_of_their_values(self):
        images, graphs = made("uneven")
        weights = layer_weights(graphs, "inverse")
        joint = BatchJoint(graphs, weights, side=SIDE, normalization="rows", device=CPU)
        found = exact_batch(graphs, weights, 5, side=SIDE)
        as_tables = found.vectors.float().reshape(len(images), SIDE, SIDE, 5).permute(0, 3, 1, 2)
        assert joint_trace(joint, as_tables) == pytest.approx(float(found.values.sum()), abs=1e-5)
        # Any other basis of the same columns has the same trace.
        mixed = torch.einsum("ikrc,kl->ilrc", as_tables, torch.randn(5, 5))
        assert joint_trace(joint, mixed) == pytest.approx(float(found.values.sum()), abs=1e-4)
