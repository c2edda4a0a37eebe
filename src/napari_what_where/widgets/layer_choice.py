"""A window to choose network layers in: those of the loaded model, under the blocks that they are in."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDialog, QDialogButtonBox, QLabel, QTreeWidget, QTreeWidgetItem, QVBoxLayout, QWidget

_CHECKED, _UNCHECKED = Qt.CheckState.Checked, Qt.CheckState.Unchecked


class LayerDialog(QDialog):
    """Boxes for network layers and for their blocks; ``names`` in the order of the model.

    ``patterns``: what is chosen now, names or with ``*``; none means all.
    """

    def __init__(self, names: Sequence[str], patterns: Sequence[str], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Network layers")
        self.resize(460, 480)
        self._names = tuple(names)
        self.tree = QTreeWidget()
        self.tree.setHeaderHidden(True)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Ok | QDialogButtonBox.StandardButton.Cancel)
        self.everything = buttons.addButton("All", QDialogButtonBox.ButtonRole.ActionRole)
        self.ok = buttons.button(QDialogButtonBox.StandardButton.Ok)
        layout = QVBoxLayout(self)
        layout.addWidget(QLabel("Those that are ticked are analysed jointly."))
        layout.addWidget(self.tree)
        layout.addWidget(buttons)
        self._leaves = dict(self._fill(patterns))
        self.tree.expandAll()
        self.tree.itemChanged.connect(lambda *_: self.ok.setEnabled(bool(self.chosen())))
        self.everything.clicked.connect(lambda: [leaf.setCheckState(0, _CHECKED) for leaf in self._leaves.values()])
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)

    def _fill(self, patterns: Sequence[str]) -> Iterator[tuple[str, QTreeWidgetItem]]:
        for block, inside in blocks(self._names).items():
            parent: QTreeWidget | QTreeWidgetItem = self.tree
            if len(inside) > 1:
                parent = QTreeWidgetItem(self.tree, [block])
                parent.setFlags(parent.flags() | Qt.ItemFlag.ItemIsAutoTristate | Qt.ItemFlag.ItemIsUserCheckable)
            for name in inside:
                leaf = QTreeWidgetItem(parent, [name.removeprefix(f"{block}.") if len(inside) > 1 else name])
                wanted = not patterns or any(fnmatchcase(name, pattern) for pattern in patterns)
                leaf.setCheckState(0, _CHECKED if wanted else _UNCHECKED)
                yield name, leaf

    def chosen(self) -> list[str]:
        """Names of those that are ticked."""
        return [name for name, leaf in self._leaves.items() if leaf.checkState(0) == _CHECKED]

    def patterns(self) -> list[str]:
        """What is ticked, in as few words as possible: whole blocks as a pattern; nothing for all."""
        chosen = set(self.chosen())
        if chosen == set(self._names):
            return []
        found: list[str] = []
        for block, inside in blocks(self._names).items():
            if len(inside) > 1 and chosen >= set(inside):
                found.append(f"{block}.*")
            else:
                found += [name for name in inside if name in chosen]
        return found


def blocks(names: Sequence[str]) -> dict[str, list[str]]:
    """Names by what they begin with, up to the first number: "up_blocks.1", or, without one, the first word."""
    found: dict[str, list[str]] = {}
    for name in names:
        numbered = re.match(r".*?\.\d+(?=\.)", name)
        found.setdefault(numbered[0] if numbered else name.partition(".")[0], []).append(name)
    return found
