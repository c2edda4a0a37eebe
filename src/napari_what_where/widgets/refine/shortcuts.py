"""Keys for every action: bound to the viewer while the dock is open. None is used by napari itself, in any layer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple


class Shortcut(NamedTuple):
    """``key`` as napari writes it; ``name`` of the action; ``text`` what it does, for the list and the tooltips."""

    key: str
    name: str
    text: str


SHORTCUTS = (
    Shortcut("W", "scribble", "Scribble: strokes that the image carries to the rest"),
    Shortcut("J", "merge", "Merge: join the objects that you click"),
    Shortcut("K", "split", "Split: cut the object that you click in two, and again"),
    Shortcut("G", "grow", "Grow and shrink the object under the mouse with the wheel"),
    Shortcut("H", "similar", "Similar: find all that is like the object that you click"),
    Shortcut("U", "accept", "Use the preview"),
    Shortcut("Q", "drop", "Drop the preview"),
    Shortcut("N", "lock", "Lock or free the selected objects"),
    Shortcut("Shift-N", "lock_others", "Lock all but the selected objects"),
    Shortcut("PageUp", "more", "Grow, or more similar ones"),
    Shortcut("PageDown", "less", "Shrink, or fewer similar ones"),
    Shortcut("Shift-W", "new_stroke", "Scribble a new object"),
    Shortcut("Shift-B", "background_stroke", "Scribble background"),
    Shortcut("Shift-E", "snap", "Snap to edges"),
    Shortcut("Shift-H", "holes", "Fill holes"),
    Shortcut("Shift-R", "small", "Remove small parts"),
    Shortcut("Shift-K", "largest", "Keep the largest part of each"),
    Shortcut("Shift-S", "separate", "Separate parts: each gets a number of its own"),
    Shortcut("Shift-Q", "relabel", "Relabel: 1, 2, 3 …"),
    Shortcut("Shift-D", "delete", "Delete the selected objects"),
    Shortcut("Shift-J", "join", "Merge the selected objects"),
    Shortcut("Shift-G", "rename", "Name the selected object"),
    Shortcut("Shift-Z", "undo", "Undo, whichever layer is active (Ctrl+Z on the labels)"),
    Shortcut("Shift-Y", "redo", "Redo, whichever layer is active (Ctrl+Shift+Z on the labels)"),
)
TAKEN = "is bound to something else"
LEAVE = "Escape"
"""Leaves a tool. Only while a tool is on is it bound, to the layers that are refined: there, napari gives up a polygon
that is being drawn with it, and none is, as the tools and napari's own modes exclude each other."""


def key_of(name: str) -> str:
    """The key of an action, as people read it."""
    return next(each.key.replace("-", "+") for each in SHORTCUTS if each.name == name)


def tip(name: str, text: str) -> str:
    """A tooltip that ends in the key of the action."""
    return f"{text}  [{key_of(name)}]"


def without_key(name: str, tooltip: str) -> str:
    """A tooltip of :func:`tip`, once it is known that the key of the action does something else."""
    return tooltip.replace(f"[{key_of(name)}]", f"[{key_of(name)} {TAKEN}]")


def _acting(act: Callable[[str], None], name: str) -> Callable[[Any], None]:
    return lambda _: act(name)


class Keys:
    """Binds actions to keys, and releases them again: only those that are still ours."""

    def __init__(self, viewer: Any, act: Callable[[str], None]) -> None:
        self._bound: list[tuple[Any, str, Callable[[Any], None]]] = []
        self.taken = [each.name for each in SHORTCUTS if not self.bind(viewer, each.key, _acting(act, each.name))]
        """Names of the actions whose keys are somebody else's."""

    def bind(self, provider: Any, key: str, function: Callable[[Any], None]) -> bool:
        """Bind a key of a viewer or layer; False for one that somebody else has bound there, which stays theirs."""
        try:
            provider.bind_key(key, function)
        except ValueError:
            return False
        self._bound.append((provider, key, function))
        return True

    def release(self, key: str | None = None) -> None:
        """Release all keys, or one of them."""
        for bound in [each for each in self._bound if key in (None, each[1])]:
            provider, name, function = bound
            if function in provider.keymap.values():
                provider.bind_key(name, None)
            self._bound.remove(bound)
