"""Training: stopped and gone on is the same as never stopped, and what is exported runs as a backbone."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch

import napari_what_where as ww
from training.export import export, write_model
from training.model import CELL, cells_of, new_model, new_scheduler, pictures_of
from training.pool import ScenePool, training_scene, varied
from training.train import Settings, Trainer, train

TINY = Settings(size="tiny", steps=6, decay=2, chunks=2, chunk=8)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    train(folder, TINY, log_every=3)
    return folder


def after(steps: int) -> object:
    """Says stop once it has been asked so often."""
    asked = iter(range(steps))
    return lambda: next(asked, None) is None


def test_a_run_that_was_stopped_ends_with_the_same_weights(run: Path, tmp_path: Path) -> None:
    (tmp_path / "scenes").symlink_to(run / "scenes")
    assert train(tmp_path, TINY, stop=after(4)).step == 4
    resumed = train(tmp_path, TINY)
    whole = torch.load(run / "state.pt", weights_only=True)
    assert resumed.step == whole["step"] == 6
    for part in ("model", "average"):
        for name, weights in resumed.state()[part].items():
            assert torch.equal(weights, whole[part][name]), name


def test_the_curve_is_kept_and_the_rate_falls_to_nothing(run: Path) -> None:
    lines = list(csv.DictReader((run / "log.csv").open()))
    assert [line["step"] for line in lines] == ["3", "6"]
    assert all(0 < float(line["held_out"]) < 5 for line in lines)
    assert TINY.learning_rate(6) == 0
    assert (run / "before-decay.pt").exists()


def test_a_run_of_another_size_is_refused(run: Path) -> None:
    with pytest.raises(ValueError, match="size tiny; base"):
        Trainer(Settings(size="base")).restore(torch.load(run / "state.pt", weights_only=True))


def test_training_lowers_the_loss(run: Path) -> None:
    trainer = Trainer(Settings(size="tiny", rate=3e-3, average=0.9))
    pictures = np.stack([training_scene(n, size=(64, 64)) for n in range(8)])
    before = trainer.held_out_loss()
    for _ in range(40):
        trainer.train(pictures)
    assert trainer.held_out_loss() < 0.9 * before


def test_which_scenes_a_step_sees_depends_on_its_number_alone(run: Path) -> None:
    pool = ScenePool(run / "scenes", chunks=2, chunk=8, every=3)
    try:
        later = pool.batch(5, 4, (128, 64))
        assert later.shape == (4, 128, 64, 3)
        assert np.array_equal(later, ScenePool(run / "scenes", chunks=2, chunk=8, every=3).batch(5, 4, (128, 64)))
        assert not np.array_equal(later, pool.batch(4, 4, (128, 64)))
    finally:
        pool.close()


def test_windows_are_parts_of_the_scene_and_keep_what_is_below_below() -> None:
    scene = np.arange(20 * 30 * 3, dtype=np.int32).reshape(20, 30, 3)
    for seed in range(20):
        window = varied(np.random.default_rng(seed), scene, (8, 9))
        assert window.shape == (8, 9, 3)
        assert (np.diff(window.sum(axis=2), axis=0) > 0).all()
        assert set(window.ravel()) <= set(scene.ravel())


def test_cells_and_pictures_are_inverses() -> None:
    pictures = torch.rand(2, 3, 8, 12)
    cells = cells_of(pictures)
    assert cells.shape == (2, 3 * CELL**2, 2, 3)
    assert torch.allclose(pictures_of(cells), pictures, atol=1e-6)


def test_the_base_model_attends_at_three_grids_and_is_small() -> None:
    model = new_model()
    attending = [name for name, _ in model.named_modules() if name.endswith("attentions.0")]
    assert len({name.split(".")[1] for name in attending if name.startswith("down")}) == 3
    assert 2 * sum(each.numel() for each in model.parameters()) < 15_000_000
    assert new_scheduler().config.prediction_type == "v_prediction"


def test_an_exported_model_runs_as_a_backbone(run: Path, tmp_path: Path) -> None:
    export(run, tmp_path / "model")
    card = (tmp_path / "model" / "README.md").read_text()
    assert "6 steps" in card
    assert "$" not in card
    image = training_scene(1, size=(64, 96))
    backbone = ww.load_backbone(str(tmp_path / "model"), resolution=80)
    activations = list(backbone.extract(image))
    assert len({each.grid for each in activations}) >= 3
    analysis = ww.analyze(image, backbone=backbone, pathway="where", count=4)
    assert analysis.embedding.vectors.shape[0] == 4
    state = torch.load(run / "state.pt", weights_only=True)["average"]
    loaded = backbone.module.state_dict()
    assert all(torch.allclose(loaded[name], state[name], atol=2e-3, rtol=2e-3) for name in state)


def test_what_is_shipped_is_small(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected at most 1000"):
        write_model(new_model("tiny"), tmp_path / "model", most_bytes=1000)
    assert not (tmp_path / "model").exists()
