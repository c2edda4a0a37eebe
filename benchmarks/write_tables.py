"""Write docs/benchmarks.md from the JSON files that the benchmarks left in docs/benchmarks.

Usage: ``python benchmarks/write_tables.py``, after ``--json docs/benchmarks/NAME.json`` of each benchmark.
"""

from __future__ import annotations

import json
import statistics
from pathlib import Path

import built_in
import capture
import claim
import claim_sizes
import collection
import collection_batch
import discretisation
import estimates
import gradient
import interaction
import large
import networks
import objects
import regions_bsds
import solvers

DOCS = Path(__file__).parents[1] / "docs"


def environment(record: dict) -> str:
    """Where the figures are from, in one line."""
    return "Measured with " + ", ".join(f"{name} {value}" for name, value in record["environment"].items()) + "."


def rows_table(record: dict, title: str) -> str:
    """Rows of name, value, unit and what is wanted."""
    lines = [f"| {title} | measured | wanted |", "|---|---|---|"]
    lines += [f"| {row['name']} | {row['value']:.3g} {row['unit']} | {row['wanted']} |" for row in record["rows"]]
    return "\n".join(lines)


def regions(record: dict) -> str:
    """Region quality, all images and each half."""
    return "\n".join(regions_bsds.markdown(title, results) for title, results in record["results"].items())


def discretised(record: dict) -> str:
    """Planted cases by method, the softmax net beside the exact route, automatic numbers, and photographs."""
    planted = discretisation.scores_table(record["scores"]), discretisation.against_softmax(record["scores"])
    return "\n\n".join(
        (*planted, discretisation.numbers_table(record["numbers"]), discretisation.bsds_table(record["bsds"]))
    )


def corrected(record: dict) -> str:
    """A row for each size and tool of the Refine dock."""
    lines = [
        "| labels | tool | median | napari alone | beyond it | worst | napari's worst | longest gap of a 20 ms timer |",
        "|---|---|---|---|---|---|---|---|",
    ]
    values = {row["name"]: row["value"] for row in record["rows"]}
    for side, tools in record["seconds"].items():
        for tool, times in tools.items():
            cells = [1e3 * of(times[whose]) for of in (statistics.median, max) for whose in ("ours", "napari")]
            cells.insert(2, cells[0] - cells[1])
            cells.append(values[f"{side}²: {tool}, longest gap of a 20 ms timer"])
            lines.append(f"| {side}² | {tool} | " + " | ".join(f"{cell:.0f} ms" for cell in cells) + " |")
    return "\n".join(lines)


TEXT = """# Figures

Made by `benchmarks/write_tables.py` from the benchmarks' own output; nothing here is typed by hand.
GPU: not measured.

## Regions on BSDS500

`python benchmarks/regions_bsds.py FOLDER`: the 100 validation images, with the `filters` backbone; covering, PRI
(higher is better) and VI (lower is better), ODS: one parameter for all images, OIS: the best for each. The tree's
weights were chosen on the images at even positions, so read the held-out half; both halves were looked at while
developing. gPb-owt-ucm are the published maps, scored by the same code.
{regions}

Felzenszwalb is scikit-image's, over a sweep of its scale; the Ward tree has grid connectivity on the token features of
the same backbone. What the tree's recipe gains from, and what was tried and dropped:
[studies/region-tree.md](studies/region-tree.md). Boundaries, classes and other data sets: [evaluate.md](evaluate.md).

{regions_environment}

## Objects

`python benchmarks/objects.py FOLDER`: AP@0.5 is matched / (matched + false + missed) at IoU 0.5. `find_objects` has its
defaults on both images and is not told whether objects are bright or dark; the peers are told, and "best" has the
settings that score best on the very image. No other truth was at hand, and the images were looked at while developing.

{objects}

Tried and dropped: Otsu's level within each basin (nuclei .645, when the steepest level gave .713); no cuts at necks
(.02 worse on nuclei); the mean difference from the surroundings, and not its lowest quarter (scraps of background
everywhere).

{objects_environment}

## Discretisation

`python benchmarks/discretisation.py FOLDER`: eigenvectors of planted operators of four to twenty regions, to labels;
sharp vectors are those after one product with the finest grid's operator, plain ones those before.

{discretisation}

Kept: cluster_qr on sharp vectors above the eigengap, and the region tree, which here has the embedding alone, is nearly
as good, and has every number of regions. Automatic numbers are for structure with a gap; on photographs the tree's own
"auto" is ahead of them, so it stays the default. The softmax net as published, with a hundred updates, ends in local
minima of its loss.

{discretisation_environment}

## Eigenvectors

`python benchmarks/solvers.py`: {count} eigenvectors of planted operators, beside peers on the same operator. Angles are
to the reference (float64 eigh to 4096 tokens; beyond, eigsh at 1e-10 in float64, or a sparse graph's components),
residuals relative to λ₁; "products" counts single columns, which blocks make cheap where products stream from memory or
have no matrix.

{solvers}

Kept: the Gram matrix where there is a factor of rank up to 1024, a full decomposition up to 1024 tokens, a block
Krylov space beyond. Lanczos (eigsh) spends the fewest products and is as fast or faster on dense matrices, but one
vector at a time sees copies of an eigenvalue only through rounding (tried by hand at 4096 tokens: of twenty
components of a graph of neighbours it found fifteen when products were float64), works on the CPU alone, and is
several times slower where products are cheaper in blocks: attention without a matrix, neighbours. LOBPCG needs more
products and at times stops short. Chebyshev filters are as fast where there is a gap below the block, and do not
converge where there is none.

ncut_pytorch solves the exponential kernel, so it is judged by that. At 65,536 tokens ours approximates it from
landmarks; a kernel this sharp on values this noisy is close to the identity, which no low rank comes near: the trace
error says so. Neighbours are the better choice then, and exact. The rows of attention without structure, and of
neighbours at 65,536 tokens, were run by themselves after the benchmark had been mended.

{solvers_environment}

## The exact solver and the paper's

`python benchmarks/gradient.py`: self-attention of Stable Diffusion 1.4 at 512 × 512 pixels, 16 network layers of 8
heads, 20 eigenvectors. "exact" is everything: collapsing all heads and layers, and solving. "official formulation"
keeps every head's attention and differentiates through it, as published; "gradient" is our solver of the same loss on
the collapsed operator, which computes the gradient of steps that see the same operator once. Traces are sums of
Rayleigh quotients of re-orthonormalised vectors, so the larger is the better, under the same normalisation.

{gradient}

{gradient_environment}

## Large images

`python benchmarks/large.py --data FOLDER`: tiles against the whole where an image fits both ways, by the adapted Rand
error (0: the same) of labels at several counts, planted and real images brought to 2048²; and a planted scene of
12,000² bytes with 12,769 discs, as one view and with the discs' size as the smallest object. "error" is the adapted
Rand error to the discs, the ground left out. At a glance the discs are smaller than what can be told apart.

{large}

{large_environment}

`python benchmarks/large_window.py`: the same in the window, under a virtual display with software rendering. "napari
alone" is given arrays of the layer's type and shape that were there before, in turn with the slider, as often. Segments
are shown as uint16 while there are no more than 32,767, so that the user has as many numbers left; beyond that as
int32. napari draws uint16 as it is. Labels of 32 bits it converts at each change into fresh memory, which the system
hands out fast or slowly: that is why its own frames of int32 labels vary so much. In three more runs, with other work
on the machine, the slider's worst frame took 15, 18 and 81 ms longer than napari's worst.

{large_window}

Before it ran the dock said: “{said_before}”. {large_window_environment}

## Time and memory said beforehand

`python benchmarks/estimates.py`: what the dock says a run will take, beside what it took, in a process each. Memory is
to be no less than 10 % below what was used and no more than twice it, time within a factor of two. These are estimates
of runs with `filters`. On a GPU nothing was measured. The model of time was fitted to an earlier run of the first 28
cases; large colour planes, 8192², objects on large planes and stacks were not among them.

{estimates}

{estimates_environment}

## The built-in model

`python benchmarks/built_in.py BSDS500 MODEL --tree`: the 100 validation images. Each variant by its eigenvectors alone
(Ward's tree with grid connectivity on their coordinates, cut by number) and in the region tree, which weighs the
image's colours and edges, too. Covering. "random": the same network before training. "+ 1 filters": with the layers of
`filters` in the same operator, each weighing as much as one of the network. Intervals: paired bootstrap over images.

{built_in}

{built_in_environment}

`--study options --images 50`: one option at a time, beside the filters, eigenvectors alone, on the first 50 of them.

{built_in_options}

`--study finalists --images 50 --tree`: what did best of these, also with `filters` alone, and in the region tree.

{built_in_finalists}

## What values, and queries with keys, tell across images

`python benchmarks/claim.py MODEL`: 6 collections of 16 generated images in each of three worlds; what is measured is
said in the file. "less": 95 % interval of *what* less *where*, paired bootstrap over collections.

{claim}

{claim_environment}

`python benchmarks/claim_sizes.py LABEL=MODEL …`: the same for networks of three sizes after few steps each, and for the
one that is shipped; {claim_sizes_count} collections of 8 images in each of three worlds. "split", with the paper's
graph: by how much *what* less *where* is more in the network named first, with its 95 % interval, paired bootstrap.

{claim_sizes}

{claim_sizes_environment}

## Whole collections

`python benchmarks/collection_batch.py`: a batch of 40 generated scenes of 128², 20 vectors, timesteps frozen, and the
same graphs of 50 neighbours within and 50 between images for both: 1000 steps of the gradient method, and the leading
eigenvectors of the same operator, solved. Seconds, without the graphs; "by processor": times faster in CPU seconds.
"trace": what is to be maximised, of orthonormal columns.

{collection_batch}

{collection_batch_environment}

`python benchmarks/collection.py quality`: {collection_images} generated scenes of 128² in which classes recur; the
built-in model knew the classes, as it was trained on scenes of the same world, but none of these scenes. As many
clusters as classes, matched once for the whole collection; mIoU in points on cells of 4 pixels, the mean of eight
starts of k-means, for every method but "pixels", which are the labels that a user gets. In brackets the 95 % interval
of what streaming has more, bootstrap over images. "each matched" is what nobody could do: every image's clusters
matched with the truth by themselves; with the network alone it is as good as streaming. "largest column": of the
gradient method's softmax columns, as the paper assigns them. "held out": a quarter of the images, embedded by the
projection of the others, less being included, with the same clusters in both, and with those that k-means finds in
each: starts differ by up to 5 points in one and the same embedding. What each method is, is said in the file. The
gradient method was run on the network alone, whose tokens are fewest: with filters the graphs of its thousand batches
would take some four hours, at the seconds of the table above. Other work ran on the machine, so seconds are the
processor's, model and labels included; for the network alone streaming had a core to itself, in a run of its own, and
gradient for most of its batches. Beside the test suite streaming took 247 seconds for *where*.{collection_missing}

{collection}

{collection_environment}

`python benchmarks/collection.py growth`: memory of a process of its own, and time, by number of images of 128². Other
work ran on the machine; the built-in model had one thread for 1,000 images and two, whose waiting counts, for fewer.

{collection_growth}

{collection_growth_environment}

## What is captured of pretrained models

`python benchmarks/capture.py`: differences are the largest, relative to the largest number; float32 rounds at 6e-8. No
weights can be had where these figures were made, so models have random weights, of the true classes.

{capture}

{capture_environment}

## What reading a model's attention costs

`python benchmarks/networks.py`: models of the published configuration with random weights, in float32; the *where*
pathway, k = 20, all layers of self-attention.
"watched": the same pass while its attention is captured; "collapse": affinities folded into one operator; "after": all
that follows the forward pass, with twenty planted regions in queries and keys, as a trained model would have structure,
and, at the right, with the random ones. "beyond it": the most memory of the whole run above that of the plain pass.

{networks}

{networks_verdict}

{networks_environment}

## Nothing lost

`python benchmarks/kills.py`: SIGKILL at random moments while edits are autosaved, and while an analysis is exported.

{kills}

{kills_environment}

## Correcting labels

`python benchmarks/refining.py`, under a virtual display with software rendering: from a click, a turn of the wheel or a
stroke on the canvas to the drawn result, in milliseconds, beside napari setting and drawing as many pixels of a layer
of its own. Labels are 150 regions of a generated image; 16 eigenvectors; 16 clicks each, 4 of the tools that tidy up.
Wanted beyond napari's own: at 1024² a median below 100 ms and no more than 300 ms at worst, at 4096² below a second.
Not reached by snapping every label of a plane at once, which is no click: 136 ms at 1024², 1.4 s at 4096². Strokes at
1024² are carried in the window's own thread, which shows them sooner and holds it longer. Nothing else ran meanwhile.

{refining}

{refining_environment}

## How many strokes

`python benchmarks/interaction.py BSDS500 MICROGRAPHS`: one simulated annotator draws on the largest remaining error
until the mean IoU over the true labels is .85, at most 30 strokes; an image that is not done by then counts as 31.
Photographs: BSDS500's validation images by name after those for tuning, of the annotators the one with the fewest
regions; regions below .25 % of an image are not counted. "fewest": the share, of the images that any method finishes,
on which no other method needs fewer strokes; "alone": on which all others need more. Ours has the one setting that is
shipped; each peer the one that does best on images for tuning, for each kind of image its own. The pixel classifier has
the embedding's coordinates among its features. Wanted was the fewest on 70 % of images. Ours has it on all together, on
photographs and on scenes; windows of 128 pixels from a fluorescence micrograph do not reach it, where a plain watershed
needs fewer. Strokes are what is compared: seconds were taken beside other work.

{interaction}

{interaction_per_image}

{interaction_environment}

## How the main job feels

`python benchmarks/main_job.py`, under a virtual display with software rendering, so that drawing is slow; napari's own
cost is measured beside ours in the same run. The dock starts to import torch when it opens; the benchmark waits for
that, while a Run pressed at once shares the window with the import, which takes 0.2–0.3 s of it in one piece.

{main_job}

{main_job_environment}
"""


def missing_cases(record: dict) -> str:
    """What of the benchmark of collections has not been measured."""
    cases = record["results"]
    slow = [f"{collection.SLOW}, {way}" for way in ("what", "where")]
    without = [name for name in slow if not any("gradient" in cases[case] for case in cases if case.endswith(name))]
    wanted = {f"{name}, {way}" for name in collection.BACKBONES for way in ("what", "where")} - {"filters, where"}
    left = sorted(wanted - {case.partition(": ")[2] for case in cases})
    words = [f"the gradient method for {name}, over an hour of a core" for name in without if name not in left]
    return f"\n\nNot measured yet: {'; '.join([*words, *left])}." if words or left else ""


def main() -> None:
    """Read, format, write."""
    records = {path.stem: json.loads(path.read_text()) for path in (DOCS / "benchmarks").glob("*.json")}
    tables = {
        "regions_bsds": ("regions", regions),
        "objects": ("objects", lambda record: objects.markdown(record["rows"])),
        "discretisation": ("discretisation", discretised),
        "solvers": ("solvers", lambda record: solvers.markdown(record["rows"])),
        "gradient": ("gradient", lambda record: gradient.markdown(record["cases"])),
        "main_job": ("main_job", lambda record: rows_table(record, "coffee sample, 400 × 600")),
        "large": ("large", large.markdown),
        "large_window": ("large_window", lambda record: rows_table(record, "large images in the window")),
        "estimates": ("estimates", lambda record: estimates.markdown(record["rows"])),
        "built_in": ("built_in", built_in.markdown),
        "built_in_options": ("built_in_options", built_in.markdown),
        "built_in_finalists": ("built_in_finalists", built_in.markdown),
        "claim": ("claim", claim.markdown),
        "claim_sizes": ("claim_sizes", claim_sizes.markdown),
        "collection_batch": ("collection_batch", collection_batch.markdown),
        "collection": ("collection", collection.markdown),
        "collection_growth": ("collection_growth", collection.growth_markdown),
        "capture": ("capture", capture.markdown),
        "networks": ("networks", lambda record: networks.markdown(record["rows"])),
        "refining": ("refining", corrected),
        "interaction": ("interaction", interaction.markdown),
        "kills": ("kills", lambda record: rows_table(record, "200 kills each")),
    }
    parts = {name: table(records[file]) for file, (name, table) in tables.items()}
    origins = {f"{name}_environment": environment(records[file]) for file, (name, _) in tables.items()}
    more = {
        "networks_verdict": networks.verdict(records["networks"]),
        "interaction_per_image": interaction.per_image(records["interaction"]),
        "count": records["solvers"]["count"],
        "claim_sizes_count": records["claim_sizes"]["collections"],
        "collection_images": records["collection"]["images"],
        "collection_missing": missing_cases(records["collection"]),
        "said_before": records["large_window"]["said before"],
    }
    (DOCS / "benchmarks.md").write_text(TEXT.format(**parts, **origins, **more))


if __name__ == "__main__":
    main()
