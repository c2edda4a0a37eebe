"""The paper's graphs over the tokens of several images: cosine neighbours within each image and between images."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from scipy.sparse import csr_array

from napari_what_where.activations.backbone import PATHWAYS
from napari_what_where.activations.types import Grid, TokenActivations
from napari_what_where.affinity.cosine import unit_values
from napari_what_where.affinity.operator import CPU_ROWS, TILE_ELEMENTS, SymmetricOperator, degree_scaling
from napari_what_where.progress import checkpoint

NORMALIZATIONS = ("rows", "symmetric")
ABSENT = -2.0
"""Below every cosine."""


@dataclass(frozen=True)
class GraphOptions:
    """Which tokens are related.

    ``within`` and ``between``: how many neighbours each token has in its own image, and in all others together;
    ``least``: similarities up to this are dropped; ``itself``: a token counts as a neighbour of its own, which in the
    authors' script it does not; ``centred``: values lose their mean over the batch, which in the script they do not.
    """

    within: int = 50
    between: int = 50
    least: float = 0.1
    itself: bool = False
    centred: bool = True


@dataclass(frozen=True, eq=False)
class BatchGraph:
    """S of one network layer over the tokens of a batch of images.

    ``similarity`` (tokens, tokens) float32, sparse (CSR), symmetric, ≥ 0; tokens go image by image, in raster order of
    each image's own grid, of ``grids``. ``weight``: the network layer's own, see :class:`TokenActivations`.
    """

    name: str
    grids: tuple[Grid, ...]
    similarity: torch.Tensor
    weight: float = 1.0
    _made: dict[str, torch.Tensor] = field(default_factory=dict, repr=False)

    @property
    def side(self) -> float:
        """Of the layer's grid: √(rows · columns), the mean over images."""
        return float(sum((rows * columns) ** 0.5 for rows, columns in self.grids) / len(self.grids))

    def normalized(self, normalization: str) -> torch.Tensor:
        """A symmetric matrix with the entries of ``similarity`` scaled by its row sums, D.

        - "rows": ½(D⁻¹S + SD⁻¹), whose zᵀAz is that of the paper's row-normalised D⁻¹S for every z;
        - "symmetric": D^-½ S D^-½, which has the eigenvalues of D⁻¹S, none above 1.

        Tokens that are related to none have rows of zeros. Made once for each normalisation.
        """
        if normalization not in self._made:
            self._made[normalization] = self._normalized(normalization)
        return self._made[normalization]

    def _normalized(self, normalization: str) -> torch.Tensor:
        rows = _rows_of(self.similarity)
        columns, values = self.similarity.col_indices(), self.similarity.values()
        degree = torch.zeros(len(self.similarity), device=values.device).index_add_(0, rows, values)
        scaling = degree_scaling(degree)[:, 0]
        if normalization == "rows":
            scaled = values * (scaling.square()[rows] + scaling.square()[columns]) / 2
        else:
            scaled = values * scaling[rows] * scaling[columns]
        return _csr(self.similarity.crow_indices(), columns, scaled, len(degree))


class SparseOperator(SymmetricOperator):
    """A sparse symmetric matrix (CSR). Its grid is one column of all tokens, as several images have no common grid."""

    def __init__(self, matrix: torch.Tensor, device: torch.device) -> None:
        self.matrix, self.grid, self.device = matrix, (len(matrix), 1), device

    @property
    def cost(self) -> int:
        return int(self.matrix.values().numel())

    def product(self, x: torch.Tensor) -> torch.Tensor:
        # Sparse products are not to be had on every kind of device; there the CPU does them.
        return (self.matrix @ x.to(self.matrix.device)).to(x.device)


def batch_graphs(
    activations: Iterable[Sequence[TokenActivations]], pathway: str, options: GraphOptions, device: torch.device
) -> list[BatchGraph]:
    """One graph a network layer, of a batch of images: values for *what*, queries with keys for *where*, heads merged.

    ``activations``: of each image its network layers, in the same order; they may differ in names, as timesteps do,
    and in grids. "both" gives two graphs a layer; one that ``stands_in`` for others has a single one in either, which
    then counts twice.

    K_ij is the cosine of vᵢ and vⱼ, or of qᵢ and kⱼ, for the nearest j of each i, and S = ½(K + Kᵀ) (Zhang, Yunis &
    Maire 2024, section 3.2). Equal cosines at the limit are settled by torch's ``topk``.

    Raises ``ValueError`` for an unknown pathway, no images, images with different numbers of layers, or what a layer
    lacks. Cost: tokens² · width multiply-adds a layer; memory: all activations that the pathway needs, and
    2 · (within + between) entries a token.
    """
    if pathway not in PATHWAYS:
        raise ValueError(f"pathway is {pathway!r}; expected one of {', '.join(map(repr, PATHWAYS))}.")
    images = [[_needed(layer, pathway) for layer in layers] for layers in activations]
    counts = sorted({len(layers) for layers in images})
    if len(counts) != 1 or not counts[0]:
        raise ValueError(
            f"The images have {' or '.join(map(str, counts)) or 'no'} network layers; expected the same number, at "
            "least one, for every image: use one backbone with one set of options."
        )
    graphs = []
    for layer in zip(*images, strict=True):
        first = layer[0]
        roles = (
            ["value"] if first.stands_in else {"what": ["value"], "where": ["query"]}.get(pathway, ["value", "query"])
        )
        share = first.weight * (2 if first.stands_in and pathway == "both" else 1)
        for role in roles:
            graphs.append(_graph(layer, role, share, options, device))
    return graphs


def _needed(layer: TokenActivations, pathway: str) -> TokenActivations:
    """Without what the pathway does not look at, so that a batch takes no more memory than it must."""
    if pathway == "where" and not layer.stands_in:
        if layer.query is None:
            raise ValueError(
                f"{layer.name} has no queries and keys: pathway 'where' is unavailable"
                f"{f' ({layer.obstacle})' if layer.obstacle else ''}. Use pathway 'what', or another backbone."
            )
        return TokenActivations(layer.name, layer.grid, layer.query, layer.key, weight=layer.weight)
    if layer.value is None or (pathway == "both" and layer.query is None and not layer.stands_in):
        lacks, other = ("values", "where") if layer.value is None else ("queries and keys", "what")
        raise ValueError(f"{layer.name} has no {lacks}: pathway {pathway!r} is unavailable. Use pathway {other!r}.")
    if pathway == "what" or layer.stands_in:
        return TokenActivations(
            layer.name, layer.grid, value=layer.value, weight=layer.weight, stands_in=layer.stands_in
        )
    return layer


def _graph(
    layer: Sequence[TokenActivations], role: str, weight: float, options: GraphOptions, device: torch.device
) -> BatchGraph:
    def unit(name: str, centred: bool) -> torch.Tensor:
        joined = torch.cat([getattr(each, name) for each in layer], dim=1)
        return unit_values(TokenActivations(layer[0].name, (joined.shape[1], 1), value=joined), device, centred=centred)

    query = unit(role, options.centred and role == "value")
    key = query if role == "value" else unit("key", False)
    entries = nearest_tokens(query, key, [each.tokens for each in layer], options)
    return BatchGraph(
        layer[0].name, tuple(each.grid for each in layer), symmetrized(entries, len(query), device), weight
    )


class Entries(NamedTuple):
    """Those of a sparse matrix: (entries,) rows, columns, values."""

    rows: torch.Tensor
    columns: torch.Tensor
    values: torch.Tensor


def nearest_tokens(query: torch.Tensor, key: torch.Tensor, sizes: Sequence[int], options: GraphOptions) -> Entries:
    """K: of every row of ``query`` the cosines with its nearest rows of ``key``, in its image and in the others.

    Both (tokens, width) with rows of length 1, or 0; ``sizes``: tokens of each image, one after the other. An image
    with fewer tokens than neighbours that are asked for has as many as there are.
    """
    tokens, start = len(query), 0
    found: list[Entries] = []
    step = max(1, TILE_ELEMENTS // tokens)
    step = min(step, CPU_ROWS) if query.device.type == "cpu" else step
    for size in sizes:
        inside = range(start, start + size)
        for first in range(start, start + size, step):
            checkpoint()
            found += _nearest_of(query, key, range(first, min(first + step, start + size)), inside, options)
        start += size
    return Entries(*(torch.cat(parts) for parts in zip(*found, strict=True)))


def _nearest_of(
    query: torch.Tensor, key: torch.Tensor, rows: range, inside: range, options: GraphOptions
) -> Iterator[Entries]:
    """Of some rows, all of the image whose tokens are ``inside``: neighbours within, then between."""
    cosine = query[rows.start : rows.stop] @ key.T
    own = cosine[:, inside.start : inside.stop]
    if not options.itself:
        own.diagonal(rows.start - inside.start).fill_(ABSENT)
    yield _largest(own, options.within, rows.start, inside.start, options.least)
    own.fill_(ABSENT)
    yield _largest(cosine, options.between, rows.start, 0, options.least)


def _largest(cosine: torch.Tensor, most: int, row: int, column: int, least: float) -> Entries:
    """The largest of each row that are above ``least``; rows and columns are counted from ``row`` and ``column``."""
    values, columns = cosine.topk(min(most, cosine.shape[1]), dim=1)
    kept = values > least
    rows = torch.arange(row, row + len(cosine), device=cosine.device)[:, None].expand_as(columns)
    return Entries(rows[kept], columns[kept] + column, values[kept])


def symmetrized(entries: Entries, tokens: int, device: torch.device) -> torch.Tensor:
    """½(K + Kᵀ), sparse (CSR); on the CPU where the device has no sparse matrices."""
    # scipy's sum of two sparse matrices takes a tenth of the time of torch's, which sorts all entries.
    rows, columns, values = (part.cpu().numpy() for part in entries)
    half = csr_array((values / 2, (rows, columns)), shape=(tokens, tokens))
    return _from_scipy(half + half.T, torch.device("cpu") if device.type == "mps" else device)


def summed(matrices: Sequence[torch.Tensor]) -> torch.Tensor:
    """The sum of sparse matrices (CSR) of one shape."""
    if len(matrices) == 1:
        return matrices[0]
    total = csr_array(matrices[0].shape, dtype=np.float32)
    for matrix in matrices:
        parts = (part.cpu().numpy() for part in (matrix.values(), matrix.col_indices(), matrix.crow_indices()))
        total = total + csr_array(tuple(parts), shape=matrix.shape)
    return _from_scipy(total, matrices[0].device)


def _from_scipy(matrix: csr_array, device: torch.device) -> torch.Tensor:
    matrix = matrix.tocsr()
    crow, columns, values = (torch.from_numpy(part) for part in (matrix.indptr, matrix.indices, matrix.data))
    return _csr(crow.to(device), columns.to(device), values.to(device), matrix.shape[0])


def _rows_of(matrix: torch.Tensor) -> torch.Tensor:
    """The row of each entry of a CSR matrix."""
    return torch.repeat_interleave(
        torch.arange(len(matrix), device=matrix.device),
        matrix.crow_indices().diff(),
        output_size=matrix.values().numel(),
    )


def _csr(crow: torch.Tensor, columns: torch.Tensor, values: torch.Tensor, tokens: int) -> torch.Tensor:
    with warnings.catch_warnings():
        # They multiply eight times as fast as torch's other sparse matrices, which is all that is asked of them.
        warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta", UserWarning)
        return torch.sparse_csr_tensor(crow, columns, values, (tokens, tokens), check_invariants=False)
