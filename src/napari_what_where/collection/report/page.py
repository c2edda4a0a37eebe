"""The report as HTML: what was done, the kinds of things, every image, the figures. Every text is escaped here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from importlib.resources import files
from typing import NamedTuple
from urllib.parse import quote

import numpy as np

from napari_what_where.collection.report.charts import eigenvalue_chart, energy_chart
from napari_what_where.collection.report.colours import as_css, ink_on
from napari_what_where.collection.report.types import Report

ALL_AT_ONCE = 200
"""Up to so many images are shown in one go; more are folded away in groups."""
GROUP = 100
PRESENT = 0.01
"""An image shows a cluster that covers this part of it."""


class Row(NamedTuple):
    """What the page says of one image.

    ``pictures``: of the image, its segments, its eigenvectors; ``vectors``: how many the last shows; ``marks``: where,
    in parts of (rows, columns), the number of a cluster is written on the segments; ``sizes``: (width, height) of the
    three pictures, so that nothing moves while they load; ``problem``: why the first shows nothing, in one line.
    """

    name: str
    shape: tuple[int, int]
    pictures: Sequence[str]
    sizes: Sequence[tuple[int, int]]
    vectors: int
    marks: Sequence[tuple[int, float, float]]
    files: Mapping[str, str]
    problem: str = ""


class Crop(NamedTuple):
    """The picture of a typical region, and which image it is of."""

    picture: str
    image: str


def page(
    report: Report, rows: Sequence[Row], shares: np.ndarray, crops: Sequence[Sequence[Crop]], colours: np.ndarray
) -> Iterator[str]:
    """The page, piece by piece.

    ``shares`` (images, clusters); ``crops`` of every cluster; ``colours`` (clusters, 3) uint8.
    """
    style = files("napari_what_where.collection.report").joinpath("style.css").read_text(encoding="utf-8")
    script = files("napari_what_where.collection.report").joinpath("script.js").read_text(encoding="utf-8")
    yield (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(_heading(report, len(rows)))}</title>\n"
        f"<style>\n{style}</style>\n</head>\n<body>\n"
    )
    yield from _opening(report, len(rows))
    if rows:
        yield from _clusters(report, shares, crops, colours)
        yield from _images(rows, shares, colours)
        yield from _figures(report)
    yield from _closing(report)
    yield f"<script>\n{script}</script>\n</body>\n</html>\n"


def _opening(report: Report, images: int) -> Iterator[str]:
    yield f"<header>\n<h1>{escape(_heading(report, images))}</h1>\n"
    if images:
        yield (
            f"<p>{_count(images, 'image')} {'was divided into' if images == 1 else 'were divided into the same'} "
            f"{_count(report.clusters, 'kind')} of things that look alike to the model. "
            "<strong>One number and one colour mean the same thing in every image.</strong> Nobody told the program "
            "what to look for: it is for you to say what each kind is.</p>\n"
            '<nav aria-label="Sections"><a href="#kinds">Kinds</a><a href="#images">Images</a>'
            '<a href="#figures">How well it is described</a><a href="#making">How it was made</a></nav>\n'
        )
    else:
        yield "<p>No image could be analysed. What was wrong with each is said below.</p>\n"
    yield "</header>\n"
    if report.failures:
        left = "image was" if len(report.failures) == 1 else "images were"
        yield f'<aside class="note"><strong>{len(report.failures):,} {left} left out.</strong>\n<ul>\n'
        for name, reason in report.failures:
            yield f"<li>{escape(name)}: {escape(reason)}</li>\n"
        yield "</ul></aside>\n"
    for remark in report.remarks:
        yield f'<aside class="note">{escape(remark)}</aside>\n'


def _heading(report: Report, images: int) -> str:
    what = "what is in" if images == 1 else "what is the same across"
    return f"{report.title}: {what} {_count(images, 'image')}"


def _clusters(
    report: Report, shares: np.ndarray, crops: Sequence[Sequence[Crop]], colours: np.ndarray
) -> Iterator[str]:
    yield (
        '<section id="kinds">\n<h2>The kinds of things</h2>\n'
        '<p class="look"><b>What to look at:</b> do the regions of one kind, outlined while the rest is faded, show '
        "one sort of thing? Then the kind has a meaning, and you may give it a name. The most typical regions come "
        "first, each from another image.</p>\n"
        '<div class="clusters">\n'
    )
    for index, (share, examples) in enumerate(zip(shares.mean(axis=0), crops, strict=True)):
        found = int(np.count_nonzero(shares[:, index] >= PRESENT))
        yield (
            f'<article class="cluster" id="kind-{index + 1}" data-number="{index + 1}" '
            f'style="--colour: {as_css(colours[index])}">\n'
            f"<header>{_chip(index, colours)}<h3>Kind {index + 1}</h3></header>\n"
            f"<p>{_percent(share)} of all area; in {found:,} of {_count(len(shares), 'image')}</p>\n"
            '<div class="examples">\n'
        )
        for crop in examples:
            alt = f"A typical region of kind {index + 1}, in {crop.image}"
            yield (
                f'<figure><a class="large" href="{_link(crop.picture)}">'
                f"{_picture(crop.picture, alt)}</a>"
                f'<figcaption title="{escape(crop.image)}">{escape(crop.image)}</figcaption></figure>\n'
            )
        yield "</div>\n</article>\n"
    yield "</div>\n</section>\n"


def _images(rows: Sequence[Row], shares: np.ndarray, colours: np.ndarray) -> Iterator[str]:
    yield (
        '<section id="images">\n<h2>Image by image</h2>\n'
        '<p class="look"><b>What to look at:</b> the second picture shows the kinds over the image; the same colour '
        "is the same kind everywhere. In the small blue and red pictures, the eigenvectors, places of one colour "
        "belong together: what is red in one image is the same kind of thing as what is red in the others. The first "
        "is mostly even: it says how much a place is like all the rest.</p>\n"
        '<div id="filter"></div>\n'
    )
    articles = (
        _article(index, row, share, colours) for index, (row, share) in enumerate(zip(rows, shares, strict=True))
    )
    yield from articles if len(rows) <= ALL_AT_ONCE else _folded(articles, len(rows))
    yield "</section>\n"


def _folded(articles: Iterable[str], count: int) -> Iterator[str]:
    """In groups, of which the first is open."""
    for index, article in enumerate(articles):
        if index % GROUP == 0:
            last = min(index + GROUP, count)
            yield f'<details class="group"{"" if index else " open"}>'
            yield f"<summary>Images {index + 1:,} to {last:,}</summary>\n"
        yield article
        if (index + 1) % GROUP == 0 or index + 1 == count:
            yield "</details>\n"


def _article(index: int, row: Row, share: np.ndarray, colours: np.ndarray) -> str:
    order = [int(each) for each in np.argsort(-share, kind="stable") if share[each] > 0]
    present = " ".join(str(each + 1) for each in order if share[each] >= PRESENT)
    makeup = ", ".join(f"kind {each + 1} {_percent(share[each])}" for each in order) or "no kind"
    bars = "".join(
        f'<i style="width: {100 * share[each]:.2f}%; background: {as_css(colours[each])}"></i>'
        for each in sorted(order)
    )
    chips = "".join(
        f'<span class="share">{_chip(each, colours)} {_percent(share[each])}</span>' for each in order[:5]
    ) + ("and less of others" if len(order) > 5 else "")
    marks = "".join(
        f'<span aria-hidden="true" style="top: {100 * top:.1f}%; left: {100 * left:.1f}%">{number}</span>'
        for number, top, left in row.marks
    )
    numbers = "".join(f"<span>{number + 1}</span>" for number in range(row.vectors))
    links = "".join(f'<a href="{_link(path)}">{escape(what)}</a>' for what, path in row.files.items())
    alts = (
        f"{row.name}: {row.shape[0]:,} rows, {row.shape[1]:,} columns",
        f"Segments of {row.name}: {makeup}",
        f"Eigenvectors 1 to {row.vectors} of {row.name}",
    )
    shown = f"image: it could not be read again: {row.problem}" if row.problem else "image"
    image, segments, vectors = (
        f'<a class="large" href="{_link(path)}">{_picture(path, alt, size)}</a>'
        for path, alt, size in zip(row.pictures, alts, row.sizes, strict=True)
    )
    return (
        f'<article class="image" id="image-{index + 1}" data-name="{escape(row.name)}" data-clusters="{present}">\n'
        f'<div class="head"><h3>{escape(row.name)}</h3><span class="files">{links}</span></div>\n<div class="views">\n'
        f"<figure>{image}<figcaption>{escape(shown)}</figcaption></figure>\n"
        f'<figure><div class="framed">{segments}{marks}</div><figcaption>kinds</figcaption></figure>\n'
        f'<figure class="vectors"><div>{vectors}<div class="numbers" '
        f'style="grid-template-columns: repeat({row.vectors}, 1fr)">{numbers}</div></div>'
        f"<figcaption>eigenvectors</figcaption></figure>\n</div>\n"
        f'<div class="mix" aria-hidden="true">{bars}</div>\n<div class="makeup">{chips}</div>\n</article>\n'
    )


def _figures(report: Report) -> Iterator[str]:
    yield (
        '<section id="figures">\n<h2>How well the collection is described</h2>\n<h3>Eigenvalues</h3>\n'
        '<p class="look"><b>What to look at:</b> tall bars are differences that matter in the whole collection, low '
        "ones are details. Where the bars drop steeply, a few things explain most; about as many kinds as "
        "there are tall bars is a good start. The first, what all images share, is always the tallest.</p>\n"
    )
    yield f"<figure>{eigenvalue_chart(report.values)}</figure>\n" if len(report.values) else ""
    if report.layers:
        yield (
            "<h3>What was kept of each network layer</h3>\n"
            '<p class="look"><b>What to look at:</b> bars that are full say that nothing of that layer of the model '
            "was lost when it was summarised. Where much is missing, fine differences that only this layer sees may "
            f"be missing, too.</p>\n<figure>{energy_chart(report.layers)}</figure>\n"
        )
    yield "</section>\n"


def _closing(report: Report) -> Iterator[str]:
    yield '<section id="making">\n<h2>How it was made</h2>\n<table>\n'
    for what, words in report.facts:
        yield f'<tr><th scope="row">{escape(what)}</th><td>{escape(words)}</td></tr>\n'
    if report.files:
        links = ", ".join(
            f'<a href="{_link(path)}">{escape(path)}</a> ({escape(what)})' for what, path in report.files.items()
        )
        yield f'<tr><th scope="row">Files</th><td>{links}</td></tr>\n'
    yield "</table>\n</section>\n"
    yield f'<footer class="soft"><p class="made">{escape(report.made)}</p></footer>\n'


def _picture(path: str, alt: str, size: tuple[int, int] | None = None) -> str:
    sized = "" if size is None else f' width="{size[0]}" height="{size[1]}"'
    return f'<img loading="lazy" src="{_link(path)}" alt="{escape(alt)}"{sized}>'


def _chip(index: int, colours: np.ndarray) -> str:
    colour = colours[index]
    return f'<span class="chip" style="background: {as_css(colour)}; color: {ink_on(colour)}">{index + 1}</span>'


def _link(path: str) -> str:
    """A path relative to the page as a reference; "./" so that no name is taken for a scheme."""
    return escape("./" + quote(path))


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share >= 0.1 else f"{100 * share:.1f} %" if share >= 0.001 else "below 0.1 %"


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"
