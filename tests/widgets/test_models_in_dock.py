"""Pretrained models in the dock, driven as a user does: chosen, downloaded from a hub on this computer, run, kept."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication, QFileDialog, QInputDialog
from safetensors.numpy import load_file, save_file

from napari_what_where.activations.catalogue import CATALOGUE
from napari_what_where.activations.hub import download_model
from napari_what_where.activations.networks.families import FAMILIES
from napari_what_where.activations.networks.network import NetworkBackbone
from napari_what_where.memory import OutOfMemory
from napari_what_where.widgets.layer_choice import LayerDialog, blocks
from napari_what_where.widgets.model_entries import known_entries, look_up
from tests.activations.hub_case import empty_hub  # noqa: F401 - the fixture "hub"
from tests.activations.tiny_diffusion import tiny_folder
from tests.activations.tiny_models import saved
from tests.images import scene

NAME, GATED = "dino-vits16", "dinov3-vits16"
REPO = CATALOGUE[NAME].repo


@pytest.fixture(autouse=True)
def nothing_on_disk(tmp_path, monkeypatch):
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))


@pytest.fixture(scope="session")
def vit(tmp_path_factory):
    """A folder with a tiny ViT of the true class. Not to be changed."""
    return saved("ViTModel", tmp_path_factory.mktemp("tiny") / "vit")


@pytest.fixture
def image(driver):
    return driver.viewer.add_image(scene((40, 60), channels=3), rgb=True, name="scene")


def files_of(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def large_files(folder):
    """With a file beside the weights that keeps the download busy."""
    return {**files_of(folder), "preprocessor_config.json": b"{}" + b" " * 6_000_000}


def status(driver):
    return driver.panel.models.status.text()


def button(driver):
    download = driver.panel.models.download
    return download.text() if download.isVisibleTo(driver.dock) else None


def count_loads(monkeypatch):
    loads, load = [], NetworkBackbone.module.fget

    def counted(backbone):
        if backbone._module is None:
            loads.append(backbone)
        return load(backbone)

    monkeypatch.setattr(NetworkBackbone, "module", property(counted))
    return loads


# What is listed


def test_every_model_is_listed_under_its_group_with_size_and_headings_cannot_be_chosen(driver):
    combo = driver.panel.models.combo
    listed = [combo.itemData(row, Qt.ItemDataRole.UserRole) for row in range(combo.count())]
    assert [name for name in listed if name] == [entry.name for entry in known_entries()]
    for row, name in enumerate(listed):
        assert combo.model().item(row).isSelectable() == bool(name)
    spoken = combo.itemData(listed.index(NAME), Qt.ItemDataRole.AccessibleTextRole)
    assert spoken == f"{NAME}, 87 MB, not on disk"


@pytest.mark.parametrize("entry", list(known_entries()), ids=lambda entry: entry.name)
def test_options_are_known_without_importing_the_adapter(entry):
    import importlib

    from napari_what_where.activations.networks.families import option_names

    if not entry.class_name:
        assert entry.options == ()
        return
    module, _, name = FAMILIES[entry.class_name].partition(":")
    adapter = getattr(importlib.import_module(f"napari_what_where.activations.networks.{module}"), name)
    assert set(option_names(adapter)) - set(entry.options) <= {"prompt"}
    assert set(entry.options) <= set(option_names(adapter))
    if "prompt" in entry.options:
        assert adapter.reads_text


def test_rows_of_options_are_those_of_the_model_and_kept_for_it(driver):
    panel = driver.panel
    panel.more.expand(False)
    options = panel.model_options
    assert not options.resolution.isVisibleTo(driver.dock)
    panel.models.choose("stable-diffusion-1.5")
    assert options.prompt.isVisibleTo(driver.dock)
    options.timesteps.setText("50, 150")
    options.prompt.setText(" a cup ")
    assert panel.settings()["backbone_options"] == {"timesteps": [50, 150], "prompt": "a cup"}
    panel.models.choose("dit-xl-2-256")
    assert options.timesteps.isVisibleTo(driver.dock)
    assert not options.prompt.isVisibleTo(driver.dock)
    assert panel.settings()["backbone_options"] == {}
    panel.models.choose("stable-diffusion-1.5")
    assert panel.settings()["backbone_options"] == {"timesteps": [50, 150], "prompt": "a cup"}
    options.draw.click()
    drawn = panel.settings()["backbone_options"]["timesteps"]
    assert len(drawn) == 5
    assert max(drawn) <= 250


def test_a_wrong_timestep_is_said_before_anything_runs(driver, image):
    driver.dock.models.add(str(tiny_folder("stable-diffusion")))
    driver.panel.model_options.timesteps.setText("fifty")
    driver.panel.run.click()
    assert driver.dock.task is None
    assert "expected whole numbers in 0…999" in driver.message
    driver.panel.folder.click()
    assert driver.dock.handoff.dialog is None


# Downloads


def test_from_not_on_disk_to_a_download_to_layers(driver, image, hub, vit):
    hub.add(REPO, large_files(vit))
    hub.pause = 0.01
    driver.panel.models.choose(NAME)
    assert "not on disk: 87 MB download" in status(driver)
    assert button(driver) == "Download"
    driver.panel.run.click()
    assert driver.dock.task is None
    assert driver.message.startswith(f"{NAME} is not on this disk. Press Download (87 MB)")
    assert driver.names() == ["scene"]
    driver.panel.models.download.click()
    seen = set()

    def done():
        seen.add(driver.panel.progress.format())
        return driver.dock.task is None

    driver.qtbot.waitUntil(done, timeout=60_000)
    hub.broken = True  # from here on without network
    assert any(text.startswith(f"Downloading {NAME}: ") and text.endswith(" %") for text in seen)
    assert status(driver).startswith("ready · ")
    assert button(driver) is None
    driver.panel.pathways["where"].click()
    driver.run()
    assert "scene segments (where)" in driver.names()
    record = driver.dock.session.findings.analyses[0].provenance
    assert record["options"]["backbone"] == NAME
    assert record["model"]["commit"] == hub.repositories[REPO].heads["main"]


def test_of_a_diffusion_model_no_more_is_downloaded_than_is_run(driver, image, hub):
    folder = tiny_folder("stable-diffusion")
    files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    more = {"safety_checker/config.json": b"{}", "safety_checker/model.safetensors": b"0" * 1000}
    repo = CATALOGUE["stable-diffusion-1.5"].repo
    hub.add(repo, files | more)
    driver.panel.models.choose("stable-diffusion-1.5")
    driver.panel.models.download.click()
    driver.wait()
    assert status(driver).startswith("ready · ")
    assert not any("safety_checker" in path for path in hub.sent)
    driver.panel.model_options.resolution.setValue(64)
    driver.panel.pathways["where"].click()
    driver.run()
    assert "scene segments (where)" in driver.names()


@pytest.mark.parametrize("look", ["list", "window"])
def test_what_another_program_downloads_or_deletes_is_seen(driver, hub, vit, look):
    import shutil

    def again():
        if look == "list":
            driver.panel.models.combo.showPopup()
            driver.panel.models.combo.hidePopup()
        else:
            QApplication.instance().applicationStateChanged.emit(Qt.ApplicationState.ApplicationActive)

    hub.add(REPO, files_of(vit))
    driver.panel.models.choose(NAME)
    assert button(driver) == "Download"
    folder = download_model(REPO, files=CATALOGUE[NAME].files).folder
    again()
    assert status(driver).startswith("ready")
    combo = driver.panel.models.combo
    aside = [combo.itemData(row, Qt.ItemDataRole.UserRole + 1) for row in range(combo.count())]
    assert "87 MB ✓" in aside
    shutil.rmtree(folder.parents[1])
    again()
    assert status(driver).startswith("not on disk")


def test_a_download_is_cancelled_and_gone_on_with(driver, image, hub, vit):
    hub.add(REPO, large_files(vit))
    hub.pause = 0.05
    driver.panel.models.choose(NAME)
    driver.panel.models.download.click()
    driver.qtbot.waitUntil(lambda: driver.dock.task.progress.done >= 1, timeout=60_000)
    driver.panel.cancel.click()
    driver.wait()
    assert "was cancelled" in driver.message
    assert "are kept; Resume goes on" in driver.message
    assert status(driver).startswith("partly: ")
    assert button(driver) == "Resume"
    driver.panel.run.click()
    assert "only in part" in driver.message
    hub.pause = 0
    driver.panel.models.download.click()
    driver.wait()
    assert status(driver).startswith("ready")
    assert hub.starts["preprocessor_config.json"][-1] >= 1_000_000


def test_a_download_that_fails_says_what_is_kept(driver, hub, vit):
    hub.add(REPO, large_files(vit))
    hub.cut["preprocessor_config.json"] = [2_500_000]
    hub.broken_after_cut = True
    driver.panel.models.choose(NAME)
    driver.panel.models.download.click()
    driver.wait()
    assert "are kept; the next download goes on from there" in driver.message
    assert button(driver) == "Resume"
    assert not driver.panel.copy_details.isVisibleTo(driver.dock)


def test_a_gated_model_says_what_to_do_and_takes_a_token(driver, hub, vit, monkeypatch):
    repo = CATALOGUE[GATED].repo
    hub.add(repo, files_of(vit), gated=True)
    hub.tokens["hf_mine"] = {repo}
    driver.panel.models.choose(GATED)
    assert "Gated: accept" in status(driver)
    assert CATALOGUE[GATED].url in status(driver)
    driver.panel.models.download.click()
    driver.wait()
    assert "asks for its licence to be accepted" in driver.message
    monkeypatch.setattr(QInputDialog, "getText", lambda *_, **__: ("hf_mine", True))
    driver.panel.models.token.click()
    assert "with your account" in status(driver)
    driver.panel.models.download.click()
    driver.wait()
    assert status(driver).startswith("ready")


def test_closing_the_dock_ends_the_download(driver, hub, vit, monkeypatch, qtbot):
    from napari_what_where.activations.hub import process

    children, start = [], process.subprocess.Popen
    monkeypatch.setattr(process.subprocess, "Popen", lambda *a, **k: children.append(start(*a, **k)) or children[-1])
    hub.add(REPO, large_files(vit))
    hub.pause = 0.2
    driver.panel.models.choose(NAME)
    driver.panel.models.download.click()
    task = driver.dock.task
    qtbot.waitUntil(lambda: task.progress.done >= 1, timeout=60_000)
    driver.viewer.window.remove_dock_widget(driver.dock)
    qtbot.waitUntil(lambda: not task.running, timeout=10_000)
    assert len(children) == 1
    assert children[0].poll() is not None


# The built-in model


def test_the_dock_starts_with_the_built_in_model_and_runs_every_pathway(driver, image):
    assert driver.first_model == "built-in"
    driver.panel.models.choose("built-in")
    assert status(driver).startswith("ready")
    assert "12 MB" in status(driver)
    assert driver.panel.model_options.timesteps.placeholderText() == "5"
    for pathway in ("where", "both", "what"):
        driver.panel.pathways[pathway].click()
        driver.run()
        record = driver.dock.session.findings.analyses[0].provenance
        assert record["options"]["backbone"] == "built-in"
        assert record["options"]["pathway"] == pathway
        assert "filters colour" in record["network_layers"]
    driver.panel.copy.click()
    scope = {"viewer": driver.viewer}
    exec(QApplication.clipboard().text(), scope)
    np.testing.assert_array_equal(scope["labels"], driver.segments.data)


# Models of one's own, and what they are run with


def test_a_folder_is_offered_and_one_that_holds_no_model_refused(driver, vit, tmp_path, monkeypatch):
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path))
    driver.panel.models.from_folder.trigger()
    assert "holds no model" in driver.message
    assert driver.panel.models.name == "filters"
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(vit))
    driver.panel.models.from_folder.trigger()
    assert driver.panel.models.name == str(vit)
    assert status(driver).startswith("ready")
    monkeypatch.setattr(QInputDialog, "getText", lambda *_: ("no name", True))
    driver.panel.models.from_hub.trigger()
    assert "organisation/model" in driver.message
    assert driver.panel.models.name == str(vit)


@pytest.mark.parametrize("kind", ["vit", "stable-diffusion"])
def test_a_folder_runs_with_options_is_loaded_once_and_its_script_gives_the_same(driver, image, vit, kind, monkeypatch):
    folder = vit if kind == "vit" else tiny_folder(kind)
    loads = count_loads(monkeypatch)
    driver.dock.models.add(str(folder))
    options = driver.panel.model_options
    options.resolution.setValue(48)
    options.layers.setText("*.1.*")
    given = {"resolution": 48, "layers": ["*.1.*"]}
    if kind != "vit":
        options.timesteps.setText("20, 90")
        options.noise_seed.setValue(3)
        given |= {"timesteps": [20, 90], "noise_seed": 3}
    driver.panel.pathways["where"].click()
    driver.run()
    record = driver.dock.session.findings.analyses[0].provenance
    assert record["options"]["backbone_options"] == given
    assert all(".1." in name for name in record["network_layers"])
    image.data = np.ascontiguousarray(image.data[::-1])  # what was computed of an image is not computed again
    driver.panel.count.setValue(7)
    driver.run()
    assert len({id(backbone) for backbone in loads}) == 1
    driver.panel.copy.click()
    scope = {"viewer": driver.viewer}
    exec(QApplication.clipboard().text(), scope)
    np.testing.assert_array_equal(scope["labels"], driver.segments.data)
    driver.panel.models.choose("filters")
    assert driver.dock.models._kept._backbone is None
    assert driver.panel.pathways["what"].isChecked()


def test_other_weights_in_the_same_folder_are_read(driver, image, tmp_path, monkeypatch):
    folder, loads = saved("ViTModel", tmp_path / "mine"), count_loads(monkeypatch)
    driver.dock.models.add(str(folder))
    driver.run()
    before = driver.dock.session.findings.analyses[0].embedding.vectors
    weights = load_file(folder / "model.safetensors")
    save_file({name: np.ascontiguousarray(-value) for name, value in weights.items()}, folder / "model.safetensors")
    driver.run()
    assert len(loads) == 2
    assert not np.array_equal(driver.dock.session.findings.analyses[0].embedding.vectors, before)


def test_the_folder_window_gets_the_options(driver, vit):
    driver.dock.models.add(str(vit))
    driver.panel.model_options.resolution.setValue(48)
    driver.panel.folder.click()
    dialog = driver.dock.handoff.dialog
    driver.qtbot.addWidget(dialog)
    assert dialog._settings.backbone == str(vit)
    assert dialog._settings.backbone_options == {"resolution": 48}


def test_network_layers_are_listed_and_chosen(driver, image):
    driver.dock.models.add(str(tiny_folder("stable-diffusion")))
    driver.panel.model_options.list_layers.click()
    driver.wait()
    dialog = driver.dock.models.layer_dialog
    assert len(dialog.chosen()) == 7
    assert dialog.patterns() == []
    roots = [dialog.tree.topLevelItem(row) for row in range(dialog.tree.topLevelItemCount())]
    for root in roots:
        root.setCheckState(0, Qt.CheckState.Unchecked)
    assert not dialog.ok.isEnabled()
    block = next(root for root in roots if root.childCount() == 2)
    block.setCheckState(0, Qt.CheckState.Checked)
    dialog.ok.click()
    assert driver.panel.model_options.layers.text() == f"{block.text(0)}.*"
    driver.run()
    names = driver.dock.session.findings.analyses[0].provenance["network_layers"]
    assert [name.startswith(block.text(0)) for name in names] == [True, True]


def test_blocks_of_network_layers_and_words_for_a_choice(qtbot):
    names = ["down.0.a.1", "down.0.b.1", "down.10.a.1", "mid.a", "mid.b", "up.3.c.1"]
    assert list(blocks(names)) == ["down.0", "down.10", "mid", "up.3"]
    dialog = LayerDialog(names, ["down.0.*", "mid.b"])
    qtbot.addWidget(dialog)
    assert dialog.chosen() == ["down.0.a.1", "down.0.b.1", "mid.b"]
    assert dialog.patterns() == ["down.0.*", "mid.b"]
    dialog.everything.click()
    assert dialog.patterns() == []


# What goes wrong


@pytest.mark.parametrize("cut", [False, True])
@pytest.mark.parametrize("kind", ["ViTModel", "stable-diffusion"])
def test_a_damaged_file_is_said(driver, image, tmp_path, kind, cut):
    import shutil

    folder = tmp_path / "damaged"
    saved(kind, folder) if kind == "ViTModel" else shutil.copytree(tiny_folder(kind), folder)
    weights = folder / "model.safetensors" if kind == "ViTModel" else next((folder / "unet").glob("*.safetensors"))
    content = weights.read_bytes()
    weights.write_bytes(content[:-1000] if cut else bytes(len(content)))
    driver.dock.models.add(str(folder))
    driver.run()
    assert "is damaged" in driver.message
    assert "No layer was changed" in driver.message
    assert driver.names() == ["scene"]


def test_out_of_memory_offers_a_coarser_view(driver, image, vit, monkeypatch):
    from napari_what_where.activations.networks.vision import VisionTransformer

    driver.dock.models.add(str(vit))
    driver.panel.model_options.resolution.setValue(512)
    with monkeypatch.context() as patch:

        def fail(*_):
            raise OutOfMemory("cpu", asked=2**34, free=2**30)

        patch.setattr(VisionTransformer, "run", fail)
        driver.run()
    assert "not enough memory" in driver.message
    assert driver.panel.consent.text() == "Run at a resolution of 256"
    assert driver.dock.models._kept._backbone is None
    driver.panel.consent.click()
    driver.wait()
    record = driver.dock.session.findings.analyses[0].provenance
    assert record["options"]["backbone_options"] == {"resolution": 256}


def test_a_folder_that_goes_away_is_said(driver, image, tmp_path):
    import shutil

    folder = saved("ViTModel", tmp_path / "brief")
    driver.dock.models.add(str(folder))
    assert look_up(str(folder)).ready
    shutil.rmtree(folder)
    driver.run()
    assert driver.dock.task is None
    assert "brief" in driver.message
    assert driver.names() == ["scene"]
