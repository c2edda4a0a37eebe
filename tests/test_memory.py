"""Running out of memory, however it is said, is one exception with one sentence; and what is free is not overstated."""

from __future__ import annotations

import errno
import gc
import pickle
import subprocess
import sys
import weakref

import numpy as np
import pytest
import torch

from napari_what_where import memory
from napari_what_where.memory import OutOfMemory, explained_memory, free_memory, readable_bytes

CUDA = (
    "CUDA out of memory. Tried to allocate 2.50 GiB. GPU 1 has a total capacity of 23.65 GiB of which 1.10 GiB is "
    "free. Including non-PyTorch memory, this process has 20 GiB memory in use."
)
MPS = (
    "MPS backend out of memory (MPS allocated: 8.00 GB, other allocations: 384.00 KB, max allowed: 9.07 GB). Tried to "
    "allocate 512.00 MiB on private pool."
)
CPU = (
    "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate "
    "4294967296 bytes. Error code 12 (Cannot allocate memory)"
)
WINDOWS = (
    "[enforce fail at alloc_cpu.cpp:80] data. DefaultCPUAllocator: not enough memory: you tried to allocate 64 bytes."
)


@pytest.mark.parametrize(
    ("error", "device", "asked"),
    [
        (torch.OutOfMemoryError(CUDA), "cuda:1", 2.5 * 2**30),
        (torch.OutOfMemoryError("out of memory"), "cuda", None),
        (RuntimeError("CUDA error: out of memory"), "cuda", None),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), "cuda", None),
        (RuntimeError(MPS), "mps", 2**29),
        (RuntimeError("Invalid buffer size: 12.00 GiB"), "mps", 12 * 2**30),
        (RuntimeError(CPU), "cpu", 2**32),
        (RuntimeError(WINDOWS), "cpu", 64),
        (MemoryError(), "cpu", None),
        (MemoryError("Unable to allocate 8.00 TiB for an array with shape (1,) and data type float64"), "cpu", 2**43),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "cpu", None),
        (ImportError("libtorch.so: failed to map segment from shared object"), "cpu", None),
    ],
)
def test_every_way_of_running_out_is_one_exception(error, device, asked):
    with pytest.raises(OutOfMemory) as caught, explained_memory():
        raise error
    assert caught.value.device == device
    assert caught.value.asked == asked
    assert caught.value.__cause__ is error
    assert isinstance(caught.value, MemoryError)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("mat1 and mat2 shapes cannot be multiplied"),
        OSError(errno.ENOSPC, "No space left on device"),
        ImportError("No module named 'torch'"),
        ValueError("out of memory"),
        KeyboardInterrupt(),
    ],
)
def test_other_errors_pass_as_they_are(error):
    with pytest.raises(type(error)) as caught, explained_memory():
        raise error
    assert caught.value is error


def test_numpy_itself_is_understood():
    with pytest.raises(OutOfMemory) as caught, explained_memory():
        np.empty((2**30, 2**20))
    assert caught.value.asked == 2**53
    assert str(caught.value).count(". ") == 0  # one sentence
    assert "8,388,608 GiB more were asked for" in str(caught.value)


def test_torch_itself_is_understood():
    with pytest.raises(OutOfMemory) as caught, explained_memory():
        torch.empty(2**50)
    assert (caught.value.device, caught.value.asked) == ("cpu", 2**52)


def test_the_sentence_says_what_to_do():
    on_card, on_host = OutOfMemory("cuda:0", 2**31, 2**29), OutOfMemory("cpu")
    assert str(on_card) == (
        "There was not enough memory on the graphics card cuda:0 (2.0 GiB more were asked for, 0.5 GiB were free); "
        "look for larger objects, analyse a part of the image, or compute on the CPU."
    )
    assert str(on_host) == (
        "There was not enough memory on this computer; "
        "look for larger objects, analyse a part of the image, or close other programs."
    )


def test_it_survives_being_sent_between_processes():
    error = pickle.loads(pickle.dumps(OutOfMemory("mps", 3, 4)))
    assert (error.device, error.asked, error.free) == ("mps", 3, 4)


def test_nested_blocks_explain_once():
    with pytest.raises(OutOfMemory) as caught, explained_memory(), explained_memory("cuda"):
        raise MemoryError
    assert type(caught.value.__cause__) is MemoryError


def test_what_the_failed_run_held_is_let_go_while_the_error_is_still_shown():
    class Large:
        pass

    held = []

    @explained_memory()
    def run() -> None:
        large = Large()
        held.append(weakref.ref(large))
        raise MemoryError

    with pytest.raises(OutOfMemory) as caught:
        run()
    gc.collect()
    assert held[0]() is None
    assert caught.value is not None


def test_the_cache_of_a_gpu_is_returned(monkeypatch):
    emptied = []
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: emptied.append(True))
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (2**29, 2**34))
    with pytest.raises(OutOfMemory, match=r"2.5 GiB more were asked for, 0.5 GiB were free"), explained_memory():
        raise torch.OutOfMemoryError(CUDA)
    assert emptied == [True]


def test_a_driver_in_trouble_does_not_hide_the_error(monkeypatch):
    def fail(*_: object) -> None:
        raise RuntimeError("CUDA error: unspecified launch failure")

    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "empty_cache", fail)
    monkeypatch.setattr(torch.cuda, "mem_get_info", fail)
    with pytest.raises(OutOfMemory) as caught, explained_memory():
        raise torch.OutOfMemoryError(CUDA)
    assert caught.value.free is None


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "1 MiB"), (3 * 2**20, "3 MiB"), (0.6 * 2**30, "0.6 GiB"), (2**31, "2.0 GiB"), (12.3 * 2**30, "12 GiB")],
)
def test_bytes_read_as_a_person_says_them(count, text):
    assert readable_bytes(count) == text


# -------------------------------------------------------------------------------------------------------- what is free


def group(folder, **files: object) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, value in files.items():
        (folder / name.replace("__", ".")).write_text(f"{value}\n")


def test_limits_of_a_control_group_and_of_those_around_it_version_2(tmp_path):
    (tmp_path / "cgroup").write_text("0::/batch/job\n")
    group(tmp_path / "fs", memory__stat="inactive_file 1")
    group(tmp_path / "fs/batch", memory__max=1000, memory__current=300, memory__stat="anon 9\ninactive_file 50")
    group(tmp_path / "fs/batch/job", memory__max="max", memory__current=200)
    assert memory._control_groups_left(tmp_path / "cgroup", tmp_path / "fs") == [750]


def test_limits_of_a_control_group_version_1_as_seen_from_a_container(tmp_path):
    # The name is that outside of the container, in which the group's own files are at the root.
    (tmp_path / "cgroup").write_text("5:cpu,cpuacct:/docker/ab\n4:memory:/docker/ab\n0::/\n")
    group(
        tmp_path / "fs/memory",
        memory__limit_in_bytes=2000,
        memory__usage_in_bytes=1500,
        memory__stat="inactive_file 1\ntotal_inactive_file 700",
    )
    assert memory._control_groups_left(tmp_path / "cgroup", tmp_path / "fs") == [1200]


def test_systems_without_control_groups(tmp_path):
    assert memory._control_groups_left(tmp_path / "none", tmp_path) == []


def test_free_memory_is_the_least_of_all_limits(monkeypatch):
    monkeypatch.setattr(memory, "_control_groups_left", lambda: [5000, 70])
    assert free_memory() == 70
    monkeypatch.setattr(memory, "_control_groups_left", lambda: [-3])
    assert free_memory(torch.device("cpu")) == 0
    monkeypatch.setattr(memory, "_control_groups_left", list)
    assert 2**20 < free_memory("mps") < 2**50


LIMITED = """
import resource, sys
import numpy as np, psutil
from napari_what_where.pipeline import analyze
from napari_what_where.memory import OutOfMemory, free_memory

rng = np.random.default_rng(0)
image = rng.integers(0, 255, (768, 768), dtype=np.uint8)
analyze(image[:64, :64], count=4)  # everything is imported, and threads have their stacks
room = 24 * 2**20
limit = psutil.Process().memory_info().vms + room
resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
assert free_memory() <= room
try:
    analyze(image)
except OutOfMemory as error:
    print("explained:", error)
resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
print("after:", analyze(image[:64, :64], count=4).tree.labels(3).max())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_AS is enforced on Linux")
def test_memory_that_really_runs_out_is_explained_and_the_next_run_works():
    done = subprocess.run([sys.executable, "-c", LIMITED], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    explained, after = done.stdout.splitlines()
    assert explained.startswith("explained: There was not enough memory on this computer (")
    assert after == "after: 3"
