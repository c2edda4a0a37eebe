"""The command as text: what is written is what is read, whatever is in it."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_what_where import batch, cli
from napari_what_where.batch import BatchSettings, FilePart
from napari_what_where.segment_command import as_command

numbers = st.floats(allow_nan=False, allow_infinity=False)
bounds = st.none() | st.integers(-9, 9)
indices = st.lists(st.integers(-9, 9) | st.builds(slice, bounds, bounds), min_size=1, max_size=4).map(tuple)
axes = st.none() | st.integers(-4, 4)
polygons = st.lists(st.tuples(numbers, numbers), min_size=3, max_size=5).map(tuple)
# What no file name holds: NUL, and halves of surrogate pairs, which a shell could not pass on.
names = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1).filter(
    lambda name: Path(name).name not in ("", "..")
)


words = st.text(st.characters(exclude_categories=["Cc", "Cs"], exclude_characters=","), min_size=1).map(str.strip)
backbone_options = st.fixed_dictionaries(
    {},
    optional={
        "layers": st.lists(words.filter(bool), min_size=1, max_size=3),
        "resolution": st.integers(1, 9999),
        "precision": st.sampled_from(["auto", "full", "half"]),
        "timesteps": st.lists(st.integers(0, 999), min_size=1, max_size=4),
        "prompt": st.text(st.characters(exclude_categories=["Cc", "Cs"])),
        "noise_seed": st.integers(0, 2**62),
    },
)


@st.composite
def requests(draw):
    """Files, settings and a part that a command can ask for."""
    files = draw(st.lists(names, min_size=1, max_size=3))
    channel_axis = draw(axes) if len(files) == 1 else None
    plane_axis = draw(axes)
    part = FilePart(draw(st.none() | indices), channel_axis, plane_axis, tuple(draw(st.lists(polygons, max_size=2))))
    stack = plane_axis is not None
    settings = BatchSettings(
        backbone_options=draw(backbone_options),
        pathway=draw(st.sampled_from(["what", "where", "both"])),
        count=draw(st.integers(1, 99)),
        normalization=draw(st.sampled_from(["degree", "none"])),
        device=draw(st.sampled_from(["auto", "cpu", "cuda", "mps"])),
        follow_edges=draw(st.booleans()),
        seed=draw(st.integers(-9, 9)),
        smallest_object=draw(st.none() | st.floats(1e-9, 1e9)),
        segments=draw(st.just("auto") | st.integers(1, 99)),
        objects=draw(st.booleans()),
        linked=stack and draw(st.booleans()),
        formats=("tiff",) if stack else draw(st.sampled_from([("tiff",), ("png", "tiff")])),
    )
    return files, settings, part


@pytest.mark.skipif(sys.platform == "win32", reason="quotes for POSIX shells")
@given(requests(), names)
def test_the_command_asks_for_what_it_was_made_from(request_made, out):
    files, settings, part = request_made
    asked = {}

    def keep(images, folder, kept, **options):
        asked.update(images=images, out=folder, settings=kept, **options)
        return []

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batch, "run_batch", keep)
        assert cli.main(shlex.split(as_command(files, settings, out, part))[1:]) == 0
    (images,) = asked["images"]
    images = images if isinstance(images, tuple) else (images,)
    assert [Path(image) for image in images] == [Path(file) for file in files]
    assert Path(asked["out"]) == Path(out)
    assert asked["settings"] == settings
    assert asked["part"] == part
