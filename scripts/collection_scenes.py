"""Picture of a collection's report in docs/images/: tiles of the sample slide, in a headless Chromium.

    python scripts/collection_scenes.py [FOLDER]

Needs ``chromium`` (or ``google-chrome``) on the path, which no test and no user does.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

from napari_what_where.collection.folder import CollectionSettings, run_collection
from napari_what_where.samples import load_sample

ROWS, COLUMNS = 3, 3
WINDOW = (1180, 1760)
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def main(folder: Path) -> None:
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        sys.exit(f"none of {', '.join(BROWSERS)} is on the path; install one")
    with tempfile.TemporaryDirectory() as temporary:
        found = run_collection(
            cut_tiles(Path(temporary) / "slide"),
            Path(temporary) / "out",
            CollectionSettings(backbone="built-in", clusters=4),
        )
        shot = Path(temporary) / "shot.png"
        options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--virtual-time-budget=4000"]
        size = f"--window-size={WINDOW[0]},{WINDOW[1]}"
        subprocess.run([browser, *options, size, f"--screenshot={shot}", found.page.as_uri()], check=True)
        path = folder / "collection_report.png"
        picture = Image.open(shot).convert("RGB")
        picture.quantize(192, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(path, optimize=True)
        print(path)


def cut_tiles(folder: Path) -> list[Path]:
    """The sample slide as files of tiles."""
    folder.mkdir()
    slide = load_sample("immunohistochemistry")
    height, width = slide.shape[0] // ROWS, slide.shape[1] // COLUMNS
    paths = []
    for row in range(ROWS):
        for column in range(COLUMNS):
            tile = slide[row * height : (row + 1) * height, column * width : (column + 1) * width]
            paths.append(folder / f"tile {row + 1}-{column + 1}.png")
            Image.fromarray(tile).save(paths[-1])
    return paths


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parents[1] / "docs" / "images"))
