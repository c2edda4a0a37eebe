"""The report page: all there, nothing from elsewhere, and what is typical is what lies nearest."""

from __future__ import annotations

from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from napari_what_where.collection.report import page as page_module
from napari_what_where.collection.report.charts import eigenvalue_chart, energy_chart
from napari_what_where.collection.report.colours import as_css, ink_on, label_colours
from napari_what_where.collection.report.pictures import CROP, crop, painted, sampled, save_strip, vector_strip
from napari_what_where.collection.report.types import LayerEnergy, Report, ReportImage
from napari_what_where.collection.report.typical import overview, typical_regions
from napari_what_where.collection.report.write import write_report
from napari_what_where.progress import Cancelled

VOID = {"meta", "img"}
LOCAL = ("./", "#")


class Page(HTMLParser):
    """A page as a browser takes it: its elements, and whether all of them are closed."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))
        assert self._open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        if self._open and self._open[-1] not in ("style", "script"):
            self.text += data

    def named(self, tag: str, kind: str = "") -> list[dict[str, str]]:
        return [about for name, about in self.elements if name == tag and kind in about.get("class", "").split(" ")[:1]]


def image(rng, name="a.png", shape=(24, 32), clusters=3, count=4) -> ReportImage:
    """Clusters in columns; the eigenvectors are their numbers and noise."""
    labels = np.broadcast_to(np.arange(shape[1]) * clusters // shape[1] + 1, shape).astype(np.int32)
    vectors = sampled(labels, (6, 8)) + rng.normal(0, 0.1, (count, 6, 8))
    pixels = rng.integers(0, 255, (*shape, 3), dtype=np.uint8)
    points = vectors.astype(np.float32)
    return ReportImage(name, labels, points, points[:3], lambda: pixels, {"clusters": f"{name}_labels.tif"})


@pytest.fixture
def report(rng) -> Report:
    images = [image(rng, f"image {number}.png") for number in range(4)]
    layers = [LayerEnergy("down.0.attention", 0.99, 64, 320), LayerEnergy("up.1.attention", 0.5, 64, 64)]
    return Report("folder", images, 3, [0.9, 0.5, 0.2, -0.1], layers, facts=[("Model", "filters")], made="Just now.")


def test_a_page_needs_nothing_but_what_lies_beside_it(report, tmp_path):
    path = write_report(tmp_path / "report.html", report)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["report.html", "report_files"]
    page = Page(path)
    for _, about in page.elements:
        for key in ("src", "href"):
            assert about.get(key, "#").startswith(LOCAL)
    pictures = {unquote(about["src"]) for about in page.named("img")}
    assert pictures == {f"./report_files/{each.name}" for each in (tmp_path / "report_files").iterdir()}
    for place in pictures:
        Image.open(tmp_path / place).load()
    assert "http" not in path.read_text().replace("http://www.w3.org/2000/svg", "")


def test_every_image_and_cluster_is_told_with_alternatives_in_words(report, tmp_path):
    page = Page(write_report(tmp_path / "report.html", report))
    assert [about["data-name"] for about in page.named("article", "image")] == [f"image {n}.png" for n in range(4)]
    assert [about["data-number"] for about in page.named("article", "cluster")] == ["1", "2", "3"]
    assert all(about["alt"] and about["loading"] == "lazy" for about in page.named("img"))
    assert page.text.count("What to look at:") == 4
    levels = [int(tag[1]) for tag, _ in page.elements if tag in ("h1", "h2", "h3")]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert max(np.diff(levels)) <= 1
    for about in page.named("a"):
        if about["href"].startswith("#"):
            assert any(other.get("id") == about["href"][1:] for _, other in page.elements)


@settings(max_examples=20)
@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12))
def test_whatever_names_and_reasons_hold_is_shown_as_it_is(tmp_path_factory, text):
    name = f"<b>&\"'{text}"
    given_image = replace(image(np.random.default_rng(0), name), files={name: name})
    report = Report(name, [given_image], 3, [1.0], failures=[(name, name)], facts=[(name, name)], remarks=[name])
    page = Page(write_report(tmp_path_factory.mktemp("page") / "report.html", report))
    assert not page.named("b", name)
    assert page.text.count(name) >= 8
    (about,) = page.named("article", "image")
    assert about["data-name"] == name
    assert any(unquote(about["href"]) == f"./{name}" for about in page.named("a"))


@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_any_number_of_images_makes_a_page(rng, tmp_path, count, monkeypatch):
    monkeypatch.setattr(page_module, "ALL_AT_ONCE", 4)
    monkeypatch.setattr(page_module, "GROUP", 2)
    one = image(rng, shape=(6, 8))
    page = Page(write_report(tmp_path / "report.html", Report("x", [one] * count, 3, [1.0], failures=[("b", "bad")])))
    assert len(page.named("article", "image")) == count
    groups = page.named("details", "group")
    assert len(groups) == (0 if count <= 4 else 3)
    assert [("open" in about) for about in groups] == [True, False, False][: len(groups)]
    assert ("No image could be analysed" in page.text) == (count == 0)
    assert "1 image was left out" in page.text


def test_a_page_is_written_the_same_again_and_replaced(report, tmp_path):
    first, second = (write_report(tmp_path / name / "report.html", report).parent for name in "ab")
    write_report(second / "report.html", replace(report, images=report.images[:1]))
    write_report(second / "report.html", report)
    assert files(first) == files(second)


def files(folder: Path) -> dict[str, bytes]:
    return {str(each.relative_to(folder)): each.read_bytes() for each in folder.rglob("*") if each.is_file()}


def test_what_stops_the_work_leaves_the_page_that_was_there(report, tmp_path):
    write_report(tmp_path / "report.html", report)
    before, told = files(tmp_path), []

    def stop(progress):
        told.append(progress)
        if progress.done == 6:
            raise Cancelled

    with pytest.raises(Cancelled):
        write_report(tmp_path / "report.html", replace(report, title="other"), tell=stop)
    assert files(tmp_path) == before
    assert [(each.done, each.total) for each in told] == [(done, 8) for done in range(7)]


@pytest.mark.parametrize("kind", ["grey", "sixteen bits", "float", "two channels", "many channels", "constant", "tiny"])
def test_every_kind_of_image_has_a_picture(rng, tmp_path, kind):
    shape = (2, 3) if kind == "tiny" else (24, 32)
    pixels = {
        "grey": rng.integers(0, 255, shape, dtype=np.uint8),
        "sixteen bits": rng.integers(0, 4000, shape, dtype=np.uint16),
        "float": rng.normal(size=shape),
        "two channels": rng.integers(0, 4000, (*shape, 2), dtype=np.uint16),
        "many channels": rng.normal(size=(*shape, 9)),
        "constant": np.zeros(shape, np.uint8),
        "tiny": rng.normal(size=shape),
    }[kind]
    given_image = replace(image(rng, shape=shape), read=lambda: pixels)
    assert Page(write_report(tmp_path / "report.html", Report("x", [given_image], 3, [1.0]))).named("img")


def test_shares_are_those_of_pixels_and_centres_those_of_tokens(rng):
    images = [image(rng, shape=(6, 8 * (number + 1))) for number in range(3)]
    seen = overview(images, 3)
    for share, each in zip(seen.shares, images, strict=True):
        np.testing.assert_allclose(share, [(each.labels == number).mean() for number in (1, 2, 3)])
    for number in (1, 2, 3):
        points = [each.points[:, sampled(each.labels, (6, 8)) == number] for each in images]
        points = np.concatenate(points, axis=1)
        np.testing.assert_allclose(seen.centres[number - 1], points.mean(axis=1), rtol=1e-5)


def test_the_most_typical_region_is_the_part_nearest_to_the_centre(rng):
    labels = np.zeros((12, 12), np.int32)
    labels[1:4, 1:4], labels[6:10, 6:10], labels[0, 11] = 1, 1, 1
    points = np.ones((2, 12, 12), np.float32)
    points[1, 1:4, 1:4], points[1, 6:10, 6:10] = 0.1, 1.0
    points[1, 0, 11] = 0.0  # the nearest, but too small to show anything
    big = np.kron(labels, np.ones((10, 10), np.int32))
    ((cluster, example),) = typical_regions(
        ReportImage("x", big, points, points, lambda: big), 5, np.array([[1.0, 0.0], [0.0, 1.0]])
    )
    assert (cluster, example.image) == (1, 5)
    np.testing.assert_allclose(example.distance, 0.1, rtol=1e-5)
    rows, columns = example.box
    assert rows.start <= 10
    assert 40 <= rows.stop <= 60
    assert rows == columns


@given(st.integers(2, 60), st.integers(2, 60), st.integers(2, 9), st.integers(2, 9), st.integers(0, 99))
def test_a_crop_is_a_square_within_the_image(rows, columns, grid_rows, grid_columns, seed):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, (rows, columns)).astype(np.int32)
    points = rng.normal(size=(2, grid_rows, grid_columns))
    one = ReportImage("x", labels, points, points, lambda: labels)
    for cluster, example in typical_regions(one, 0, np.zeros((2, 2))):
        height, width = (each.stop - each.start for each in example.box)
        assert height == width >= 1
        assert min(each.start for each in example.box) >= 0
        assert example.box[0].stop <= rows
        assert example.box[1].stop <= columns
        picture = rng.integers(0, 255, (max(1, rows // 2), max(1, columns // 2), 3), dtype=np.uint8)
        assert crop(picture, labels, cluster, example.box).shape == (CROP, CROP, 3)


def test_clusters_that_are_nowhere_have_no_examples(rng, tmp_path):
    page = Page(write_report(tmp_path / "report.html", Report("x", [image(rng)], 5, [1.0])))
    assert len(page.named("article", "cluster")) == 5
    assert "below 0.1 % of all area; in 0 of 1 image" in page.text


@pytest.mark.parametrize("shape", [(3, 5), (64, 64), (200, 20), (1, 40)])
def test_eigenvectors_lie_side_by_side_in_signed_colours(rng, tmp_path, shape):
    vectors = rng.normal(size=(11, *shape))
    vectors[0] = 1.0
    vectors[1] = -1.0
    strip, shown = vector_strip(vectors, np.full(11, 1.0))
    assert shown == 8
    save_strip(tmp_path / "strip.png", strip)
    picture = np.asarray(Image.open(tmp_path / "strip.png").convert("RGBA"))
    width = (strip.shape[1] + 4) // 8 - 4
    assert (picture[:, :width] == (178, 24, 43, 255)).all()
    assert (picture[:, width : width + 4, 3] == 0).all()
    assert (picture[:, width + 4 : 2 * width + 4] == (33, 102, 172, 255)).all()


def test_an_image_that_is_gone_is_left_blank_with_the_reason(report, tmp_path):
    def gone():
        raise FileNotFoundError(2, "No such <file>", "image 1.png")

    images = [replace(each, read=gone) if number == 1 else each for number, each in enumerate(report.images)]
    path = write_report(tmp_path / "report.html", replace(report, images=images))
    page = Page(path)
    assert len(page.named("article", "image")) == 4
    assert page.text.count("could not be read again: No such <file>: image 1.png") == 1
    assert np.ptp(np.asarray(Image.open(tmp_path / "report_files" / "00002_image.jpg"))) == 0
    assert np.ptp(np.asarray(Image.open(tmp_path / "report_files" / "00002_kinds.jpg"))) > 0
    assert not any("of kind" in about["alt"] and "image 1.png" in about["alt"] for about in page.named("img"))


def test_images_of_one_name_that_were_left_out_are_all_told(tmp_path):
    report = Report("x", [], 3, [], failures=[("a/b.png", "bad"), ("b.png", "bad"), ("b.png", "worse")])
    text = Page(write_report(tmp_path / "report.html", report)).text
    assert "3 images were left out" in text
    assert "b.png: worse" in text


def test_colours_lie_over_clusters_and_nowhere_else(rng):
    picture = rng.integers(0, 255, (8, 8, 3), dtype=np.uint8)
    labels = np.repeat([0, 1], 4)[None].repeat(8, axis=0)
    shown = painted(picture, labels, label_colours(2)).astype(int)
    assert (np.ptp(shown[:, :4], axis=2) <= 1).all()
    grey = picture[:, 4:] @ np.array([0.299, 0.587, 0.114])
    np.testing.assert_allclose(shown[:, 4:], 0.3 * grey[..., None] + 0.7 * label_colours(2)[0], atol=1)


def test_colours_are_told_apart_and_come_again():
    colours = label_colours(50).astype(int)
    apart = np.abs(colours[:20, None] - colours[None, :20]).sum(axis=2) + 1000 * np.eye(20, dtype=int)
    assert apart.min() > 70
    np.testing.assert_array_equal(colours[20:40], colours[:20])


def test_the_window_has_the_same_colours():
    pytest.importorskip("napari")
    from napari_what_where.widgets.colours import collection_colours

    shown = np.array([collection_colours().map(label) for label in range(1, 46)])
    np.testing.assert_array_equal(label_colours(45), np.rint(255 * shown[:, :3]))
    assert collection_colours().map(0)[3] == 0


def test_what_is_written_on_a_colour_can_be_read():
    for colour in label_colours(20):
        linear = [
            np.where(each <= 0.04045, each / 12.92, ((each + 0.055) / 1.055) ** 2.4) @ [0.2126, 0.7152, 0.0722]
            for each in (colour / 255, np.array([int(ink_on(colour)[1:3], 16) / 255] * 3))
        ]
        assert (max(linear) + 0.05) / (min(linear) + 0.05) >= 4.5
    assert as_css(np.array([1, 2, 255])) == "#0102ff"


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=80))
def test_a_bar_for_every_eigenvalue(values):
    chart = eigenvalue_chart(values)
    assert chart.count('class="bar"') == len(values)
    assert "nan" not in chart


def test_layers_are_told_apart_by_what_differs_in_their_names():
    names = [f"up_blocks.{number}.attentions.0.transformer_blocks.0.attn1.processor" for number in range(3)]
    chart = energy_chart([LayerEnergy(name, 0.5, 4, 8) for name in names])
    assert all(f">{number}</text>" in chart for number in range(3))
    assert f"{names[1]}: 50.0% kept, in 4 of 8 directions" in chart
    assert ">only</text>" in energy_chart([LayerEnergy("only", 1.0, 4, 8)])


def test_no_clusters_are_no_report():
    with pytest.raises(ValueError, match="expected at least one"):
        Report("x", [], 0, [])
