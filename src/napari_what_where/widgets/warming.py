"""Imports of what a run will need, while nobody waits: torch, and the library that a model comes from.

Measured on two cores, with a 20 ms timer in an open napari window: as plain imports in a thread the longest gap of the
timer was 470 ms. Half of it was the garbage collector, which looks at all that the new modules have brought and holds
the interpreter meanwhile; most of the rest was loading torch's largest library. Without both the longest gap was 41 to
61 ms while the dock had just been opened, and 25 to 35 ms after a network was chosen.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path

from napari_what_where.widgets.collector import call_old

_SWITCH_S = 5e-4
"""How long a thread that imports may keep the interpreter from one that asks for it; Python's own is ten times that."""
_COLLECTION = "napari_what_where.collection.analysis"
_one_at_a_time = threading.Lock()


def warm_analysis() -> threading.Thread:
    """Import what every run needs."""
    return _in_background(_import_analysis)


def warm_collection() -> threading.Thread:
    """Import what a run on many images needs, too: the library that finds clusters holds the interpreter long."""

    def load() -> None:
        _import_analysis()
        for name in ("sklearn.cluster", "skimage.morphology", "skimage.segmentation", "tifffile", _COLLECTION):
            importlib.import_module(name)

    return _in_background(load)


def warm_model(class_name: str) -> threading.Thread:
    """Import what a run of a model of that class of diffusers or transformers needs, too."""

    def load() -> None:
        _import_analysis()
        import_model(class_name)

    return _in_background(load)


def import_model(class_name: str) -> None:
    """The adapter of a class of models, and of their library no more than that class needs; takes seconds."""
    from napari_what_where.activations.networks.families import FAMILIES

    adapter = FAMILIES[class_name].partition(":")[0]
    importlib.import_module(f"napari_what_where.activations.networks.{adapter}")
    if adapter == "vision":
        getattr(importlib.import_module("transformers"), class_name)
        return
    diffusers = importlib.import_module("diffusers")
    for name in (class_name, "AutoencoderKL", "DDPMScheduler"):
        getattr(diffusers, name)


def _in_background(load: Callable[[], None]) -> threading.Thread:
    def work() -> None:
        # Nobody has asked yet: what cannot be imported is said when it is run.
        with _one_at_a_time, _gently(), suppress(Exception):
            load()

    thread = threading.Thread(target=work, name="imports ahead")
    thread.start()
    return thread


def _import_analysis() -> None:
    if "torch" not in sys.modules:
        with suppress(Exception):
            _load_torch_library()
    import napari_what_where.embedding.spectral
    import napari_what_where.segments.tree  # noqa: F401


@contextmanager
def _gently() -> Iterator[None]:
    """Within the block the window gets its turn: no garbage collection, and the interpreter changes hands often."""
    interval, collecting = sys.getswitchinterval(), gc.isenabled()
    sys.setswitchinterval(_SWITCH_S)
    gc.disable()
    try:
        yield
    finally:
        sys.setswitchinterval(interval)
        if collecting:
            call_old()
            gc.enable()


def _load_torch_library() -> None:
    """Map torch's largest library through a C call, which lets other threads run; Python's import would not."""
    spec = find_spec("torch")
    if os.name != "posix" or spec is None or not spec.submodule_search_locations:
        return
    ending = "dylib" if sys.platform == "darwin" else "so"
    library = Path(next(iter(spec.submodule_search_locations))) / "lib" / f"libtorch_cpu.{ending}"
    if library.is_file():
        load = ctypes.CDLL(None).dlopen
        load.restype, load.argtypes = ctypes.c_void_p, [ctypes.c_char_p, ctypes.c_int]
        load(os.fsencode(library), os.RTLD_NOW | os.RTLD_LOCAL)
