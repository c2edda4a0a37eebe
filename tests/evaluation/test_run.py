"""The loop: every layout by every measure, resuming, failures, and what is stopped half-way."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile

from napari_what_where.evaluation import run
from napari_what_where.evaluation.datasets.registry import read_dataset
from napari_what_where.evaluation.hierarchies import from_ucm
from napari_what_where.evaluation.segmenters import Candidate, ContourMaps, LabelImages
from napari_what_where.evaluation.summary import CHOSEN, ODS, OIS, SCALE, figures, summarise, table
from napari_what_where.progress import Cancelled

from . import layouts
from .layouts import NAMES, objects

WRITERS = {
    "bsds500": layouts.write_bsds500,
    "voc": layouts.write_voc,
    "coco": layouts.write_coco,
    "coco-stuff": lambda root: layouts.write_coco_stuff(root, "json"),
    "cityscapes": layouts.write_cityscapes,
    "folder": layouts.write_folder,
}
REGIONS = {"covering", "PRI", "VI"}
BOUNDARIES = {"boundary F", "boundary precision", "boundary recall"}
CLASSES = {"mIoU, oracle-decoded", "mIoU, Hungarian-matched per image"}
INSTANCES = {
    "AP (COCO)", "AP@0.5 (COCO)", "AR (COCO)", "DSB score@0.5", "DSB score", "mean matched IoU@0.5",
}  # fmt: skip


class Perfect:
    """Gives the two squares, and counts how often it was asked."""

    measures = ("regions", "boundaries", "classes", "instances")

    def __init__(self, **options: object) -> None:
        self.options, self.asked = options, []

    def describe(self):
        return {"name": "perfect", **self.options}

    def sources(self, sample):
        return (sample.image,)

    def segment(self, sample, report):
        self.asked.append(sample.name)
        return Candidate(objects(), None, objects)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("bsds500", REGIONS | BOUNDARIES),
        ("voc", CLASSES | INSTANCES),
        ("coco", CLASSES | INSTANCES),
        ("coco-stuff", CLASSES),
        ("cityscapes", CLASSES | INSTANCES),
        ("folder", REGIONS | INSTANCES),
    ],
)
def test_every_data_set_is_measured_by_what_it_has(name, expected, tmp_path):
    pytest.importorskip("pycocotools")
    dataset = read_dataset(name, WRITERS[name](tmp_path / "data"))
    evaluation = run.evaluate(dataset, Perfect(), tmp_path / "out")
    assert not evaluation.failures
    assert [record["image"] for record in evaluation.records] == [sample.name for sample in dataset.samples]
    summary = summarise(evaluation.records, evaluation.measures)
    assert summary.keys() == expected
    everything = run.evaluate(dataset, Perfect(), tmp_path / "out", measures=dataset.measures)
    assert not everything.failures
    if name in ("voc", "folder"):
        best = summarise(everything.records, everything.measures)
        assert best.pop("VI", {CHOSEN: 0})[CHOSEN] == pytest.approx(0, abs=1e-9)
        perfect = {measure for measure, entry in best.items() if entry[CHOSEN] == pytest.approx(1)}
        assert perfect == best.keys()


@pytest.fixture
def dataset(tmp_path):
    return read_dataset("folder", layouts.write_folder(tmp_path / "data"))


def evaluate(dataset, tmp_path, segmenter=None, **options):
    segmenter = segmenter or Perfect()
    options.setdefault("measures", ["regions"])
    return run.evaluate(dataset, segmenter, tmp_path / "out", **options), segmenter.asked


def test_what_is_measured_is_not_measured_again(dataset, tmp_path):
    first, asked = evaluate(dataset, tmp_path)
    assert (first.taken_over, asked) == (0, list(NAMES))
    again, asked = evaluate(dataset, tmp_path)
    assert (again.taken_over, asked) == (2, [])
    assert summarise(again.records, again.measures) == summarise(first.records, first.measures)


def test_a_smaller_limit_is_taken_over_by_a_larger(dataset, tmp_path):
    assert evaluate(dataset, tmp_path, limit=1)[1] == ["first"]
    assert evaluate(dataset, tmp_path)[1] == ["second"]


@pytest.mark.parametrize("change", ["option", "measures", "version", "code", "mask", "image", "record"])
def test_whatever_has_changed_is_measured_afresh(change, dataset, tmp_path, monkeypatch):
    evaluate(dataset, tmp_path)
    options, segmenter, expected = {}, Perfect(), list(NAMES)
    if change == "option":
        segmenter = Perfect(count=3)
    elif change == "measures":
        options["measures"] = ["regions", "boundaries"]
    elif change == "version":
        monkeypatch.setattr(run, "versions", lambda: {"numpy": "0"})
    elif change == "code":
        monkeypatch.setattr(run, "_code_digest", lambda: "another")
    else:
        expected = ["second"]
        sample = dataset.samples[1]
        if change == "mask":
            tifffile.imwrite(sample.sources[0], np.pad(objects(), 1)[1:-1, 1:-1].astype(np.uint32))
        elif change == "image":
            sample.image.write_bytes(sample.image.read_bytes() + b" ")
        else:
            (tmp_path / "out/images/second.json").write_text('{"signature": {"data')
    assert evaluate(dataset, tmp_path, segmenter, **options)[1] == expected


def test_another_reading_of_the_truth_is_measured_afresh(dataset, tmp_path):
    evaluate(dataset, tmp_path)
    other = read_dataset("folder", tmp_path / "data", void=2)
    assert evaluate(other, tmp_path)[1] == list(NAMES)


@pytest.mark.parametrize(("void", "least", "most"), [(2, 1, 1), (None, 0.3, 0.8)])
def test_boundaries_in_the_void_are_neither_sought_nor_blamed(void, least, most, tmp_path):
    class Stray(Perfect):
        """Finds the first square, and within the second one something else."""

        def segment(self, sample, report):
            labels = np.where(objects() == 1, 1, 0)
            labels[12:20, 25:28] = 3
            return Candidate(labels)

    dataset = read_dataset("folder", layouts.write_folder(tmp_path / "data"), void=void)
    evaluation = run.evaluate(dataset, Stray(), tmp_path / "out", measures=["boundaries"])
    assert least <= summarise(evaluation.records, ["boundaries"])["boundary F"][CHOSEN] <= most


def test_a_bad_image_does_not_stop_the_rest_and_is_tried_again(dataset, tmp_path):
    class Half(Perfect):
        def segment(self, sample, report):
            if sample.name == "first":
                raise ValueError("too dark")
            return super().segment(sample, report)

    told = []
    half, _ = evaluate(dataset, tmp_path, Half(), on_failure=lambda name, problem: told.append((name, str(problem))))
    assert told == [("first", "too dark")]
    assert list(half.failures) == ["first"]
    assert [record["image"] for record in half.records] == ["second"]
    assert evaluate(dataset, tmp_path)[1] == ["first"]


@pytest.mark.parametrize("problem", [KeyboardInterrupt, Cancelled])
def test_what_was_measured_before_a_stop_is_kept(problem, dataset, tmp_path):
    class Stopped(Perfect):
        def segment(self, sample, report):
            if sample.name == "second":
                raise problem
            return super().segment(sample, report)

    with pytest.raises(problem):
        evaluate(dataset, tmp_path, Stopped())
    assert [path.name for path in (tmp_path / "out/images").iterdir()] == ["first.json"]
    assert evaluate(dataset, tmp_path)[1] == ["second"]


def test_progress_is_by_image_also_from_within(dataset, tmp_path):
    class Talkative(Perfect):
        def segment(self, sample, report):
            report(("anything", 1, 9))
            return super().segment(sample, report)

    seen = []
    evaluate(dataset, tmp_path, Talkative(), report=lambda progress: seen.append(progress[1:]))
    assert seen == [(0, 2), (0, 2), (1, 2), (1, 2), (2, 2)]


def test_what_truth_or_segmentations_do_not_allow_is_refused_at_once(dataset, tmp_path):
    with pytest.raises(ValueError, match="asked for are classes; this data set .* allow regions, boundaries, inst"):
        evaluate(dataset, tmp_path, measures=["classes"])
    with pytest.raises(ValueError, match="instances; this data set and these segmentations allow regions, bound"):
        run.evaluate(dataset, ContourMaps(tmp_path), tmp_path / "out", measures=["instances"])


def test_another_shape_is_a_failure_of_that_image(dataset, tmp_path):
    class Small(Perfect):
        def segment(self, sample, report):
            return Candidate(objects()[:-1])

    failures = evaluate(dataset, tmp_path, Small())[0].failures
    assert "has shape (23, 36); expected (24, 36), the truth's" in str(failures["first"])


@pytest.mark.parametrize("name", ["{}.tif", "{}_labels.png", "{}_masks.npy"])
def test_label_images_are_found_by_stem(name, dataset, tmp_path):
    folder = tmp_path / "theirs"
    folder.mkdir()
    for stem in NAMES:
        path = folder / name.format(stem)
        if path.suffix == ".tif":  # as ImageJ keeps many labels
            tifffile.imwrite(path, objects().astype(np.float32))
        elif path.suffix == ".png":
            layouts.save(path, objects())
        else:
            np.save(path, objects())
    evaluation = run.evaluate(dataset, LabelImages(folder), tmp_path / "out", measures=["regions"])
    assert summarise(evaluation.records, ["regions"])["covering"] == {CHOSEN: 1}


def test_label_images_beside_the_images_are_not_the_images(dataset, tmp_path):
    evaluation = run.evaluate(dataset, LabelImages(tmp_path / "data"), tmp_path / "out", measures=["regions"])
    assert summarise(evaluation.records, ["regions"])["covering"] == {CHOSEN: 1}


def test_missing_and_doubtful_label_images_are_failures(dataset, tmp_path):
    folder = tmp_path / "theirs"
    layouts.save(folder / "second.png", objects())
    layouts.save(folder / "second_labels.png", objects())
    failures = run.evaluate(dataset, LabelImages(folder), tmp_path / "out", measures=["regions"]).failures
    assert "no such file; expected one of first.tif" in str(failures["first"])
    assert "both second.png and second_labels.png" in str(failures["second"])


def test_best_scales_are_of_the_whole_set_and_of_each_image(tmp_path):
    """Two images, each cut right at some scale, but at no scale both."""

    def cut(heights):
        ucm = np.zeros((49, 73))
        ucm[[0, -1]] = ucm[:, [0, -1]] = 1
        ucm[:, 24], ucm[:, 48] = heights
        return from_ucm(ucm)

    truth = np.zeros((24, 36), np.uint16)
    truth[:, 12:] = 1

    class Maps(Perfect):
        def segment(self, sample, report):
            return Candidate(hierarchy=cut((0.5, 0.3) if sample.name == "first" else (0.9, 0.7)))

    root = tmp_path / "data"
    for name in NAMES:
        layouts.save(root / f"{name}.png", layouts.photograph(name))
        tifffile.imwrite(root / f"{name}_masks.tif", truth)
    evaluation = run.evaluate(
        read_dataset("folder", root), Maps(), tmp_path / "out", measures=["regions", "boundaries"]
    )
    summary = summarise(evaluation.records, evaluation.measures)
    assert summary["covering"][OIS] == summary["boundary F"][OIS] == 1
    assert summary["VI"][OIS] == pytest.approx(0, abs=1e-9)
    assert CHOSEN not in summary["covering"]
    # At any one scale one of the images is cut in three or not at all.
    assert summary["covering"][ODS] == pytest.approx((1 + (1 + 2 * 0.5) / 3) / 2)
    assert 0.3 <= summary["covering"][SCALE] < 0.5
    assert summary["boundary F"][ODS] == pytest.approx(2 * (2 / 3) / (2 / 3 + 1))
    assert figures(evaluation.records[0], evaluation.measures)["covering"] == 1
    text = table(summary, "auto segments")
    assert [cell.strip() for cell in text.splitlines()[0].split("|")[1:-1]] == ["measure", "ODS", "at scale", "OIS"]
    assert "| VI (bits, lower is better) |" in text


def test_records_are_plain_json(dataset, tmp_path):
    evaluate(dataset, tmp_path)
    record = json.loads((tmp_path / "out/images/first.json").read_text())
    assert record["regions"] == {"chosen": [1, 1, 0], "sweep": None}
    assert record["signature"]["dataset"] == {"name": "folder", "kind": "instances", "void": None}
    assert record["seconds"].keys() == {"segmentation", "measures"}
