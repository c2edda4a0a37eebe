"""The scenes that a model is trained on: made once, kept on disk, cropped and turned anew for each step."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np

from training.scenes import World, make_scene

SIDE = 256
WORLD = World(7)
"""The one world whose classes recur all through training, and in the test of the claim."""
MIX = (("leaves", None, 0.25), ("landscape", None, 0.1), ("leaves", WORLD, 0.2), ("landscape", WORLD, 0.25))
"""Kind, world and share of the scenes; the rest are micrographs. Without a world each scene has its own."""
HELD_OUT = 2**31
"""Scene numbers from here on are never trained on."""


def training_scene(number: int, *, seed: int = 0, size: tuple[int, int] = (SIDE, SIDE)) -> np.ndarray:
    """(rows, columns, 3) uint8: scene ``number`` of the mixture."""
    share = np.random.default_rng([seed, number, 1]).random()
    for kind, world, part in MIX:
        if share < part:
            return make_scene([seed, number], size=size, kind=kind, world=world).image
        share -= part
    return make_scene([seed, number], size=size, kind="microscopy").image


class ScenePool:
    """Scenes in files of ``chunk``, written by other processes while training goes on.

    Which scenes a step may draw from depends on the step alone, never on how far the writers are: a step whose scenes
    are not there yet waits for them. So a run is the same however often it was stopped.

    ``chunks``: files in the end, of chunk · 196 KB each; ``every``: steps after which one more comes into use.
    """

    def __init__(
        self, folder: Path, *, seed: int = 0, chunks: int = 32, chunk: int = 512, every: int = 100, workers: int = 1
    ) -> None:
        self.folder, self.seed, self.chunks, self.chunk, self.every = folder, seed, chunks, chunk, every
        folder.mkdir(parents=True, exist_ok=True)
        self._open: list[np.ndarray] = []
        # Not forked: the process may run threads of torch. nice is inherited.
        import multiprocessing

        self._writers = ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"))
        missing = [number for number in range(chunks) if not self._file(number).exists()]
        self._writing = [
            self._writers.submit(_write_chunk, self._file(number), number * chunk, chunk, seed) for number in missing
        ]

    def close(self) -> None:
        self._writers.shutdown(wait=False, cancel_futures=True)

    def batch(self, step: int, count: int, size: tuple[int, int]) -> np.ndarray:
        """(count, rows, columns, 3) uint8: crops of scenes, turned, mirrored and with their colours exchanged."""
        rng = np.random.default_rng([self.seed, step, 2])
        available = min(self.chunks, 1 + step // self.every)
        while len(self._open) < available:
            self._open.append(self._wait_for(len(self._open)))
        numbers = rng.integers(available * self.chunk, size=count)
        return np.stack([varied(rng, self._open[n // self.chunk][n % self.chunk], size) for n in numbers])

    def _file(self, number: int) -> Path:
        return self.folder / f"scenes-{self.seed}-{number:03d}.npy"

    def _wait_for(self, number: int) -> np.ndarray:
        while not self._file(number).exists():
            for each in self._writing:
                if each.done():
                    each.result()
            time.sleep(0.2)
        made: np.ndarray = np.load(self._file(number), mmap_mode="r")
        return made


def varied(rng: np.random.Generator, scene: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A window of a scene: mirrored left to right, never turned (ground stays below), colours at times exchanged."""
    top, left = (int(rng.integers(full - part + 1)) for full, part in zip(scene.shape, size, strict=False))
    window = scene[top : top + size[0], left : left + size[1]]
    if rng.random() < 0.5:
        window = window[:, ::-1]
    return window[..., rng.permutation(3)] if rng.random() < 0.3 else window


def _write_chunk(file: Path, first: int, count: int, seed: int) -> None:
    make: Callable[[int], np.ndarray] = partial(training_scene, seed=seed)
    unfinished = file.with_suffix(".part.npy")
    np.save(unfinished, np.stack([make(number) for number in range(first, first + count)]))
    unfinished.replace(file)
