"""Labels named in text, taken out of an image; names of files for layers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_what_where.files.many import file_stem, file_stems
from napari_what_where.files.selection import add_label, keep_labels, parse_labels


@pytest.mark.parametrize(
    ("text", "ranges"),
    [
        ("3", ((3, 3),)),
        ("3, 5-9", ((3, 3), (5, 9))),
        (" 3;5 – 9  12 ", ((3, 3), (5, 9), (12, 12))),
    ],
)
def test_labels_in_text(text, ranges):
    assert parse_labels(text) == ranges


@pytest.mark.parametrize("text", ["", " ", "a", "3-", "-3", "0", "9-5", "1-2-3", "3,,x", "1.5"])
def test_what_is_no_label_is_refused(text):
    with pytest.raises(ValueError, match="The labels are"):
        parse_labels(text)


@given(labels=st.lists(st.integers(1, 30), min_size=1), label=st.integers(1, 30))
def test_an_added_label_is_named_once(labels, label):
    text = add_label(", ".join(map(str, labels)), label)
    named = [first for first, _ in parse_labels(text)]
    assert named == (labels if label in labels else [*labels, label])


def test_only_those_labels_are_kept():
    labels = np.array([[0, 1, 2, 3], [4, 5, 6, 2**40]])
    np.testing.assert_array_equal(keep_labels(labels, ((2, 3), (6, 6))), [[0, 0, 2, 3], [0, 0, 6, 0]])
    with pytest.raises(ValueError, match="no pixels of labels 7, 9-11"):
        keep_labels(labels, ((7, 7), (9, 11)))


def test_layers_become_names_of_files_that_differ():
    assert file_stem("coffee segments (what)") == "coffee_segments_what"
    assert file_stem("../..") == "labels"
    assert file_stems(["a b", "a_b", "A b", "all_labels"]) == ["a_b", "a_b-2", "A_b-3", "all_labels-2"]
