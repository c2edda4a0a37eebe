"""The gradient solver: its loss from the equations, its answer against the exact solver's, and its long runs."""

from __future__ import annotations

import json
import weakref

import numpy as np
import pytest
import torch
from sklearn.metrics import adjusted_rand_score

from napari_what_where.activations.types import TokenActivations
from napari_what_where.affinity.joint import joint_affinity
from napari_what_where.affinity.operator import DenseAffinity
from napari_what_where.embedding.exact import solve_exact
from napari_what_where.embedding.gradient import solve
from napari_what_where.embedding.gradient.objective import MeanPooling, Objective, QuadraticForms
from napari_what_where.embedding.gradient.optimisation import GradientOptions, optimise
from napari_what_where.embedding.gradient.softmax_net import SoftmaxNet
from napari_what_where.embedding.gradient.solve import solve_gradient
from napari_what_where.embedding.spectral import spectral_embedding
from napari_what_where.grids import area_mean
from napari_what_where.progress import Cancelled

from ..affinity import twins
from ..affinity.cases import CASES, GRIDS, case_of, layers_of
from .conformance import Spy

SMALL = {"width": 8, "accumulate": 3}
QUICK = {"width": 32, "steps": 400, "accumulate": 1}


def quarters(side: int = 16) -> np.ndarray:
    """Four regions of whole coarse cells: what eigenvectors of all layers can agree on."""
    rows, columns = np.indices((side, side))
    return 2 * (columns >= side // 2) + (rows >= side // 4 + (columns >= side // 2) * side // 4)


def waves(side: int = 16) -> np.ndarray:
    """Four regions whose borders run across coarse cells, where joint eigenvectors are blocky."""
    rows, columns = np.indices((side, side))
    return 2 * (columns > 0.45 * side + 2 * np.sin(rows / 3)) + (rows > 0.4 * side + columns // 4)


def planted(regions: np.ndarray, *, noise: float = 0.5, seed: int = 0) -> list[TokenActivations]:
    """Five network layers on three grids, whose noisy keys answer to the queries of their own region, as values do."""
    rng, side, layers = np.random.default_rng(seed), len(regions), []
    for number, size in enumerate((side, side, side // 2, side // 2, side // 4)):
        means = rng.normal(size=(2, int(regions.max()) + 1, 8)).astype(np.float32)
        means *= 6 / np.linalg.norm(means, axis=-1, keepdims=True)
        clean = np.stack([area_mean(head[regions], (size, size)).reshape(-1, 8) for head in means])
        query, key, value = (clean + noise * rng.normal(size=clean.shape) for _ in range(3))
        layers.append(TokenActivations(f"layer {number}", (size, size), query, key, value))
    return layers


def cosines(first: torch.Tensor, second: torch.Tensor) -> np.ndarray:
    """Of the principal angles between two orthonormal bases."""
    return torch.linalg.svdvals(first.T @ second).numpy()


def assignment_of(tokens: int, count: int, seed: int = 0) -> torch.Tensor:
    logits = torch.randn(tokens, count, generator=torch.Generator().manual_seed(seed))
    return (3 * logits).softmax(dim=1)


class TestLoss:
    @pytest.mark.parametrize("name", list(CASES))
    def test_quadratic_forms_have_the_gradient_of_their_dense_twin(self, name):
        case = case_of(name)
        columns = torch.randn(case.operator.tokens, 3, generator=torch.Generator().manual_seed(0), requires_grad=True)
        weights = torch.tensor([1.0, -2.0, 0.5])
        values = QuadraticForms.apply(columns, case.operator)
        (found,) = torch.autograd.grad((weights * values).sum(), columns)
        matrix = torch.tensor(case.twin, dtype=torch.float32)
        expected = torch.einsum("ic,ij,jc->c", columns, matrix, columns)
        (gradient_expected,) = torch.autograd.grad((weights * expected).sum(), columns)
        scale = float(matrix.abs().max())
        torch.testing.assert_close(values, expected, rtol=1e-4, atol=1e-4 * scale)
        torch.testing.assert_close(found, gradient_expected, rtol=1e-4, atol=1e-4 * scale)

    def test_one_product_serves_both_passes(self):
        spy = Spy(case_of("joint both").operator)
        columns = torch.randn(spy.tokens, 3, requires_grad=True)
        QuadraticForms.apply(columns, spy).sum().backward()
        assert spy.columns == 3

    @pytest.mark.parametrize("collapse", [True, False])
    @pytest.mark.parametrize(("pathway", "normalization"), [("what", "degree"), ("where", "none"), ("both", "degree")])
    @pytest.mark.parametrize("pooling", ["mean", "orthonormal"])
    def test_the_loss_is_that_of_the_equations(self, pathway, normalization, pooling, collapse):
        layers, count = layers_of(*GRIDS), 4
        operator = joint_affinity(layers, pathway, normalization, collapse=collapse)
        assignment = assignment_of(operator.tokens, count)
        found = Objective(operator.grid, pooling=pooling, unit_columns=True)(operator, assignment)
        eigenvalue, overlap = [], []
        for layer in layers:
            pool = {"mean": mean_pooling, "orthonormal": twins.pooling}[pooling](layer.grid, operator.grid)
            pool = pool if layer.grid != operator.grid else np.eye(operator.tokens)
            z = pool @ assignment.double().numpy()
            z = z / np.linalg.norm(z, axis=0)
            made = {"what": [twins.what(layer.value)], "where": [twins.attention(layer.query, layer.key)]}
            for matrix in made.get(pathway, made["what"] + made["where"]):
                matrix = twins.normalized(matrix) if normalization == "degree" else matrix
                eigenvalue += [abs(z[:, i] @ matrix @ z[:, i] - 1) for i in range(count)]
                overlap += [(z[:, i] @ z[:, j]) ** 2 for i in range(count) for j in range(count) if i != j]
        np.testing.assert_allclose([float(part) for part in found], [np.mean(eigenvalue), np.mean(overlap)], rtol=1e-4)

    def test_heads_given_one_by_one_have_the_loss_of_unsymmetrised_attention(self):
        # The official formulation: every head's own row-stochastic matrix, here some with zᵀ A z above 1.
        layers, count = layers_of((6, 7), (3, 4)), 3
        for layer in layers:
            layer.key[:, :2] *= 8
            layer.query.add_(2)
        heads = [
            TokenActivations(f"{layer.name}, {head}", layer.grid, layer.query[head, None], layer.key[head, None])
            for layer in layers
            for head in range(len(layer.query))
        ]
        operator = joint_affinity(heads, "where", "none", collapse=False)
        assignment = assignment_of(operator.tokens, count)
        assignment[:2] *= torch.tensor([[3.0], [5.0]])
        expected = []
        for head in heads:
            attention = torch.softmax(head.query[0] @ head.key[0].T / head.query.shape[-1] ** 0.5, dim=1).numpy()
            pool = mean_pooling(head.grid, operator.grid) if head.grid != operator.grid else np.eye(operator.tokens)
            z = pool @ assignment.numpy()
            z = z / np.linalg.norm(z, axis=0)
            expected += [z[:, i] @ attention @ z[:, i] for i in range(count)]
        assert max(expected) > 1 > min(expected)
        found = Objective(operator.grid, pooling="mean", unit_columns=True)(operator, assignment)[0]
        assert float(found) == pytest.approx(np.mean(np.abs(np.array(expected) - 1)), rel=1e-4)

    def test_with_the_exact_solvers_pooling_it_is_the_exact_solvers_trace(self):
        operator = joint_affinity(layers_of(*GRIDS), "both")
        vectors = solve_exact(operator, 3).vectors
        eigenvalue, overlap = Objective(operator.grid, pooling="orthonormal", unit_columns=False)(
            operator, vectors.float()
        )
        assert float(eigenvalue) == pytest.approx(
            1 - float(torch.trace(vectors.T @ (operator @ vectors))) / 3, abs=1e-5
        )
        assert float(overlap) == pytest.approx(0, abs=1e-10)

    @pytest.mark.parametrize(("coarse", "fine"), [((4, 4), (8, 8)), ((2, 3), (8, 6)), ((1, 1), (5, 7))])
    def test_mean_pooling_is_adaptive_average_pooling_where_grids_nest(self, coarse, fine):
        x = torch.randn(fine[0] * fine[1], 3, generator=torch.Generator().manual_seed(0))
        planes = x.T.reshape(1, 3, *fine)
        expected = torch.nn.functional.adaptive_avg_pool2d(planes, coarse)[0].flatten(1).T
        torch.testing.assert_close(MeanPooling(coarse, fine).down(x), expected)


def mean_pooling(coarse, fine) -> np.ndarray:
    area = np.kron(twins.overlap(coarse[0], fine[0]), twins.overlap(coarse[1], fine[1]))
    return area / area.sum(axis=1, keepdims=True)


class TestAgainstTheExactSolver:
    @pytest.mark.parametrize("pathway", ["where", "what"])
    @pytest.mark.parametrize("options", [QUICK, {"width": 32}], ids=["400 updates", "the paper's schedule"])
    def test_it_finds_the_planted_eigenvectors(self, pathway, options):
        operator = joint_affinity(planted(quarters()), pathway)
        exact = solve_exact(operator, 4)
        found = solve_gradient(operator, 4, **options)
        assert cosines(exact.vectors, found.vectors).min() > 0.99
        assert float(found.values.sum()) <= float(exact.values.sum()) + 1e-6
        assert float(found.values.sum()) > 0.98 * float(exact.values.sum())

    @pytest.mark.parametrize("pathway", ["where", "what"])
    @pytest.mark.parametrize("options", [QUICK, {"width": 32}], ids=["400 updates", "the paper's schedule"])
    @pytest.mark.parametrize("regions", [quarters(), waves()], ids=["quarters", "waves"])
    def test_its_softmax_finds_the_planted_regions(self, pathway, options, regions):
        operator = joint_affinity(planted(regions), pathway)
        soft = optimise(operator, 4, GradientOptions(**options)).assignment
        assert adjusted_rand_score(regions.ravel(), soft.argmax(dim=1)) >= 0.99

    @pytest.mark.parametrize("pathway", ["where", "what", "both"])
    @pytest.mark.parametrize("unit_columns", [True, False])
    def test_its_trace_is_never_above_the_exact_one(self, pathway, unit_columns):
        operator = joint_affinity(layers_of((8, 9), (4, 5), (3, 3)), pathway)
        exact = solve_exact(operator, 5)
        found = solve_gradient(operator, 5, pooling="orthonormal", unit_columns=unit_columns, width=8, steps=60)
        assert float(found.values.sum()) <= float(exact.values.sum()) + 1e-6

    def test_the_answer_is_orthonormal_and_its_residuals_true(self):
        case = case_of("joint both")
        found = solve_gradient(case.operator, 4, steps=30, **SMALL)
        vectors = found.vectors.numpy()
        np.testing.assert_allclose(vectors.T @ vectors, np.eye(4), atol=1e-10)
        residuals = np.linalg.norm(case.twin @ vectors - vectors * found.values.numpy(), axis=0)
        np.testing.assert_allclose(found.residuals, residuals, atol=1e-5)
        assert not found.converged

    def test_layers_collapsed_or_not_make_no_difference_under_degree_normalisation(self):
        layers = layers_of((6, 7), (3, 4), (6, 7))
        both = [joint_affinity(layers, "where", collapse=collapse) for collapse in (True, False)]
        first, second = (solve_gradient(operator, 3, steps=30, **SMALL) for operator in both)
        np.testing.assert_allclose(first.details["loss_history"], second.details["loss_history"], rtol=1e-4)


class TestSteps:
    def test_gradients_are_accumulated_as_in_a_plain_loop(self):
        case = case_of("joint where")
        matrix = torch.tensor(case.twin, dtype=torch.float32)
        generator = torch.Generator().manual_seed(5)
        net = SoftmaxNet(case.operator.grid, 3, width=8, layers=3, generator=generator)
        adam, losses = torch.optim.Adam(net.parameters(), lr=2e-3), []
        for step in range(24):
            z = torch.nn.functional.normalize(net(), dim=0)
            gram = z.T @ z
            apart = gram[~torch.eye(3, dtype=bool)].square().mean()
            loss = 2 * (torch.diag(z.T @ matrix @ z) - 1).abs().mean() + 2 * apart
            losses.append(loss.item())
            loss.backward()
            if step % 6 == 5:
                adam.step()
                adam.zero_grad()
        operator = DenseAffinity(matrix, case.operator.grid)
        options = GradientOptions(width=8, accumulate=6, steps=24)
        found = optimise(operator, 3, options, seed=5)
        np.testing.assert_allclose(found.losses, losses[::6], rtol=1e-4)
        torch.testing.assert_close(found.assignment, net().detach(), rtol=1e-3, atol=1e-4)

    def test_a_seed_gives_one_answer_and_leaves_the_random_state_of_others_alone(self):
        operator, state = case_of("joint both").operator, torch.get_rng_state()
        first, again, other = (solve_gradient(operator, 3, seed=seed, steps=30, **SMALL) for seed in (1, 1, 2))
        assert torch.equal(first.vectors, again.vectors)
        assert first.details == again.details
        assert not torch.equal(first.vectors, other.vectors)
        assert torch.equal(torch.get_rng_state(), state)

    def test_products_are_counted_truthfully(self, tmp_path):
        for options in ({}, {"checkpoint": tmp_path / "state"}):
            spy = Spy(case_of("joint both").operator)
            assert solve_gradient(spy, 3, steps=10, **SMALL, **options).products == spy.columns

    @pytest.mark.parametrize("name", ["joint of single tokens", "joint of one layer", "dense, indefinite"])
    @pytest.mark.parametrize("layers", [1, 2])
    def test_any_operator_and_count_will_do(self, name, layers):
        operator = case_of(name).operator
        for count in {1, operator.tokens}:
            found = solve_gradient(operator, count, steps=4, layers=layers, **SMALL)
            assert found.vectors.shape == (operator.tokens, count)
            assert bool(torch.isfinite(found.values).all())

    def test_every_step_is_reported_and_cancels(self):
        seen = []
        operator = case_of("joint both").operator
        solve_gradient(operator, 2, steps=7, report=seen.append, **SMALL)
        assert [(p.stage, p.done, p.total) for p in seen] == [("eigenvectors", step, 7) for step in range(7)]

        def cancel(progress):
            if progress.done == 5:
                raise Cancelled

        with pytest.raises(Cancelled):
            solve_gradient(operator, 2, steps=7, report=cancel, **SMALL)

    def test_the_raw_loss_is_on_record(self):
        embedding = spectral_embedding(case_of("joint both").operator, 3, "gradient", steps=350, accumulate=1, width=4)
        details = embedding.details
        assert json.loads(json.dumps(details)) == details
        assert details["solver"] == "gradient"
        assert details["loss"] == pytest.approx(2 * details["eigenvalue_term"] + 2 * details["orthogonality_term"])
        assert len(details["loss_history"]) == solve.HISTORY
        assert (details["steps"], details["updates"], details["learning_rate"]) == (350, 350, 2e-3)
        assert details["loss_history"][-1] < details["loss_history"][0]
        assert details["loss"] == pytest.approx(details["loss_history"][-1], rel=0.05)

    @pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU")
    def test_on_a_gpu_a_seed_gives_one_answer_too(self):
        here, there = (joint_affinity(planted(quarters()), "where", device=device) for device in ("cpu", "cuda"))
        first, again = (solve_gradient(there, 4, **QUICK) for _ in range(2))
        assert torch.equal(first.vectors, again.vectors)
        assert cosines(first.vectors.cpu(), solve_exact(here, 4).vectors).min() > 0.99


class Drawn:
    """Operators drawn by step, with a record of who asked and how many are alive."""

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.alive: list[weakref.ref] = []
        self.most = 0

    def __call__(self, step: int) -> DenseAffinity:
        self.asked.append(step)
        factor = torch.randn(12, 3, generator=torch.Generator().manual_seed(step)) / 6
        operator = DenseAffinity(factor @ factor.T, (3, 4))
        self.alive.append(weakref.ref(operator))
        self.most = max(self.most, sum(ref() is not None for ref in self.alive))
        return operator


class TestRedraw:
    operator = DenseAffinity(torch.eye(12) / 2, (3, 4))

    def solve(self, drawn, **options):
        return solve_gradient(self.operator, 3, redraw=drawn, **(SMALL | {"steps": 200} | options))

    @pytest.mark.parametrize("options", [{"buffer": 0}, {"reuse": 0}])
    def test_without_a_buffer_every_step_draws(self, options):
        drawn = Drawn()
        found = self.solve(drawn, **options)
        assert drawn.asked == list(range(200))
        assert found.details["draws"] == 200

    def test_a_full_buffer_is_drawn_from_three_times_in_four(self):
        drawn = Drawn()
        found = self.solve(drawn)
        assert drawn.asked[:7] == list(range(7))
        assert drawn.asked == sorted(set(drawn.asked))
        assert 0.15 < len(drawn.asked[7:]) / 193 < 0.35
        assert found.details["draws"] == len(drawn.asked)
        assert (found.details["buffer"], found.details["reuse"]) == (7, 0.75)

    @pytest.mark.parametrize("buffer", [0, 1, 4])
    def test_no_more_operators_are_held_than_the_buffer_and_the_one_in_use(self, buffer):
        drawn = Drawn()
        self.solve(drawn, buffer=buffer)
        assert drawn.most <= buffer + 1

    def test_the_operator_itself_only_judges(self):
        history = [self.solve(Drawn(), steps=30).details["loss_history"]]
        other = DenseAffinity(torch.eye(12) / 3, (3, 4))
        found = solve_gradient(other, 3, redraw=Drawn(), **SMALL, steps=30)
        assert found.details["loss_history"] == history[0]
        np.testing.assert_allclose(found.values, 1 / 3, atol=1e-6)

    def test_what_is_drawn_is_checked(self):
        with pytest.raises(TypeError, match=r"redraw\(0\) gave Tensor; expected what joint_affinity"):
            self.solve(lambda step: torch.eye(12))
        with pytest.raises(ValueError, match=r"redraw\(0\) gave an operator on grid \(4, 3\)"):
            self.solve(lambda step: DenseAffinity(torch.eye(12), (4, 3)))


class TestResume:
    operator = case_of("joint both").operator

    def solve(self, path, **options):
        return solve_gradient(self.operator, 3, checkpoint=path, **({"steps": 40, "save_every": 7} | SMALL | options))

    @pytest.mark.parametrize("redrawn", [False, True])
    def test_a_resumed_run_gives_what_an_uninterrupted_one_gives(self, tmp_path, redrawn):
        def redraw(step):
            # The same for the same number, and another for another.
            scale = 0.5 + 0.5 * torch.rand((), generator=torch.Generator().manual_seed(step))
            return DenseAffinity(scale * self.operator.dense(), self.operator.grid)

        options = {"redraw": redraw} if redrawn else {}
        whole = self.solve(None, **options)
        seen = []
        for stop in (4, 17, 30):
            first = []

            def report(progress, first=first, stop=stop):
                first.append(progress.done)
                if progress.done == stop:
                    raise Cancelled

            with pytest.raises(Cancelled):
                self.solve(tmp_path / "state", report=report, **options)
            seen.append(first[0])
        resumed = self.solve(tmp_path / "state", **options)
        assert seen == [0, 0, 15]
        assert torch.equal(resumed.vectors, whole.vectors)
        assert torch.equal(resumed.values, whole.values)
        same = {name: value for name, value in whole.details.items() if name != "draws"}
        assert {name: resumed.details[name] for name in same} == same
        assert [path.name for path in tmp_path.iterdir()] == ["state"]

    def test_a_finished_run_is_not_run_again(self, tmp_path):
        first = self.solve(tmp_path / "state")
        seen = []
        again = self.solve(str(tmp_path / "state"), report=seen.append)
        assert not seen
        assert torch.equal(first.vectors, again.vectors)

    @pytest.mark.parametrize(
        ("options", "words"),
        [({"steps": 50}, "steps 40; expected steps 50"), ({"seed": 3}, "seed 0; expected seed 3")],
    )
    def test_the_state_of_other_options_is_refused_in_words(self, tmp_path, options, words):
        self.solve(tmp_path / "state")
        with pytest.raises(ValueError, match=f"is of a run with {words}. Delete it, or name another file"):
            self.solve(tmp_path / "state", **options)

    def test_the_state_of_another_affinity_is_refused_in_words(self, tmp_path):
        self.solve(tmp_path / "state")
        other = joint_affinity(layers_of(*GRIDS), "what")
        with pytest.raises(ValueError, match="is of a run on another affinity"):
            solve_gradient(other, 3, checkpoint=tmp_path / "state", steps=40, **SMALL)
        larger = joint_affinity(layers_of((8, 9)), "what")
        with pytest.raises(ValueError, match="is of a run with grid"):
            solve_gradient(larger, 3, checkpoint=tmp_path / "state", steps=40, **SMALL)

    @pytest.mark.parametrize("content", [b"", b"PK nonsense", b"\x80\x04N."])
    def test_a_file_that_is_no_checkpoint_is_refused_in_words(self, tmp_path, content):
        (tmp_path / "state").write_bytes(content)
        with pytest.raises(ValueError, match="is no checkpoint of this solver"):
            self.solve(tmp_path / "state")
        assert (tmp_path / "state").read_bytes() == content

    def test_a_state_that_cannot_be_written_leaves_nothing_behind(self, tmp_path, monkeypatch):
        monkeypatch.setattr(torch, "save", fail)
        with pytest.raises(OSError, match="full"):
            self.solve(tmp_path / "state")
        assert not list(tmp_path.iterdir())


def fail(*_):
    raise OSError("disk is full")


@pytest.mark.parametrize(
    ("options", "problem", "words"),
    [
        ({"steps": 0}, ValueError, "steps is 0; expected at least 1"),
        ({"steps": 2.5}, TypeError, "steps is 2.5; expected a whole number"),
        ({"accumulate": True}, TypeError, "accumulate is True"),
        ({"learning_rate": -1}, ValueError, "learning_rate is -1.0; expected a number of at least 0"),
        ({"learning_rate": float("nan")}, ValueError, "learning_rate is nan"),
        ({"learning_rate": "fast"}, TypeError, "learning_rate is 'fast'; expected a number"),
        ({"eigenvalue_weight": float("inf")}, ValueError, "eigenvalue_weight is inf"),
        ({"width": 0}, ValueError, "width is 0"),
        ({"layers": 0}, ValueError, "layers is 0"),
        ({"pooling": "max"}, ValueError, "pooling is 'max'; expected one of 'mean', 'orthonormal'"),
        ({"buffer": -1}, ValueError, "buffer is -1; expected at least 0"),
        ({"reuse": 1.5}, ValueError, "reuse is 1.5; expected a number between 0 and 1"),
        ({"save_every": 0, "checkpoint": "state"}, ValueError, "save_every is 0"),
        ({"redraw": 3}, TypeError, "redraw is 3; expected a function of the step"),
        ({"momentum": 0.9}, TypeError, "method 'gradient' has no option 'momentum'; it has steps, accumulate"),
    ],
)
def test_options_are_refused_in_words(options, problem, words):
    with pytest.raises(problem, match=words):
        spectral_embedding(case_of("joint both").operator, 2, "gradient", **options)


def test_an_affinity_that_the_loss_is_not_made_for_is_warned_about():
    with pytest.warns(UserWarning, match="mean degree is .* Use normalization='degree', or method 'exact'"):
        spectral_embedding(joint_affinity(layers_of((6, 7)), "what", "none"), 2, "gradient", steps=2, **SMALL)
