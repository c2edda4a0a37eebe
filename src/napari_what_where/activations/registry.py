"""Which backbones there are, by name, and how one is loaded: by name, from a folder, or by its address on the hub."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_what_where.activations.backbone import Backbone, BackboneInfo
from napari_what_where.activations.catalogue import BUILT_IN, CATALOGUE, ModelRow

if TYPE_CHECKING:
    from napari_what_where.activations.hub import ModelOnDisk

NOT_ON_DISK = "not on disk"
BUILT_IN_FOLDER = Path(__file__).with_name("built_in")


def list_backbones() -> list[str]:
    """Names that :func:`load_backbone` knows; of pretrained models also those that are not on this disk."""
    return [BUILT_IN.name, "filters", *CATALOGUE]


def model_row(name: str) -> ModelRow | None:
    """What is counted of a pretrained model, or of the built-in one; None for what is no name of one."""
    return BUILT_IN if name == BUILT_IN.name else CATALOGUE.get(name)


def backbone_info(name: str) -> BackboneInfo:
    """What there is to know about a backbone without loading it; ``ValueError`` for an unknown name.

    ``status`` is "ready", or what is missing. Looks at the disk, never at the network.
    """
    row = CATALOGUE.get(name)
    if row is not None:
        from napari_what_where.activations.hub import find_on_disk

        return _info_of(row, find_on_disk(row.repo, row.revision, row.files))
    if name == BUILT_IN.name:
        return replace(_info_of(BUILT_IN, None), status="ready")
    if name != "filters":
        raise _unknown(name)
    from napari_what_where.activations.filters import FiltersBackbone

    return FiltersBackbone.info


def load_backbone(name: str | os.PathLike[str], **options: Any) -> Backbone:
    """The backbone of that name, ready to run; weights are read when it runs first.

    Parameters
    ----------
    name
        One of :func:`list_backbones`; or the folder of a model as ``save_pretrained`` writes it; or "org/model", one of
        the hub that is on this disk already (see ``what-where download``).
    options
        Of the backbone: of every network ``resolution``, ``layers``, ``precision``; of diffusion models also
        ``timesteps``, ``prompt``, ``noise_seed``; of the built-in one also ``filters``.

    Raises
    ------
    ValueError
        For an unknown name, a folder that holds no model that is known, or an option's value.
    TypeError
        For an option that the backbone does not have.
    ModelUnavailable
        For a model that is not on this disk, or only in part; says how to get it. Nothing is downloaded here.
    """
    if not isinstance(name, str | os.PathLike):
        raise TypeError(f"backbone is {name!r}; expected a name, a folder or 'org/model'.")
    backbone = _load(os.fspath(name), options)
    backbone.given_options = dict(options)
    return backbone


def ready_backbone(backbone: str | os.PathLike[str] | Backbone, options: Mapping[str, Any] | None = None) -> Backbone:
    """A backbone given by name, with ``options``, or itself; raises as :func:`load_backbone`."""
    if not isinstance(backbone, Backbone):
        return load_backbone(backbone, **(options or {}))
    if options:
        raise TypeError(
            f"backbone_options are {dict(options)!r}, but the backbone is loaded; expected a name, or options "
            "given to load_backbone."
        )
    return backbone


def _load(given: str, options: dict[str, Any]) -> Backbone:
    if given == "filters":
        from napari_what_where.activations.filters import FiltersBackbone

        if options:
            raise TypeError(f"Backbone 'filters' has no option {', '.join(map(repr, options))}; it has none.")
        return FiltersBackbone()
    if given == BUILT_IN.name:
        return _built_in(options)
    row = CATALOGUE.get(given)
    if row is None and given and Path(given).is_dir():
        return _from_folder(Path(given), options)
    repo = row.repo if row else given
    if row is None and (repo.count("/") != 1 or repo.startswith((".", "/", "~")) or "\\" in repo):
        raise _unknown(given)
    return _from_disk(given, row, _on_disk(given, row), options)


def _built_in(options: dict[str, Any]) -> Backbone:
    from napari_what_where.activations.networks.built_in import BuiltIn
    from napari_what_where.activations.networks.families import check_option_names

    check_option_names(BuiltIn, BUILT_IN.name, options)
    return BuiltIn(backbone_info(BUILT_IN.name), BUILT_IN_FOLDER, BUILT_IN.class_name, **options)


def _from_folder(folder: Path, options: dict[str, Any]) -> Backbone:
    from napari_what_where.activations.networks.families import adapter_for, class_of_folder

    class_name = class_of_folder(folder)
    weights = sum(path.stat().st_size for path in folder.rglob("*.safetensors"))
    info = BackboneInfo(
        name=os.fspath(folder),
        family=class_name,
        description=f"{class_name} in a folder",
        pathways=("what", "where"),
        size_bytes=weights,
        licence="see its folder",
    )
    return adapter_for(class_name, folder, info, **options)


def _on_disk(name: str, row: ModelRow | None) -> ModelOnDisk:
    """The model, complete, or ``ModelUnavailable`` in words."""
    from napari_what_where.activations.hub import ModelUnavailable, find_on_disk

    repo, revision, files = (row.repo, row.revision, row.files) if row else (name, None, None)
    found = find_on_disk(repo, revision, files)
    if found is None or not found.complete:
        have = NOT_ON_DISK if found is None else f"on this disk only in part ({found.status})"
        size = f", about {row.size_bytes / 1e9:.1f} GB" if row else ""
        raise ModelUnavailable(
            "missing", f"{name} is {have}. Download it{size}: press Download, or `what-where download {name}`."
        )
    return found


def _from_disk(name: str, row: ModelRow | None, found: ModelOnDisk, options: dict[str, Any]) -> Backbone:
    from napari_what_where.activations.networks.families import adapter_for, class_of_folder

    class_name = row.class_name if row else class_of_folder(found.folder)
    info = _info_of(row, found) if row else _info_of_repo(name, class_name, found)
    defaults = {"resolution": row.resolution} if row and class_name.endswith(("2DModel", "ConditionModel")) else {}
    backbone = adapter_for(class_name, found.folder, info, **{**defaults, **options})
    backbone.commit = found.commit
    return backbone


def _info_of(row: ModelRow, found: ModelOnDisk | None) -> BackboneInfo:
    return BackboneInfo(
        name=row.name,
        family=row.group,
        description=row.description,
        pathways=("what", "where"),
        size_bytes=row.size_bytes,
        licence=row.licence,
        status=NOT_ON_DISK if found is None else found.status,
    )


def _info_of_repo(repo: str, class_name: str, found: ModelOnDisk) -> BackboneInfo:
    return BackboneInfo(
        name=repo,
        family=class_name,
        description=f"{class_name} of the hub",
        pathways=("what", "where"),
        size_bytes=found.total_bytes or found.done_bytes,
        licence="see its page",
        status=found.status,
    )


def _unknown(name: str) -> ValueError:
    return ValueError(
        f"backbone is {name!r}; expected one of {', '.join(map(repr, list_backbones()))}, the folder of a model, or "
        "'org/model' of the hub."
    )
