"""Whatever comes through the door the contract holds, and whatever goes wrong leaves nothing behind."""

from __future__ import annotations

import gc
import math
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import hypothesis.extra.numpy as arrays
import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from scipy import ndimage

import napari_what_where
from napari_what_where.files import export
from napari_what_where.memory import OutOfMemory
from napari_what_where.pipeline import Analysis, analyze
from napari_what_where.progress import Cancelled, Progress
from napari_what_where.working_plane import object_scale
from tests.images import scene

PACKAGE = str(Path(napari_what_where.__file__).parent)
DTYPES = st.one_of(
    arrays.boolean_dtypes(),
    arrays.integer_dtypes(endianness="?"),
    arrays.unsigned_integer_dtypes(endianness="?"),
    arrays.floating_dtypes(endianness="?", sizes=(16, 32, 64)),
    st.just(np.dtype(np.longdouble)),
)
SIDES = st.one_of(st.tuples(st.integers(2, 12), st.integers(2, 12)), st.sampled_from([(2, 40), (40, 2), (3, 31)]))


@pytest.fixture(autouse=True, scope="module")
def _two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


# ------------------------------------------------------------------------------------------------------ kinds of images


@st.composite
def contents(draw: st.DrawFn) -> np.ndarray:
    """(rows, columns[, channels]) pixels of any real dtype and byte order: noise, scenes, and hardly anything."""
    shape: tuple[int, ...] = draw(SIDES)
    channels = draw(st.sampled_from([None, 1, 2, 3, 4, 5, 6, 7]))
    shape = shape if channels is None else (*shape, channels)
    dtype = draw(DTYPES)
    low, high = extremes(dtype)
    kind = draw(st.sampled_from(["noise", "full range", "constant", "one pixel", "last bit", "unit"]))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    unit = rng.random(shape)
    if dtype.kind == "b":
        return unit > 0.5
    if kind == "noise":
        pixels = unit * 200
    elif kind == "full range":
        pixels = np.where(unit < 0.5, low, high)
    elif kind == "unit":
        pixels = unit
    else:
        pixels = np.full(shape, draw(st.sampled_from([0, 1, low, high])), dtype=object if dtype.kind in "iu" else dtype)
    pixels = np.asarray(pixels).astype(dtype)
    if kind == "one pixel":
        pixels.flat[0] = high if pixels.flat[-1] != high else low
    elif kind == "last bit":
        pixels.flat[0] = pixels.flat[0] - 1 if dtype.kind != "f" else np.nextafter(pixels.flat[0], dtype.type(0))
    return pixels


def extremes(dtype: np.dtype) -> tuple[Any, Any]:
    """The least and largest finite numbers; of long doubles those of float64, which they become."""
    if dtype.kind == "b":
        return False, True
    if dtype.kind == "f":
        info = np.finfo(np.float64 if dtype.itemsize > 8 else dtype.newbyteorder("="))
        return -float(info.max), float(info.max)
    return int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)


def read_only(image: np.ndarray) -> np.ndarray:
    image = image.copy()
    image.setflags(write=False)
    return image


def apart(image: np.ndarray) -> np.ndarray:
    """Every third pixel of a larger array."""
    large = np.zeros((image.shape[0] * 3, image.shape[1] * 3, *image.shape[2:]), image.dtype)
    large[::3, ::3] = image
    return large[::3, ::3]


def unaligned(image: np.ndarray) -> np.ndarray:
    """In memory that begins at an odd address."""
    place = np.zeros(image.nbytes + 1, np.uint8)[1:].view(image.dtype).reshape(image.shape)
    place[...] = image
    return place


LAYOUTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "as it is": lambda image: image,
    "columns first": np.asfortranarray,
    "reversed": lambda image: image[::-1, ::-1].copy()[::-1, ::-1],
    "channels reversed": lambda image: image[..., ::-1].copy()[..., ::-1],
    "transposed": lambda image: np.moveaxis(np.moveaxis(image, 0, 1).copy(), 0, 1),
    "channels first": lambda image: np.moveaxis(np.moveaxis(image, -1, 0).copy(), 0, -1),
    "apart": apart,
    "unaligned": unaligned,
    "read-only": read_only,
    "one row repeated": lambda image: np.broadcast_to(image[:1], image.shape),
    "one column repeated": lambda image: np.broadcast_to(image[:, :1], image.shape),
    "one value": lambda image: np.broadcast_to(image.ravel()[0], image.shape),
    "masked": lambda image: np.ma.masked_array(image),
    "memory": lambda image: memoryview(np.ascontiguousarray(image)) if image.dtype.isnative else image,
}


def native(image: Any) -> np.ndarray:
    """A contiguous copy in the machine's own byte order."""
    pixels = np.array(image)
    return np.ascontiguousarray(pixels.astype(pixels.dtype.newbyteorder("=")))


def quietly(image: Any, **options: Any) -> Analysis:
    with warnings.catch_warnings():
        for said in ("The image is constant", "count is"):
            warnings.filterwarnings("ignore", message=said)
        return analyze(image, count=3, device="cpu", **options)


def same(first: Analysis, second: Analysis) -> bool:
    """Bit for bit."""
    return (
        np.array_equal(first.embedding.vectors, second.embedding.vectors)
        and np.array_equal(first.embedding.values, second.embedding.values)
        and np.array_equal(first.tree.leaves, second.tree.leaves)
        and np.array_equal(first.tree.children, second.tree.children)
        and np.array_equal(first.tree.heights, second.tree.heights)
        and np.array_equal(first.tree.kinds, second.tree.kinds)
    )


def check_labels(analysis: Analysis, shape: tuple[int, ...]) -> None:
    """Exactly n regions, 1 … n, each in one piece, and from n to n + 1 one of them splits."""
    tree = analysis.tree
    counts = sorted({1, 2, 3, 7, tree.leaf_count, tree.leaf_count + 5})
    for n in counts:
        labels, expected = tree.labels(n), min(n, tree.leaf_count)
        assert labels.shape == shape[:2]
        assert labels.dtype.kind in "iu"
        assert np.array_equal(np.unique(labels), np.arange(1, expected + 1))
        if expected <= 7:
            assert all(ndimage.label(labels == number)[1] == 1 for number in range(1, expected + 1))
        finer = tree.labels(n + 1)
        kept = np.where(finer == expected + 1, labels, finer)
        assert n >= tree.leaf_count or np.array_equal(kept, labels)
    assert 1 <= len(np.unique(tree.labels("auto"))) <= tree.leaf_count


@settings(max_examples=60)
@given(image=contents(), layout=st.sampled_from(sorted(LAYOUTS)))
@example(image=np.full((9, 8), 2**64 - 1, np.uint64) - np.eye(9, 8).astype(np.uint64), layout="reversed")
@example(image=np.linspace(-1e300, 1e300, 70).reshape(10, 7).astype(">f8"), layout="columns first")
@example(image=scene((8, 9), 4).astype(np.uint8), layout="channels first")
@example(image=np.eye(2), layout="as it is")
def test_every_real_image_in_every_layout_is_analysed_as_its_plain_copy(image, layout):
    given_image = LAYOUTS[layout](image)
    before = np.array(given_image)
    analysis = quietly(given_image)
    assert np.array_equal(np.array(given_image), before)
    assert np.isfinite(analysis.embedding.vectors).all()
    assert np.isfinite(analysis.embedding.values).all()
    assert np.isfinite(analysis.tree.heights).all()
    check_labels(analysis, before.shape)
    assert same(analysis, quietly(native(given_image)))


@settings(max_examples=40)
@given(
    shape=SIDES,
    channels=st.sampled_from([None, 1, 3, 4]),
    dtype=st.sampled_from(["<f2", ">f2", "<f4", ">f4", "<f8", ">f8", "longdouble"]),
    bad=st.lists(st.sampled_from([math.nan, math.inf, -math.inf]), min_size=1, max_size=6),
    start=st.integers(0, 10**6),
    layout=st.sampled_from(["as it is", "reversed", "columns first", "apart", "read-only"]),
)
def test_pixels_that_are_no_numbers_are_refused_and_counted(shape, channels, dtype, bad, start, layout):
    image = np.zeros(shape if channels is None else (*shape, channels), dtype)
    places = np.unique((start + 7 * np.arange(len(bad))) % image.size)
    image.flat[places] = bad[: len(places)]
    with pytest.raises(ValueError, match=f"has {len(places)} NaN or infinite values of {image.size}"):
        analyze(LAYOUTS[layout](image), report=never)


def never(progress: Progress) -> None:
    raise AssertionError(f"work began: {progress}")


@pytest.mark.parametrize("size", [1, 3.5, 24, 1e9])
def test_every_smallest_object_gives_labels_by_the_contract(size):
    for shape in ((2, 2), (5, 40), (17, 13)):
        image = scene(shape, 3)
        check_labels(quietly(image, smallest_object=size), image.shape)


# ------------------------------------------------------------------------------------------------------ fault injection


class Injected(Exception):
    """A fault that nobody expects."""


def code_name(frame: FrameType) -> str | None:
    """The name of a function of ours; None of others, and of what only takes exceptions further."""
    code = frame.f_code
    ours = code.co_filename.startswith(PACKAGE)
    return f"{code.co_filename.removeprefix(PACKAGE)}:{code.co_qualname}" if ours else None


@contextmanager
def profiled(hook: Callable[[str], None]) -> Iterator[None]:
    """Call ``hook`` with the name of each function of ours as it is entered; what it raises, the function raises."""

    def profile(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and (name := code_name(frame)) is not None:
            hook(name)

    before = sys.getprofile()
    threading.setprofile(profile)
    sys.setprofile(profile)
    try:
        yield
    finally:
        sys.setprofile(before)
        threading.setprofile(None)


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return scene((7, 9), 3)


@pytest.fixture(scope="module")
def expected(image) -> Analysis:
    return quietly(image)


def test_a_fault_in_any_function_comes_out_as_itself_and_leaves_nothing(image, expected):
    names: dict[str, int] = {}
    with profiled(lambda name: names.__setitem__(name, names.get(name, 0) + 1)):
        quietly(image)
    stages = ("analyze", "FiltersBackbone.visit", "JointFold.finish", "spectral_embedding", "region_tree")
    assert all(any(name.endswith(f":{stage}") for name in names) for stage in stages)
    before, threads = image.copy(), threading.active_count()
    for wanted in names:

        def fail(name: str, wanted: str = wanted) -> None:
            if name == wanted:
                raise Injected(name)

        with pytest.raises(Injected, match=r":"), profiled(fail):
            quietly(image)
        assert same(quietly(image), expected), wanted
    assert np.array_equal(image, before)
    assert threading.active_count() <= threads


@pytest.mark.parametrize("fault", [Cancelled, Injected, KeyboardInterrupt])
def test_a_run_stopped_at_any_report_leaves_nothing(image, expected, fault):
    total: list[Progress] = []
    quietly(image, report=total.append)
    for last in sorted({round(share * (len(total) - 1)) for share in np.linspace(0, 1, 15)}):
        seen: list[Progress] = []

        def report(progress: Progress, last: int = last, seen: list[Progress] = seen) -> None:
            seen.append(progress)
            if len(seen) > last:
                raise fault

        with pytest.raises(fault):
            quietly(image, report=report)
        assert len(seen) == last + 1
    assert same(quietly(image), expected)


@pytest.fixture
def tiled(monkeypatch) -> Callable[..., Analysis]:
    """Analyses an image in 6 tiles, two at a time in threads."""
    monkeypatch.setattr(object_scale, "plan_plane", partial(object_scale.plan_plane, tile_side=32))
    image = scene((96, 64), 3)

    def run(**options: Any) -> Analysis:
        analysis = quietly(image, smallest_object=16, **options)
        assert len(analysis.plane.tiles) == 6
        return analysis

    return run


def test_a_fault_in_any_function_of_the_threads_comes_out_as_well(tiled):
    expected, threads, caller = tiled(), threading.active_count(), threading.get_ident()
    names: dict[str, None] = {}

    def note(name: str) -> None:
        if threading.get_ident() != caller:
            names.setdefault(name)

    with profiled(note):
        tiled()
    assert any("waterpixels" in name for name in names)
    for number, wanted in enumerate(list(names)):
        fault, comes_out = ((Injected, Injected), (MemoryError, OutOfMemory))[number % 2]

        def fail(name: str, wanted: str = wanted, fault: type[Exception] = fault) -> None:
            if name == wanted and threading.get_ident() != caller:
                raise fault(name)

        with pytest.raises(comes_out), profiled(fail):
            tiled()
        assert threading.active_count() <= threads, wanted  # one of an earlier test may end meanwhile
    assert same(tiled(), expected)


def test_a_run_in_threads_stopped_at_any_report_leaves_nothing(tiled):
    expected, threads = tiled(), threading.active_count()
    total: list[Progress] = []
    tiled(report=total.append)
    for last in sorted({round(share * (len(total) - 8)) for share in np.linspace(0, 1, 8)}):
        seen: list[Progress] = []

        def report(progress: Progress, last: int = last, seen: list[Progress] = seen) -> None:
            seen.append(progress)
            if len(seen) > last:
                raise Cancelled

        with pytest.raises(Cancelled):
            tiled(report=report)
        assert threading.active_count() <= threads
    assert same(tiled(), expected)


def test_a_fault_in_any_function_of_an_export_leaves_the_old_files_or_all_the_new_ones(tmp_path, expected):
    paths = export.output_paths(tmp_path, "cells", "tiff,png")

    def save(segments: int) -> list[bytes]:
        export.save_analysis(expected, tmp_path, "cells", segments=segments, formats="tiff,png", pixel_size=0.5)
        return [path.read_bytes() for path in paths]

    old, names = save(3), dict[str, None]()
    with profiled(lambda name: names.setdefault(name)):
        new = save(5)
    save(3)
    for wanted in names:

        def fail(name: str, wanted: str = wanted) -> None:
            if name == wanted:
                raise Injected(name)

        with pytest.raises(Injected), profiled(fail):
            save(5)
        assert [path.read_bytes() for path in paths] in (old, new), wanted
        if not wanted.endswith(":_remove"):
            assert sorted(tmp_path.iterdir()) == sorted(paths), wanted
        save(3)


def test_many_runs_do_not_pile_up(image):
    quietly(image)
    gc.collect()
    threads, objects = threading.active_count(), len(gc.get_objects())
    for _ in range(15):
        quietly(image)
    gc.collect()
    assert threading.active_count() <= threads
    assert len(gc.get_objects()) < objects + 200
