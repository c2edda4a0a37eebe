"""Do values say what, and queries with keys where? Across images whose classes and places are known.

    python benchmarks/claim.py MODEL [--collections 6] [--images 16] [--json result.json]

The seed's headline (Zhang, Yunis & Maire, CVPR 2024): *across a collection*, eigenvectors of key-query affinity tell
the place in the image, those of value affinity the category. Here collections are generated scenes that the model was
not trained on, in which classes recur: dead leaves; such with other colours in every image, so that texture and shape
alone tell the class; and places with a sky and a ground, where things are where they belong. The graph runs over the
tokens of all images of a collection, in two kinds:

- "neighbours", the paper's: 50 nearest within the image and 50 in the others by cosine (of values; or of queries with
  keys, heads merged), similarities ≤ 0.1 dropped, symmetrised.
- "full": (1 + cosine) / 2 of centred values; or softmax attention over the tokens of all images.

Either is divided by its degrees. How much its leading eigenvectors tell of a token is read from *other* images: of
each the token that is nearest in their coordinates, and of these the nearest ten. R²: of the variance that there is, of
the class (one-hot) and of the position (row and column), the part that their mean predicts; about -0.1 by chance.
Beside it k-means into as many clusters as there are classes, compared with the classes; and within each image into as
many as there are objects, with the objects: ARI.
The same for the network without training, for it with zeros around the picture, and for raw pixels. Intervals:
bootstrap over collections; *what* less *where* is paired.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

from built_in import network_of, write_random  # noqa: E402
from environment import describe_environment  # noqa: E402

from napari_what_where.activations.types import TokenActivations  # noqa: E402
from training.pool import HELD_OUT, WORLD  # noqa: E402
from training.scenes import Scene, make_scene  # noqa: E402

TOKEN, SIDE, CLASSES, VECTORS, NEIGHBOURS, LEAST = 8, 128, 8, 20, 50, 0.1
TIMESTEPS = (5, 50, 200)
ZEROS = "zeros around"
"""The trained network with zeros around the picture, as most networks see it, in place of its border repeated."""
RECOLOURED = "recoloured leaves"
MEASURES = ("class", "position", "class ARI", "object ARI")


@dataclass(frozen=True)
class Collection:
    """Images, and of each token (8 × 8 pixels, image by image): image, class, object, row and column in [0, 1]."""

    scenes: list[Scene]
    image: np.ndarray
    classes: np.ndarray
    objects: np.ndarray
    position: np.ndarray


def make_collection(seed: int, images: int, kind: str) -> Collection:
    """Scenes of eight classes of the world that the training knew; it saw none of the scenes."""
    only = np.random.default_rng(seed).choice(WORLD.thing_classes, CLASSES, replace=False)
    world = replace(WORLD, only=tuple(sorted(int(each) for each in only)))
    drawn = "leaves" if kind == RECOLOURED else kind
    made = [make_scene([HELD_OUT, seed, n], size=(SIDE, SIDE), kind=drawn, world=world) for n in range(images)]
    if kind == RECOLOURED:
        rng = np.random.default_rng([seed, 1])
        made = [replace(scene, image=recoloured(scene.image, rng)) for scene in made]
    grid = SIDE // TOKEN
    rows, columns = np.indices((grid, grid)).reshape(2, -1) / (grid - 1)
    return Collection(
        made,
        np.repeat(np.arange(images), grid**2),
        np.concatenate([majority(scene.class_map) for scene in made]),
        np.concatenate([majority(scene.labels) for scene in made]),
        np.tile(np.stack([rows, columns], axis=1), (images, 1)),
    )


def recoloured(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Colours that say nothing of the class across images: channels in any order, light and dark in either."""
    image = image[..., rng.permutation(3)]
    return 255 - image if rng.random() < 0.5 else image


def majority(labels: np.ndarray) -> np.ndarray:
    """The commonest label in each token's cell."""
    grid = SIDE // TOKEN
    cells = labels.reshape(grid, TOKEN, grid, TOKEN).swapaxes(1, 2).reshape(grid**2, -1)
    return np.array([np.bincount(cell).argmax() for cell in cells])


def activations_of(
    source: str, folder: Path | None, scenes: list[Scene], timestep: int
) -> dict[str, list[TokenActivations]]:
    """Of each network layer, those of every image. Raw pixels are one layer, without queries."""
    layers = defaultdict(list)
    if folder is None:
        for scene in scenes:
            cells = scene.image.reshape(SIDE // TOKEN, TOKEN, SIDE // TOKEN, TOKEN, 3).swapaxes(1, 2)
            values = torch.from_numpy(cells.reshape(1, (SIDE // TOKEN) ** 2, -1) / np.float32(255))
            layers["pixels"].append(
                TokenActivations(name="pixels", grid=(SIDE // TOKEN,) * 2, query=None, key=None, value=values)
            )
        return dict(layers)
    backbone = network_of(folder, resolution=SIDE, timesteps=(timestep,))
    if source == ZEROS:
        zeros_around(backbone.module)
    for scene in scenes:
        for each in backbone.extract(scene.image):
            layers[each.name].append(each)
    return dict(layers)


def zeros_around(network: torch.nn.Module) -> None:
    """Undo ``repeat_borders``."""
    for each in network.modules():
        if isinstance(each, torch.nn.Conv2d):
            each.padding_mode = "zeros"


def merged(parts: list[torch.Tensor]) -> torch.Tensor:
    """(heads, tokens, width) of each image → (all tokens, heads · width)."""
    return torch.cat([part.transpose(0, 1).flatten(1).float() for part in parts])


def unit(rows: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.normalize(rows, dim=1)


def graph(layer: list[TokenActivations], pathway: str, kind: str) -> torch.Tensor:
    """Normalised adjacency of the tokens of all images, on the layer's own grid."""
    image = torch.repeat_interleave(torch.arange(len(layer)), layer[0].grid[0] * layer[0].grid[1])
    if pathway == "what":
        values = merged([each.value for each in layer])
        cosines = unit(values - values.mean(dim=0))
        similar = cosines @ cosines.T
        similar = neighbours(similar, image) if kind == "neighbours" else (1 + similar) / 2
    elif kind == "neighbours":
        similar = neighbours(
            unit(merged([each.query for each in layer])) @ unit(merged([each.key for each in layer])).T, image
        )
    else:
        query, key = (torch.cat([getattr(each, name).float() for each in layer], dim=1) for name in ("query", "key"))
        similar = sum(torch.softmax(q @ k.T / q.shape[1] ** 0.5, dim=1) for q, k in zip(query, key, strict=True)) / len(
            query
        )
    similar = (similar + similar.T) / 2
    degree = similar.sum(dim=1).clamp_min(1e-9).rsqrt()
    return degree[:, None] * similar * degree


def neighbours(similar: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
    """The paper's graph: the nearest within the image, and as many in all others."""
    same = image[:, None] == image
    kept = torch.zeros_like(similar)
    for allowed in (same, ~same):
        few = min(NEIGHBOURS, int(allowed.sum(dim=1).min()))
        best = similar.masked_fill(~allowed, -2).topk(few, dim=1)
        kept.scatter_(1, best.indices, best.values)
    return kept * (kept > LEAST)


def on_finest(operator: torch.Tensor, grid: tuple[int, int], images: int) -> torch.Tensor:
    """PᵀNP, pooling within each image: coarse tokens divide the finest evenly here."""
    finest = SIDE // TOKEN
    times = finest // grid[0]
    if times == 1:
        return operator
    cell = (torch.arange(finest) // times)[:, None] * grid[1] + torch.arange(finest) // times
    owner = (torch.arange(images)[:, None] * (grid[0] * grid[1]) + cell.flatten()).flatten()
    return operator[owner][:, owner] / times**2


def eigenvectors(operator: torch.Tensor) -> np.ndarray:
    """(tokens, VECTORS): the leading ones after the first, which is that of the degrees."""
    from scipy.sparse.linalg import eigsh

    values, vectors = eigsh(operator.numpy(), k=VECTORS + 1, which="LA", v0=np.ones(len(operator), np.float32))
    vectors = vectors[:, np.argsort(-values)]
    return np.asarray(vectors[:, 1:] * len(operator) ** 0.5, np.float64)


def scores(vectors: np.ndarray, truth: Collection) -> dict[str, float]:
    """R² of class and position, ARI of classes, across images; ARI of objects within them."""
    one_hot = np.eye(int(truth.classes.max()) + 1)[truth.classes]
    near = nearest_elsewhere(vectors, truth.image)
    agreement = [
        clusters_agree(vectors[here], truth.objects[here])
        for here in (truth.image == n for n in np.unique(truth.image))
    ]
    return {
        "class": explained(near, one_hot),
        "position": explained(near, truth.position),
        "class ARI": clusters_agree(vectors, truth.classes),
        "object ARI": float(np.mean(agreement)),
    }


def nearest_elsewhere(vectors: np.ndarray, image: np.ndarray, count: int = 10) -> np.ndarray:
    """(tokens, count): of each other image the nearest token, and of these the nearest.

    One an image, as tokens that coarse network layers do not tell apart would otherwise all be of one.
    """
    from scipy.spatial import KDTree

    numbers = np.unique(image)
    distance = np.full((len(vectors), len(numbers)), np.inf)
    nearest = np.zeros((len(vectors), len(numbers)), np.int64)
    for column, number in enumerate(numbers):
        here, others = np.flatnonzero(image == number), np.flatnonzero(image != number)
        distance[others, column], found = KDTree(vectors[here]).query(vectors[others])
        nearest[others, column] = here[found]
    best = np.argsort(distance, axis=1)[:, : min(count, len(numbers) - 1)]
    return np.take_along_axis(nearest, best, axis=1)


def explained(near: np.ndarray, target: np.ndarray) -> float:
    """R² of the mean of ``target`` (tokens, columns) over the nearest; all columns together."""
    missed = ((target[near].mean(axis=1) - target) ** 2).sum()
    return float(1 - missed / ((target - target.mean(axis=0)) ** 2).sum())


def clusters_agree(vectors: np.ndarray, truth: np.ndarray) -> float:
    """ARI of k-means, into as many clusters as there are in truth."""
    from sklearn.cluster import KMeans
    from sklearn.metrics import adjusted_rand_score

    found = KMeans(len(np.unique(truth)), n_init=2, random_state=0).fit_predict(vectors)
    return float(adjusted_rand_score(truth, found))


def cases(folders: dict[str, Path | None], truth: Collection) -> Iterator[tuple[str, dict[str, float]]]:
    """Every source, timestep, kind of graph and pathway: all network layers jointly, and each alone at one timestep."""
    for source, folder in folders.items():
        for timestep in TIMESTEPS if source == "trained" else TIMESTEPS[:1]:
            layers = activations_of(source, folder, truth.scenes, timestep)
            for kind in ("neighbours", "full"):
                for pathway in ("what", "where") if folder else ("what",):
                    total, count = torch.zeros(()), len(layers)
                    for name, layer in layers.items():
                        part = on_finest(graph(layer, pathway, kind), layer[0].grid, len(truth.scenes))
                        total = total + part / count
                        if source == "trained" and timestep == TIMESTEPS[0] and kind == "neighbours":
                            yield f"{source} t={timestep} {kind} {pathway} {name}", scores(eigenvectors(part), truth)
                    yield f"{source} t={timestep} {kind} {pathway}", scores(eigenvectors(total), truth)


def interval(values: list[float]) -> dict[str, float]:
    """Mean over the collections with its 95 % bootstrap interval."""
    drawn = np.random.default_rng(0).choice(values, (2000, len(values))).mean(axis=1)
    return {
        "mean": float(np.mean(values)),
        "low": float(np.percentile(drawn, 2.5)),
        "high": float(np.percentile(drawn, 97.5)),
    }


def less(gathered: dict[str, Any]) -> dict[str, Any]:
    """*What* less *where* by collection, of every case that has both."""
    return {
        case.replace(" what", ""): {
            measure: interval([a - b for a, b in zip(each[measure], gathered[other][measure], strict=True)])
            for measure in each
        }
        for case, each in gathered.items()
        if " what" in case and (other := case.replace(" what", " where")) in gathered
    }


def markdown(record: dict[str, Any]) -> str:
    """By world: sources, timesteps and kinds of graph jointly, *what* and *where* side by side; then layer by layer."""
    results = record["results"]
    joint, alone = ([case for case in results if ("attentions" in case) == single] for single in (False, True))
    return "\n\n".join(table(record, cases) for cases in (joint, alone))


def table(record: dict[str, Any], cases: list[str]) -> str:
    """Each case's measures, *what* and *where* side by side, and the interval of their difference."""
    lines = [
        "| world: source | " + " | ".join(f"{measure}: what | where | less" for measure in MEASURES) + " |",
        "|---|" + "---|" * (3 * len(MEASURES)),
    ]
    for case in cases:
        if " where" in case:
            continue
        other, both = case.replace(" what", " where"), case.replace(" what", "")
        cells = []
        for measure in MEASURES:
            values = [
                f"{record['results'][name][measure]['mean']:.2f}" if name in record["results"] else ""
                for name in (case, other)
            ]
            difference = record["what less where"].get(both, {}).get(measure)
            told = f"{difference['low']:+.2f} … {difference['high']:+.2f}" if difference else ""
            cells += [*values, told]
        lines.append(f"| {both if other in record['results'] else case} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Parse the command line, run, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="folder that training.export wrote")
    parser.add_argument("--collections", type=int, default=6)
    parser.add_argument("--images", type=int, default=16)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    gathered: dict[str, Any] = defaultdict(lambda: defaultdict(list))
    with tempfile.TemporaryDirectory() as temporary:
        folders = {"trained": options.model, ZEROS: options.model, "pixels": None}
        folders["random"] = write_random(Path(temporary) / "random")
        for kind in ("leaves", RECOLOURED, "landscape"):
            for number in tqdm(range(options.collections), desc=kind):
                for case, measured in cases(folders, make_collection(number, options.images, kind)):
                    for measure, value in measured.items():
                        gathered[f"{kind}: {case}"][measure].append(value)
    results = {case: {name: interval(values) for name, values in each.items()} for case, each in gathered.items()}
    for case, each in results.items():
        print(f"{case:70} " + "  ".join(f"{name} {each[name]['mean']:.3f}" for name in MEASURES))
    if options.json:
        options.json.write_text(
            json.dumps(
                {"results": results, "what less where": less(gathered), "environment": describe_environment()}, indent=2
            )
            + "\n"
        )


if __name__ == "__main__":
    main()
