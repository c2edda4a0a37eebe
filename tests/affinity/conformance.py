"""What every operator must keep. Subclass, and give a ``case`` fixture."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from .cases import Case


class OperatorConformance:
    """Tests of one operator against its naive dense twin."""

    @pytest.fixture
    def case(self) -> Case:
        raise NotImplementedError

    @pytest.fixture
    def columns(self, case: Case) -> np.ndarray:
        return np.random.default_rng(1).normal(size=(case.operator.tokens, 3))

    def close(self, actual, expected, case: Case) -> None:
        scale = max(1.0, float(np.abs(case.twin).sum(axis=1).max()))
        np.testing.assert_allclose(np.asarray(actual, np.float64), expected, rtol=2e-4, atol=3e-6 * scale)

    def test_the_dense_matrix_is_the_naive_one(self, case):
        dense = case.operator.dense()
        assert dense.dtype == torch.float32
        assert tuple(dense.shape) == case.operator.shape == case.twin.shape
        self.close(dense, case.twin, case)

    def test_it_is_symmetric(self, case, columns):
        dense = case.operator.dense()
        torch.testing.assert_close(dense, dense.T, rtol=1e-5, atol=1e-6)
        left, right = columns[:, 0], columns[:, 1]
        assert left @ (case.operator @ right) == pytest.approx(right @ (case.operator @ left), rel=1e-4, abs=1e-4)

    def test_products_are_those_of_the_dense_matrix(self, case, columns):
        self.close(case.operator @ columns, case.twin @ columns, case)

    def test_the_factor_gives_the_matrix(self, case):
        factor = case.operator.factor()
        if factor is not None:
            assert factor.shape[0] == case.operator.tokens
            self.close(factor @ factor.T, case.twin, case)

    def test_degrees_are_row_sums(self, case):
        self.close(case.operator.degree(), case.twin.sum(axis=1), case)

    def test_it_knows_its_shape_and_cost(self, case):
        operator = case.operator
        assert operator.shape == (operator.tokens, operator.tokens)
        assert operator.tokens == operator.grid[0] * operator.grid[1]
        assert isinstance(operator.cost, int)
        assert operator.cost > 0

    @pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
    @pytest.mark.parametrize("kind", ["numpy", "torch"])
    def test_what_comes_back_is_what_was_given(self, case, columns, dtype, kind):
        for given in (columns.astype(dtype), columns[:, 0].astype(dtype)):
            x = given if kind == "numpy" else torch.from_numpy(given)
            answer = case.operator @ x
            assert type(answer) is type(x)
            assert answer.dtype == x.dtype
            assert answer.shape == x.shape
            np.testing.assert_array_equal(np.asarray(x), given)

    def test_integers_and_truth_values_give_float32(self, case):
        for dtype in (np.uint8, np.int64, np.bool_):
            answer = case.operator @ np.ones(case.operator.tokens, dtype)
            assert answer.dtype == np.float32
            self.close(answer, case.twin.sum(axis=1), case)

    def test_any_layout_of_the_columns_will_do(self, case, columns):
        expected = case.operator @ columns
        frozen = columns.copy()
        frozen.flags.writeable = False
        for x in (np.asfortranarray(columns), columns[::-1].copy()[::-1], columns.astype(">f8"), frozen):
            np.testing.assert_allclose(case.operator @ x, expected, rtol=1e-5, atol=1e-6)

    def test_no_columns_give_no_columns(self, case):
        assert (case.operator @ np.ones((case.operator.tokens, 0))).shape == (case.operator.tokens, 0)

    def test_wrong_shapes_are_refused_in_words(self, case):
        tokens = case.operator.tokens
        for x in (np.ones(tokens + 1), np.ones((tokens + 1, 2)), np.ones((tokens, 1, 1)), np.float64(1)):
            with pytest.raises(ValueError, match="one row for each token"):
                case.operator @ x

    def test_wrong_types_are_refused_in_words(self, case):
        tokens = case.operator.tokens
        for x in (np.ones(tokens, complex), np.array(["a"] * tokens), np.array([None] * tokens), "text"):
            with pytest.raises(TypeError, match="real numbers"):
                case.operator @ x
