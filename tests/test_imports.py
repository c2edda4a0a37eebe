"""Imports are light, and the core stands without napari and Qt."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src"
GUI = ("napari", "qtpy", "superqt", "magicgui", "vispy", "PyQt5", "PyQt6", "PySide2", "PySide6")
HEAVY = ("torch", "diffusers", "transformers", "scipy", "skimage", "sklearn", "numba")

# An entry of None makes an import fail as if the package were not there.
FORBID_GUI = f"import sys; sys.modules.update(dict.fromkeys({GUI}))\n"
PRINT_LOADED = "import sys; print(*(name.split('.')[0] for name, module in sys.modules.items() if module))"


def core_modules() -> list[str]:
    """Names of all modules but the widgets'."""
    files = sorted((SOURCE / "napari_what_where").rglob("*.py"))
    names = [".".join(file.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__") for file in files]
    return [name for name in names if not name.startswith("napari_what_where.widgets")]


def run_python(code: str, folder: Path) -> str:
    """Standard output of ``code`` in a fresh interpreter, without a display."""
    environment = {key: value for key, value in os.environ.items() if key not in ("DISPLAY", "WAYLAND_DISPLAY")}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=folder, env=environment, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("module", ["napari_what_where", "napari_what_where.cli", "napari_what_where.files.export"])
def test_import_is_light(module, tmp_path):
    loaded = run_python(f"import {module}; {PRINT_LOADED}", tmp_path)
    assert not {*HEAVY, *GUI} & set(loaded.split())


def test_help_loads_nothing_heavy(tmp_path):
    code = (
        "import atexit, sys\nfrom napari_what_where.cli import main\n"
        "try: main(['segment', '--help'])\nexcept SystemExit: pass\nprint('LOADED', *sys.modules)"
    )
    loaded = run_python(code, tmp_path).partition("LOADED")[2]
    assert not {*HEAVY, *GUI, "numpy"} & set(loaded.split())


def test_every_core_module_imports_without_napari_and_qt(tmp_path):
    modules = core_modules()
    assert "napari_what_where.pipeline" in modules
    code = f"import importlib\nfor name in {modules}: importlib.import_module(name)\n"
    loaded = run_python(FORBID_GUI + code + PRINT_LOADED, tmp_path)
    assert not {*GUI} & set(loaded.split())


def test_the_core_works_without_napari_and_qt(tmp_path):
    code = f"""{FORBID_GUI}
import numpy as np, napari_what_where as ww
image = np.zeros((48, 64), np.uint8); image[:, 32:] = 200
print(ww.analyze(image, count=4).tree.labels(2).max())
from napari_what_where.cli import main
print(main(["demo", "--out", "demo"]))
"""
    lines = run_python(code, tmp_path).splitlines()
    assert (lines[0], lines[-1]) == ("2", "0")
    assert "napari is not installed" in lines[1]
    assert (tmp_path / "demo/coffee_labels.tif").exists()
