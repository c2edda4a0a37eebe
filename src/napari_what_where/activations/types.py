"""What a backbone hands over: the queries, keys and values of one network layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

Grid = tuple[int, int]
"""(rows, columns) of a token grid; token ``r * columns + c`` covers cell (r, c) of the image."""


@dataclass(frozen=True, eq=False)
class TokenActivations:
    """Queries, keys and values of one network layer over one image.

    Parameters
    ----------
    name : str
        The network layer, as its model calls it.
    grid : (rows, columns)
        Token grid; class, register and text tokens are left out.
    query, key, value : (heads, tokens, head_dim) tensor or array, or None
        As they enter the attention product, in raster order of the grid. ``query`` and ``key`` are both None for
        a model without attention (then only the *what* pathway exists); ``value`` may be None for *where* only.

    Raises
    ------
    ValueError
        If a shape does not fit the grid, or only one of query and key is given, or there is nothing at all.
    """

    name: str
    grid: Grid
    query: torch.Tensor | None = None
    key: torch.Tensor | None = None
    value: torch.Tensor | None = None

    def __post_init__(self) -> None:
        import torch

        rows, columns = (int(size) for size in self.grid)
        object.__setattr__(self, "grid", (rows, columns))
        if rows < 1 or columns < 1:
            raise ValueError(f"{self.name}: grid is {self.grid}; expected at least one row and one column.")
        if (self.query is None) != (self.key is None) or (self.query is None and self.value is None):
            raise ValueError(f"{self.name}: expected query and key together, a value, or all three.")
        for role in ("query", "key", "value"):
            given: Any = getattr(self, role)
            if given is None:
                continue
            tensor = torch.as_tensor(given)
            if not tensor.is_floating_point():
                tensor = tensor.to(torch.float32)
            object.__setattr__(self, role, tensor)
            if tensor.ndim != 3 or tensor.shape[1] != rows * columns or 0 in tensor.shape:
                raise ValueError(
                    f"{self.name}: {role} has shape {tuple(tensor.shape)}; expected (heads, tokens, head_dim) with "
                    f"tokens = {rows} × {columns} = {rows * columns} for grid {self.grid}."
                )
        if self.query is not None and self.key is not None and self.query.shape != self.key.shape:
            raise ValueError(
                f"{self.name}: query has shape {tuple(self.query.shape)} and key {tuple(self.key.shape)}; expected "
                "equal shapes. Repeat the keys of grouped-query attention first."
            )

    @property
    def tokens(self) -> int:
        """Number of tokens."""
        return self.grid[0] * self.grid[1]
