"""Which backbones there are, by name."""

from __future__ import annotations

from napari_what_where.activations.backbone import Backbone, BackboneInfo


def list_backbones() -> list[str]:
    """Names that :func:`load_backbone` knows."""
    return ["filters"]


def backbone_info(name: str) -> BackboneInfo:
    """What there is to know about a backbone without loading it; ``ValueError`` for an unknown name."""
    _check_name(name)
    from napari_what_where.activations.filters import FiltersBackbone

    return FiltersBackbone.info


def load_backbone(name: str) -> Backbone:
    """The backbone of that name, ready to run; ``ValueError`` for an unknown name."""
    _check_name(name)
    from napari_what_where.activations.filters import FiltersBackbone

    return FiltersBackbone()


def _check_name(name: str) -> None:
    if name not in list_backbones():
        raise ValueError(f"backbone is {name!r}; expected one of {', '.join(map(repr, list_backbones()))}.")
