"""Python's garbage collector, kept from looking at all that there is while the window is to answer.

A full collection looks at a million objects, most of them napari's, torch's and Qt's, and holds the interpreter for a
quarter of a second, or a whole one beside other work. What is frozen it does not look at.
"""

from __future__ import annotations

import gc
import threading

_lock = threading.Lock()
_RUNS = 8
"""After so many there is a full collection: freezing resets the counts by which Python would come to one by itself."""
_holders = 0
_runs = 0
_ours = False
"""Whether what is frozen is so by us: what someone else has frozen is left alone."""


def hold_aside() -> None:
    """Freeze all objects that there are, until :func:`let_go` has been called as often."""
    global _holders, _ours
    with _lock:
        _holders += 1
        if _holders == 1 and not gc.get_freeze_count():
            if gc.isenabled():
                gc.collect(1)  # what is young and of no use would grow old here
            gc.freeze()
            _ours = True


def let_go() -> None:
    """Undo one :func:`hold_aside`: after the last, what was frozen is old, and looked at now and then."""
    global _holders, _ours, _runs
    with _lock:
        _holders -= 1
        if _holders or not _ours:
            return
        gc.unfreeze()
        _ours, _runs = False, _runs + 1
        due = _runs >= _RUNS and gc.isenabled()
        if due:
            _runs = 0
    if due:
        gc.collect()


def call_old() -> None:
    """Have all objects that there are count as old, without looking at any of them.

    Young ones, of which imports leave hundreds of thousands, are otherwise all looked at in the next collection.
    """
    with _lock:
        if _ours:
            gc.freeze()
        elif not gc.get_freeze_count():
            gc.freeze()
            gc.unfreeze()
