"""What turns strokes into labels: ours, and peers that are given the same image and strokes.

Each is a class whose instance, made once an image, is called with all strokes so far, (rows, columns) int with 0 where
nothing is painted, and gives the label of every pixel. ``OPTIONS`` are what is tried on the images for tuning.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

import napari_what_where as ww
from napari_what_where.refinement.propagation import Propagator


def colours_of(image: np.ndarray) -> np.ndarray:
    """(rows, columns, channels) float, CIELAB in about [0, 1] for colours."""
    from skimage.color import rgb2lab

    if image.ndim == 3:
        return rgb2lab(image) / 100
    low, high = np.percentile(image, [0.5, 99.5])
    return np.clip((image - low) / max(high - low, 1e-9), 0, 1)[..., None]


def analysed(image: np.ndarray) -> Any:
    """What our own method and the classifier's features start from."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ww.analyze(image, backbone="filters", count=16)


class Ours:
    """As shipped: one setting for everything."""

    OPTIONS: tuple[dict[str, Any], ...] = ({},)

    def __init__(self, image: np.ndarray) -> None:
        self._propagator = Propagator(analysed(image))

    def __call__(self, strokes: np.ndarray) -> np.ndarray:
        return self._propagator.labels(strokes)


class RandomWalker:
    """Grady 2006 on pixels, scikit-image's, with its multigrid solver: needs ``pip install pyamg``."""

    OPTIONS = ({"beta": 1000.0}, {"beta": 4000.0})

    def __init__(self, image: np.ndarray, beta: float) -> None:
        import pyamg  # noqa: F401  without it scikit-image takes another solver, and does not stop at that

        self._colours, self._beta = colours_of(image), beta

    def __call__(self, strokes: np.ndarray) -> np.ndarray:
        from skimage.segmentation import random_walker

        used = np.unique(strokes[strokes > 0])
        if len(used) == 1:
            return np.full(strokes.shape, used[0])
        seeds = np.searchsorted(used, strokes) + 1
        seeds[strokes == 0] = 0
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = random_walker(self._colours, seeds, beta=self._beta, mode="cg_mg", channel_axis=-1)
        return used[np.maximum(found, 1) - 1]


class Watershed:
    """From markers, scikit-image's, on the gradient after a Gaussian."""

    OPTIONS = ({"sigma": 1.0}, {"sigma": 2.0}, {"sigma": 3.0})

    def __init__(self, image: np.ndarray, sigma: float) -> None:
        from skimage.filters import gaussian

        smooth = gaussian(colours_of(image), sigma, channel_axis=-1)
        self._gradient = np.sqrt(sum((np.gradient(smooth, axis=axis) ** 2).sum(axis=-1) for axis in (0, 1)))

    def __call__(self, strokes: np.ndarray) -> np.ndarray:
        from skimage.segmentation import watershed

        return watershed(self._gradient, strokes)


class PixelClassifier:
    """A random forest on filtered images (scikit-image's multiscale features) and the embedding's coordinates, as
    convpaint and ilastik do; its probabilities are smoothed with a Gaussian.
    """

    OPTIONS = ({"sigma": 0.0}, {"sigma": 3.0})
    MOST = 3000
    """Painted pixels that it learns from, drawn evenly."""

    def __init__(self, image: np.ndarray, sigma: float) -> None:
        from skimage.feature import multiscale_basic_features

        from napari_what_where.segments.coordinates import embedding_coordinates
        from napari_what_where.segments.gradients import interpolate

        colours = colours_of(image)
        shape = colours.shape[:2]
        filtered = multiscale_basic_features(colours, sigma_min=1, sigma_max=16, channel_axis=-1)
        embedding = interpolate(embedding_coordinates(analysed(image).embedding), shape)
        self._features = np.concatenate([filtered, embedding], axis=2).reshape(
            -1, filtered.shape[2] + embedding.shape[2]
        )
        self._sigma, self._shape = sigma, shape

    def __call__(self, strokes: np.ndarray) -> np.ndarray:
        from scipy.ndimage import gaussian_filter
        from sklearn.ensemble import RandomForestClassifier

        at = np.flatnonzero(strokes)
        if len(at) > self.MOST:
            at = at[np.linspace(0, len(at) - 1, self.MOST).astype(int)]
        forest = RandomForestClassifier(50, min_samples_leaf=2, random_state=0, n_jobs=1)
        forest.fit(self._features[at], strokes.ravel()[at])
        chances = forest.predict_proba(self._features).reshape(*self._shape, -1)
        if self._sigma:
            chances = gaussian_filter(chances, (self._sigma, self._sigma, 0))
        labels = forest.classes_[chances.argmax(axis=2)]
        return np.where(strokes > 0, strokes, labels)


METHODS: dict[str, Any] = {
    "ours": Ours,
    "random walker": RandomWalker,
    "watershed": Watershed,
    "pixel classifier": PixelClassifier,
}
