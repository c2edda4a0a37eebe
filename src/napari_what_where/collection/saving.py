"""The projection of a collection as one small file, to be applied to other images."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from napari_what_where.collection.answer import CollectionAnalysis, Projector
from napari_what_where.device import resolve_device
from napari_what_where.embedding.collection.features import FeatureMap, QueryKeyFeatures, ValueFeatures
from napari_what_where.embedding.collection.projection import Projection
from napari_what_where.embedding.collection.statistics import MappedPart, Part
from napari_what_where.files.encoding import atomic_path
from napari_what_where.image import PerceptualScale
from napari_what_where.segments.shared import SharedClusters

if TYPE_CHECKING:
    from napari_what_where.activations.backbone import Backbone

FORMAT = 1
"""Counts up when files are written otherwise."""
_UNREADABLE = (RuntimeError, KeyError, TypeError, ValueError, EOFError, IndexError, pickle.UnpicklingError)
MAPS: dict[str, Callable[..., FeatureMap]] = {each.__name__: each for each in (ValueFeatures, QueryKeyFeatures)}


def state_of(analysis: CollectionAnalysis) -> dict[str, Any]:
    """Tensors, numbers, strings, and lists and dicts of them: all that :func:`read_state` needs."""
    projector = analysis.projector
    return {
        "format": FORMAT,
        "provenance": analysis.provenance,
        "values": torch.from_numpy(analysis.values),
        "scale": {name: _as_tensor(each) for name, each in asdict(projector.scale).items()},
        "clusters": {"centres": torch.from_numpy(projector.clusters.centres), "spread": projector.clusters.spread},
        "projection": None if projector.projection is None else _projection_state(projector.projection),
    }


def read_state(path: Path, backbone: Backbone | None, device: str) -> CollectionAnalysis:
    """What :func:`state_of` was of, but for the images. ``ValueError`` for another file, or another model."""
    from napari_what_where.activations.registry import load_backbone
    from napari_what_where.files.encoding import plain

    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        if state["format"] != FORMAT:
            raise ValueError
        record = state["provenance"]
        options = record["options"]
        scale = PerceptualScale(**{name: _as_array(each) for name, each in state["scale"].items()})
        projection = None if state["projection"] is None else _read_projection(state["projection"])
    except _UNREADABLE:
        raise ValueError(f"{path} is no projection of a collection that this version wrote; expected one.") from None
    model = backbone or load_backbone(options["backbone"], **options["backbone_options"])
    if plain(model.describe()) != record["model"]:
        raise ValueError(f"{path} was made with the model {record['model']}; received {plain(model.describe())}.")
    target = resolve_device(device)
    model.use(target)
    clusters = SharedClusters(state["clusters"]["centres"].numpy(), state["clusters"]["spread"])
    follow_edges, smallest = options["follow_edges"], options["smallest_object"]
    projector = Projector(model, scale, target, projection, clusters, follow_edges, smallest)
    return CollectionAnalysis(state["values"].numpy(), {}, record, None, projector)


def write_found(path: Path, record: dict[str, Any], projection: Projection | None) -> None:
    """Keep what was found before clusters: its record, ready for JSON, and what applies it to other images."""
    state = None if projection is None else _projection_state(projection)
    with atomic_path(path) as temporary:
        torch.save({"format": FORMAT, "record": record, "projection": state}, temporary)


def read_found(path: Path) -> tuple[dict[str, Any], Projection | None] | None:
    """What :func:`write_found` kept; None where it is not there, damaged, or another version's."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        if state["format"] != FORMAT:
            return None
        return state["record"], None if state["projection"] is None else _read_projection(state["projection"])
    except (OSError, *_UNREADABLE):
        return None


def _projection_state(projection: Projection) -> dict[str, Any]:
    names = ("values", "matrix", "sharp_values", "sharp_matrix", "error_bound", "layers")
    maps = [
        {
            "part": list(mapped.part),
            "class": type(mapped.map).__name__,
            "discarded": mapped.map.discarded,
            "mean": mapped.mean,
            "state": mapped.map.state(),
        }
        for mapped in projection.maps
    ]
    return {"maps": maps, **{name: getattr(projection, name) for name in names}}


def _read_projection(state: dict[str, Any]) -> Projection:
    maps = tuple(
        MappedPart(Part(*each["part"]), MAPS[each["class"]](**each["state"], discarded=each["discarded"]), each["mean"])
        for each in state["maps"]
    )
    return Projection(maps, **{name: each for name, each in state.items() if name != "maps"})


def _as_tensor(value: Any) -> Any:
    return torch.from_numpy(value) if isinstance(value, np.ndarray) else value


def _as_array(value: Any) -> Any:
    return value.numpy() if isinstance(value, torch.Tensor) else value
