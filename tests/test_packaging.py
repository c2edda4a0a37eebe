"""What is shipped is whole: wheel, source archive and editable install find manifest and samples alike."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "napari_what_where"

LOAD_ALL = """
import napari_what_where
from importlib.metadata import entry_points
from napari_what_where import samples
assert all(samples.load_sample(name).size for name in samples.sample_names())
(entry,) = [e for e in entry_points(group="napari.manifest") if e.name == "napari-what-where"]
assert entry.value == "napari_what_where:napari.yaml"
print(napari_what_where.__file__)
"""


def run(*command: object, **environment: str) -> str:
    done = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, timeout=600, env={**os.environ, **environment}
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def archives(tmp_path_factory) -> dict[str, Path]:
    """A wheel, a source archive, and the wheel built from that archive."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--sdist", "--wheel", "--outdir", folder, ROOT)
    (wheel,), (source,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    with tarfile.open(source) as archive:
        archive.extractall(folder, filter="data")
    unpacked = folder / source.name.removesuffix(".tar.gz")
    run(sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", folder / "second", unpacked)
    (second,) = (folder / "second").glob("*.whl")
    return {"wheel": wheel, "source": source, "wheel of the source": second}


@pytest.mark.parametrize("kind", ["wheel", "wheel of the source"])
def test_an_installed_wheel_finds_its_samples_and_manifest(archives, kind, tmp_path):
    run(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", tmp_path, archives[kind])
    loaded_from = run(sys.executable, "-c", LOAD_ALL, PYTHONPATH=str(tmp_path)).strip()
    assert Path(loaded_from).is_relative_to(tmp_path)
    assert (tmp_path / "napari_what_where" / "napari.yaml").is_file()
    assert (tmp_path / "napari_what_where" / "py.typed").is_file()


def test_the_editable_install_finds_its_samples_and_manifest():
    assert Path(run(sys.executable, "-c", LOAD_ALL).strip()).is_relative_to(PACKAGE)


def test_archives_hold_what_belongs_there_and_nothing_else(archives):
    with zipfile.ZipFile(archives["wheel"]) as wheel, zipfile.ZipFile(archives["wheel of the source"]) as second:
        names = set(wheel.namelist())
        assert names == set(second.namelist())
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert {"napari_what_where/__init__.pyi", "napari_what_where/sample_data/README.md"} <= names
    assert not [name for name in names if name.startswith(("tests", "sample_data", "napari.yaml"))]
    with tarfile.open(archives["source"]) as source:
        top = {Path(name).parts[1] for name in source.getnames()}
    assert {"LICENSE", "README.md", "pyproject.toml", "src", "tests", "scripts", "Makefile"} <= top
    assert not {".venv", "sample_data", "napari.yaml"} & top


def test_the_links_at_the_top_are_the_real_things():
    assert (ROOT / "napari.yaml").resolve() == PACKAGE / "napari.yaml"
    assert (ROOT / "sample_data").resolve() == PACKAGE / "sample_data"


@pytest.fixture(scope="module")
def manifest():
    npe2 = pytest.importorskip("npe2")
    return npe2.PluginManifest.from_file(PACKAGE / "napari.yaml")


def test_npe2_finds_it_valid():
    assert "valid" in run(sys.executable, "-m", "npe2", "validate", "napari-what-where")


def test_every_command_can_be_imported(manifest):
    for command in manifest.contributions.commands:
        module, _, name = command.python_name.partition(":")
        assert callable(getattr(importlib.import_module(module), name)), command.id


def test_every_sample_is_offered_under_its_title(manifest):
    from napari_what_where.samples import SAMPLES, sample_layers

    commands = {command.id: command.python_name for command in manifest.contributions.commands}
    offered = {sample.key: sample for sample in manifest.contributions.sample_data}
    assert {key: sample.display_name for key, sample in offered.items()} == {
        key: sample.title for key, sample in SAMPLES.items()
    }
    for key, sample in offered.items():
        module, _, name = commands[sample.command].partition(":")
        opened = getattr(importlib.import_module(module), name)()
        assert opened[0][1] == sample_layers(key)[0][1]


def test_menus_are_napari_s_own(manifest):
    menus = pytest.importorskip("napari._app_model.constants._menus")
    for menu in manifest.contributions.menus:
        assert menus.is_menu_contributable(menu)


def test_base_dependencies_hold_neither_napari_nor_qt():
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needed = " ".join(project["dependencies"]).lower()
    assert not [name for name in ("napari", "pyqt", "pyside", "qtpy", "magicgui", "superqt") if name in needed]
    assert all(name in needed for name in ("torch", "diffusers", "transformers"))
    assert project["license"] == "BSD-3-Clause"
    assert "Framework :: napari" in project["classifiers"]


def test_every_module_but_the_widgets_is_kept_from_napari_and_qt():
    import tomllib

    tool = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    (contract,) = [c for c in tool["importlinter"]["contracts"] if c["type"] == "forbidden"]
    modules = {path.stem for path in PACKAGE.glob("[a-z]*.py")} | {
        path.parent.name for path in PACKAGE.glob("*/__init__.py")
    }
    assert {name.partition(".")[2] for name in contract["source_modules"]} == modules - {"widgets"}
