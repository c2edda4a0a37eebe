"""The options of the gradient method for collections that decide what comes out, checked."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from napari_what_where.embedding.collection_gradient.graphs import NORMALIZATIONS, GraphOptions
from napari_what_where.embedding.collection_gradient.objective import WEIGHTINGS
from napari_what_where.embedding.collection_gradient.pooling import UPWARD
from napari_what_where.embedding.gradient.optimisation import real_number, whole_number

AVERAGING = ("iterates", "entries")
_WHOLE = {"epochs": 1, "batch": 1, "inner_steps": 1, "side": 1, "within": 0, "between": 0}
_REAL = {
    "learning_rate": math.inf,
    "weight_decay": math.inf,
    "eigenvalue_weight": math.inf,
    "orthogonality_weight": math.inf,
    "ema": 1.0,
    "least": 1.0,
}
_ONE_OF = {"averaging": AVERAGING, "normalization": NORMALIZATIONS, "weighting": WEIGHTINGS, "upward": UPWARD}


@dataclass(frozen=True)
class CollectionOptions:
    """Defaults are the published ones: the paper's, and where it leaves them open those of its authors' script for
    several images (github.com/xiao7199/layer_distributed_spectral_clustering, ``srun.sh`` and ``main_cls.py``).

    ``ValueError`` or ``TypeError`` in words for an option out of its range. See :func:`solve_collection_gradient`.
    """

    epochs: int = 200
    batch: int = 40
    inner_steps: int = 5
    learning_rate: float = 1e-2
    weight_decay: float = 0.0
    ema: float = 0.99
    averaging: str = "iterates"
    keep_moments: bool = True
    drop_last: bool = False
    side: int = 32
    within: int = 50
    between: int = 50
    least: float = 0.1
    itself: bool = False
    centred: bool = True
    normalization: str = "rows"
    weighting: str = "inverse"
    upward: str = "bilinear"
    eigenvalue_weight: float = 1.0
    orthogonality_weight: float = 1.0

    def __post_init__(self) -> None:
        for name, least in _WHOLE.items():
            self._set(name, whole_number(name, getattr(self, name), least))
        for name, most in _REAL.items():
            self._set(name, real_number(name, getattr(self, name), most))
        for name, known in _ONE_OF.items():
            if getattr(self, name) not in known:
                expected = ", ".join(map(repr, known))
                raise ValueError(f"{name} is {getattr(self, name)!r}; expected one of {expected}.")
        for name in ("keep_moments", "drop_last", "itself", "centred"):
            self._set(name, bool(getattr(self, name)))

    @property
    def graph(self) -> GraphOptions:
        """Those of the graphs."""
        return GraphOptions(self.within, self.between, self.least, self.itself, self.centred)

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)
