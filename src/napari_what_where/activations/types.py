"""What a backbone hands over: the queries, keys and values of one network layer."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

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
    obstacle : str
        Where a network layer has attention but no queries and keys: why they would not tell what it attends to.
    weight : float
        How much it counts in the joint operator, beside 1 for most.
    stands_in : bool
        Whether its values stand in for queries and keys: they join *where*, too, beside layers that have them.

    Raises
    ------
    ValueError
        If a shape does not fit the grid, only one of query and key is given, there is nothing at all, a number is NaN
        or infinite, or the weight is not above 0.
    TypeError
        If a query, key or value is not real numbers.
    """

    name: str
    grid: Grid
    query: torch.Tensor | None = None
    key: torch.Tensor | None = None
    value: torch.Tensor | None = None
    obstacle: str = ""
    weight: float = 1.0
    stands_in: bool = False

    def __post_init__(self) -> None:
        rows, columns = (int(size) for size in self.grid)
        object.__setattr__(self, "grid", (rows, columns))
        if rows < 1 or columns < 1:
            raise ValueError(f"{self.name}: grid is {self.grid}; expected at least one row and one column.")
        if not 0 < self.weight < math.inf:
            raise ValueError(f"{self.name}: weight is {self.weight}; expected a number above 0.")
        if (self.query is None) != (self.key is None) or (self.query is None and self.value is None):
            raise ValueError(f"{self.name}: expected query and key together, a value, or all three.")
        for role in ("query", "key", "value"):
            given: Any = getattr(self, role)
            if given is None:
                continue
            tensor = real_tensor(given, f"{self.name}: {role}")
            object.__setattr__(self, role, tensor)
            if tensor.ndim != 3 or tensor.shape[1] != rows * columns or 0 in tensor.shape:
                raise ValueError(
                    f"{self.name}: {role} has shape {tuple(tensor.shape)}; expected (heads, tokens, head_dim) with "
                    f"tokens = {rows} × {columns} = {rows * columns} for grid {self.grid}."
                )
            if not bool(tensor.isfinite().all()):
                raise ValueError(
                    f"{self.name}: {role} has NaN or infinite values; expected finite ones. A model that overflows "
                    "float16 can run in bfloat16 or float32."
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


def real_tensor(given: Any, what: str) -> torch.Tensor:
    """``given`` as a floating tensor, sharing memory where possible; integers and bool become float32.

    Takes tensors, numpy arrays of any strides and byte order, and sequences. Raises ``TypeError``, naming ``what``,
    for anything else than real numbers.
    """
    import torch

    if isinstance(given, np.ndarray) and given.dtype.kind in "buif":
        given = np.require(given, given.dtype.newbyteorder("="), ["W"])
        given = given.copy() if min(given.strides, default=0) < 0 else given
    try:
        tensor = torch.as_tensor(given)
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(f"{what} is {type(given).__name__}, no array of real numbers ({error}).") from error
    if tensor.is_complex():
        raise TypeError(f"{what} is complex ({tensor.dtype}); expected real numbers.")
    return tensor if tensor.is_floating_point() else tensor.to(torch.float32)
