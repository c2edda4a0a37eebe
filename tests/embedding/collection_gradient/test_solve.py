"""The gradient method for collections: the published loop, its long runs, and what it answers."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from sklearn.metrics import adjusted_rand_score

from napari_what_where.activations.types import TokenActivations
from napari_what_where.embedding.collection_gradient.exact import exact_batch
from napari_what_where.embedding.collection_gradient.graphs import GraphOptions, batch_graphs
from napari_what_where.embedding.collection_gradient.objective import BatchObjective, layer_weights
from napari_what_where.embedding.collection_gradient.options import CollectionOptions
from napari_what_where.embedding.collection_gradient.run import CollectionRun
from napari_what_where.embedding.collection_gradient.solve import solve_collection_gradient
from napari_what_where.embedding.collection_gradient.table import orthonormal_columns
from napari_what_where.progress import Cancelled

from . import twins

CPU = torch.device("cpu")
IMAGES = twins.collection([[(4, 4), (2, 2)], [(3, 4), (2, 2)], [(4, 4), (2, 2)], [(4, 3), (1, 2)], [(4, 4), (2, 2)]])
SMALL = {"epochs": 3, "batch": 2, "side": 4, "within": 3, "between": 4, "device": "cpu"}


def frozen(numbers, draw):
    return (IMAGES[number] for number in numbers)


def redrawn(numbers, draw):
    """Other noise at every draw, the same for the same."""
    for number in numbers:
        generator = torch.Generator().manual_seed(1000 * draw + number)
        yield [
            TokenActivations(
                f"{each.name} t={draw}",
                each.grid,
                value=each.value + torch.randn(each.value.shape, generator=generator),
            )
            for each in IMAGES[number]
        ]


def solve(activations_of=redrawn, count=3, images=5, **options):
    return solve_collection_gradient(activations_of, images, count, **{**SMALL, **options})


def planted(images: int = 6, side: int = 8, seed: int = 0) -> tuple[list[list[TokenActivations]], np.ndarray]:
    """Images of four kinds of things that lie elsewhere in each, on two grids; and the kind of each cell."""
    rng = np.random.default_rng(seed)
    means, made, truth = 6 * rng.normal(size=(2, 4, 8)), [], []
    for _ in range(images):
        coarse = rng.permutation(4).reshape(2, 2)
        layers = []
        for number, size in enumerate((side, side // 2)):
            kinds = coarse.repeat(size // 2, axis=0).repeat(size // 2, axis=1).ravel()
            value = means[number][kinds] + rng.normal(size=(size * size, 8))
            layers.append(TokenActivations(f"layer {number}", (size, size), value=value[None].astype(np.float32)))
        made.append(layers)
        truth.append(coarse.repeat(side // 2, axis=0).repeat(side // 2, axis=1))
    return made, np.array(truth)


class TestPlanted:
    def test_one_channel_means_one_thing_in_every_image(self):
        images, truth = planted()
        table = solve_collection_gradient(
            lambda numbers, draw: [images[number] for number in numbers],
            len(images), 4, epochs=30, batch=3, side=8, within=12, between=20, learning_rate=0.1, ema=0.9, device="cpu",
        )  # fmt: skip
        labels = np.stack([table.assignment(i).argmax(axis=0) for i in range(len(images))])
        assert adjusted_rand_score(truth.ravel(), labels.ravel()) > 0.95
        loss = table.history.sum(axis=1)
        assert loss[-2:].mean() < 0.2 * loss[:2].mean()

    def test_on_one_batch_it_comes_near_the_exact_trace_and_never_above(self):
        images, _ = planted(4)
        table = solve_collection_gradient(
            lambda numbers, draw: [images[number] for number in numbers],
            len(images), 4, epochs=60, side=8, within=12, between=20, learning_rate=0.1, ema=0.9, device="cpu",
        )  # fmt: skip
        graphs = batch_graphs(images, "what", GraphOptions(12, 20), CPU)
        exact = exact_batch(graphs, layer_weights(graphs, "inverse"), 4, side=8)
        assert 0.97 * float(exact.values.sum()) < table.values.sum() <= float(exact.values.sum()) + 1e-5


class TestLoop:
    @pytest.mark.parametrize("averaging", ["iterates", "entries"])
    @pytest.mark.parametrize("keep_moments", [True, False])
    @pytest.mark.parametrize("drop_last", [True, False])
    def test_it_is_the_published_loop_written_plainly(self, averaging, keep_moments, drop_last):
        options = CollectionOptions(
            epochs=3, batch=2, side=4, within=3, between=4, ema=0.8, weight_decay=0.1, learning_rate=0.1,
            averaging=averaging, keep_moments=keep_moments, drop_last=drop_last,
        )  # fmt: skip
        calls = []

        def graphs_of(numbers, draw):
            calls.append((list(numbers), draw))
            return batch_graphs(redrawn(numbers, draw), "what", options.graph, CPU)

        run = CollectionRun(5, 3, options, graphs_of, seed=3, device=CPU)
        # Every image's logits a parameter of its own, all in one AdamW, which leaves alone what has no gradient.
        start = torch.randn(5, 3, 4, 4, generator=torch.Generator().manual_seed(3))
        table = [torch.nn.Parameter(entry.clone()) for entry in start]
        average = [entry.detach().clone() for entry in table]
        adam = torch.optim.AdamW(table, lr=0.1, weight_decay=0.1)
        for number in range(run.total):
            members = run.members(number)
            graphs = batch_graphs(redrawn(members, number), "what", options.graph, CPU)
            objective = BatchObjective(
                graphs, layer_weights(graphs, "inverse"), side=4, normalization="rows", upward="bilinear", device=CPU
            )
            before = [table[i].detach().clone() for i in members]
            if not keep_moments:
                adam = torch.optim.AdamW(table, lr=0.1, weight_decay=0.1)
            for _ in range(5):
                adam.zero_grad()
                sum(objective(torch.stack([table[i] for i in members]).softmax(dim=1))).backward()
                adam.step()
            if averaging == "entries":
                for i, old in zip(members, before, strict=True):
                    table[i].data.copy_(0.8 * old + 0.2 * table[i].data)
            for slow, fast in zip(average, table, strict=True):
                slow.copy_(0.8 * slow + 0.2 * fast.data)
            run.update(lambda progress: None)
        expected = torch.stack(average if averaging == "iterates" else [entry.data for entry in table])
        torch.testing.assert_close(run.answer(), expected, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(run.logits, torch.stack([entry.data for entry in table]), rtol=1e-4, atol=1e-5)
        assert [draw for _, draw in calls] == list(range(run.total))

    @pytest.mark.parametrize("images", [1, 2, 5, 6])
    def test_every_epoch_goes_over_all_images_in_another_order(self, images):
        run = CollectionRun(images, 1, CollectionOptions(batch=2, side=1, epochs=8), frozen, seed=0, device=CPU)
        epochs = [[run.members(epoch * run.batches + place) for place in range(run.batches)] for epoch in range(8)]
        for batches in epochs:
            assert sorted(image for members in batches for image in members) == list(range(images))
            assert all(members == sorted(members) and len(members) <= 2 for members in batches)
        assert images <= 2 or len({str(batches) for batches in epochs}) > 1

    def test_dropped_batches_are_of_other_images_each_time(self):
        run = CollectionRun(5, 1, CollectionOptions(batch=2, side=1, drop_last=True), frozen, seed=0, device=CPU)
        epochs = [run.members(2 * epoch) + run.members(2 * epoch + 1) for epoch in range(20)]
        assert all(len(set(members)) == 4 for members in epochs)
        assert {image for members in epochs for image in members} == set(range(5))

    def test_a_seed_gives_one_answer_and_leaves_the_random_state_of_others_alone(self):
        state = torch.get_rng_state()
        first, again, other = (solve(seed=seed) for seed in (1, 1, 2))
        assert torch.equal(first.logits, again.logits)
        assert first.details == again.details
        assert not torch.equal(first.logits, other.logits)
        assert torch.equal(torch.get_rng_state(), state)


class TestLongRuns:
    @pytest.mark.parametrize("options", [{}, {"averaging": "entries", "keep_moments": False}, {"drop_last": True}])
    @pytest.mark.parametrize("stop", [2, 5, 8])
    def test_a_run_that_was_killed_and_gone_on_with_gives_the_same(self, tmp_path, options, stop):
        whole, calls = solve(**options), [0]

        def dying(numbers, draw):
            calls[0] += 1
            if calls[0] == stop:
                raise KeyboardInterrupt
            return redrawn(numbers, draw)

        kept = {"checkpoint": tmp_path / "state", "save_every": 2, **options}
        with pytest.raises(KeyboardInterrupt):
            solve(dying, **kept)
        resumed = solve(**kept)
        for name in ("logits", "iterate", "rotation"):
            assert torch.equal(getattr(whole, name), getattr(resumed, name))
        np.testing.assert_array_equal(whole.history, resumed.history)
        np.testing.assert_array_equal(whole.values, resumed.values)

    def test_a_finished_run_is_not_done_again(self, tmp_path):
        first, draws = solve(checkpoint=tmp_path / "state"), []

        def watched(numbers, draw):
            draws.append(draw)
            return redrawn(numbers, draw)

        again = solve(watched, checkpoint=tmp_path / "state", rotate=False)
        assert torch.equal(first.logits, again.logits)
        assert draws == [0]

    @pytest.mark.parametrize("changed", [{"seed": 5}, {"epochs": 4}, {"count": 2}, {"pathway": "where"}, {"images": 4}])
    def test_a_checkpoint_of_other_options_is_refused(self, tmp_path, changed):
        solve(frozen, checkpoint=tmp_path / "state")
        with pytest.raises(ValueError, match=f"{next(iter(changed))} .*Delete it"):
            solve(frozen, checkpoint=tmp_path / "state", **changed)

    def test_a_checkpoint_of_other_images_is_refused(self, tmp_path):
        solve(frozen, checkpoint=tmp_path / "state")
        with pytest.raises(ValueError, match="another affinity"):
            solve(lambda numbers, draw: [IMAGES[(n + 1) % 5] for n in numbers], checkpoint=tmp_path / "state")

    def test_frozen_activations_of_the_same_images_are_looked_at_once(self):
        draws = []

        def watched(numbers, draw):
            draws.append(draw)
            return frozen(numbers, draw)

        assert torch.equal(solve(watched, batch=5, frozen=True).logits, solve(frozen, batch=5).logits)
        assert draws == [0]
        assert torch.equal(solve(watched, frozen=True).logits, solve(frozen).logits)

    def test_every_step_is_reported_and_cancels(self):
        seen = []
        solve(report=seen.append)
        inner = [each for each in seen if each.total == 45]
        assert {each.done for each in inner} == set(range(45))

        def cancel(progress):
            if progress.done == 7:
                raise Cancelled

        with pytest.raises(Cancelled):
            solve(report=cancel)

    def test_nothing_changes_in_a_batch_that_is_interrupted(self):
        options = CollectionOptions(epochs=3, batch=2, side=4, within=3, between=4)
        runs = [
            CollectionRun(
                5, 3, options, lambda n, d: batch_graphs(redrawn(n, d), "what", options.graph, CPU), seed=0, device=CPU
            )
            for _ in range(2)
        ]

        def cancel(progress):
            if progress.done == 3:
                raise Cancelled

        with pytest.raises(Cancelled):
            runs[0].update(cancel)
        for run in runs:
            run.update(lambda progress: None)
        assert torch.equal(runs[0].logits, runs[1].logits)
        assert torch.equal(runs[0].answer(), runs[1].answer())


class TestAnswer:
    @pytest.mark.parametrize("rotate", [True, False])
    @pytest.mark.parametrize("drop_last", [True, False])
    def test_vectors_are_orthonormal_over_the_collection_and_span_the_softmax(self, rotate, drop_last):
        table = solve(rotate=rotate, drop_last=drop_last)
        assert (len(table), table.count) == (5, 3)
        soft = np.stack([table.assignment(i) for i in range(5)])
        vectors = np.stack([table.vectors(i) for i in range(5)])
        assert soft.dtype == vectors.dtype == np.float32
        assert soft.shape == vectors.shape == (5, 3, 4, 4)
        np.testing.assert_allclose(soft.sum(axis=1), 1, rtol=1e-5)
        columns, basis = (part.transpose(1, 0, 2, 3).reshape(3, -1).T.astype(float) for part in (soft, vectors))
        np.testing.assert_allclose(basis.T @ basis, np.eye(3), atol=1e-5)
        np.testing.assert_allclose(basis @ (basis.T @ columns), columns, atol=1e-5)
        assert (table.values is None) is not rotate

    def test_values_are_rayleigh_quotients_of_the_batches_graphs_in_order(self):
        table = solve(frozen, drop_last=True)
        options = CollectionOptions(batch=2, epochs=3, side=4, drop_last=True)
        run = CollectionRun(5, 3, options, frozen, seed=0, device=CPU)
        batches = [run.members(6), run.members(7)]
        batches.append(sorted(set(range(5)) - set(batches[0]) - set(batches[1])))
        quotient = np.zeros((3, 3))
        for members in batches:
            images = [IMAGES[i] for i in members]
            layers = list(zip(*images, strict=True))
            weights = layer_weights(batch_graphs(images, "what", GraphOptions(3, 4), CPU), "inverse")
            matrix = twins.joint(layers, ["value"] * 2, weights, side=4, normalization="rows", within=3, between=4)
            x = np.concatenate([table.vectors(i).reshape(3, -1).T for i in members]).astype(float)
            quotient += x.T @ matrix @ x
        np.testing.assert_allclose(quotient, np.diag(table.values), atol=1e-5)
        assert (np.diff(table.values) <= 0).all()

    def test_equal_columns_leave_finite_vectors(self):
        table = solve(count=2, learning_rate=0.0)
        table.logits[:, 1] = table.logits[:, 0]
        assert bool(orthonormal_columns(table.logits).isfinite().all())

    def test_details_are_ready_for_json_and_tell_the_options(self):
        details = json.loads(json.dumps(solve(ema=0.5).details))
        assert details["ema"] == 0.5
        assert details["batches"] == 9
        assert details["table_bytes"] == 5 * 3 * 16 * 4

    def test_few_cells_of_one_image_will_do(self):
        table = solve(frozen, images=1, count=1, side=1, epochs=1)
        assert table.vectors(0).ravel() == pytest.approx([1.0])


@pytest.mark.parametrize(
    ("changed", "error", "words"),
    [
        ({"epochs": 0}, ValueError, "epochs is 0; expected at least 1"),
        ({"batch": 2.5}, TypeError, "batch is 2.5; expected a whole number"),
        ({"ema": 1.5}, ValueError, "ema is 1.5; expected a number between 0 and 1"),
        ({"least": -0.1}, ValueError, "least is -0.1"),
        ({"learning_rate": "fast"}, TypeError, "learning_rate is 'fast'"),
        ({"averaging": "none"}, ValueError, "averaging is 'none'; expected one of 'iterates', 'entries'"),
        ({"normalization": "degree"}, ValueError, "normalization is 'degree'; expected one of 'rows', 'symmetric'"),
        ({"count": 81}, ValueError, "count is 81; expected at most the table's 80 cells"),
        ({"images": 0}, ValueError, "images is 0"),
        ({"pathway": "which"}, ValueError, "pathway is 'which'"),
        ({"save_every": 0, "checkpoint": "x"}, ValueError, "save_every is 0"),
    ],
)
def test_options_out_of_range_are_refused_in_words(changed, error, words):
    with pytest.raises(error, match=words):
        solve(frozen, **changed)
