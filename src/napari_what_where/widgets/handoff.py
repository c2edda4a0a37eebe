"""The current settings, handed on: as a script, as a command, to a folder of images."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QApplication

from napari_what_where.files.stacks import FilePart
from napari_what_where.widgets.folder import FolderDialog
from napari_what_where.widgets.script import as_python, command_parts
from napari_what_where.widgets.session import OBJECTS

if TYPE_CHECKING:
    from napari_what_where.batch import BatchSettings
    from napari_what_where.widgets.dock import WhatWhereDock
    from napari_what_where.widgets.source import Source

LONGEST = 100_000
"""Letters of a command: Linux takes 131,072 for one word of it."""


class Handoff:
    """What the buttons Copy as Python, Copy as command and To a folder… do."""

    def __init__(self, dock: WhatWhereDock) -> None:
        self._dock = dock
        self.dialog: FolderDialog | None = None

    def copy_as_python(self) -> None:
        """Put a script that makes again what is shown on the clipboard."""
        session, panel = self._dock.session, self._dock.panel
        if session.findings is None:
            panel.say("Press Run first.", problem=True)
            return
        QApplication.clipboard().setText(as_python(session.findings, session.shown, objects=session.mode == OBJECTS))
        panel.say(f"Copied a Python script that makes these {session.mode} again (without edits by hand).")

    def copy_as_command(self) -> None:
        """Put a command that makes again what is shown on the clipboard, or say why there is none."""
        from napari_what_where.segment_command import as_command

        session, panel = self._dock.session, self._dock.panel
        findings = session.findings
        if findings is None:
            panel.say("Press Run first.", problem=True)
            return
        if not findings.command:
            panel.say(f"{_why_no_command(findings.source)} Copy as Python works for every layer.", problem=True)
            return
        settings = self._settings(findings.analyses[0].provenance["options"], session.shown, findings.source.linked)
        files, part = command_parts(findings.source)
        text = as_command(files, settings, part=part)
        if len(text) > LONGEST:
            panel.say(
                f"The shapes have too many corners for a command ({len(text):,} letters). Copy as Python works for "
                "every layer.",
                problem=True,
            )
            return
        QApplication.clipboard().setText(text)
        panel.say(f"Copied a command that makes these {session.mode} again (without edits by hand).")

    def ask(self) -> None:
        """Open the window that runs a folder with the settings as they are now."""
        dock = self._dock
        inputs = dock.panel.inputs
        segments = "auto" if dock.panel.automatic else dock.panel.segments.value
        plane_axis, linked = (inputs.planes.currentData() if inputs.layers() else None) or (None, False)
        channel_axis = inputs.channels.currentData() if inputs.layers() else None
        try:
            settings = self._settings(dock.panel.settings(), segments, linked)
        except ValueError as problem:
            dock.panel.say(str(problem), problem=True)
            return
        if self.dialog is not None:
            self.dialog.close()
            settings = replace(settings, formats=tuple(self.dialog.chosen_formats()) or settings.formats)
        self.dialog = FolderDialog(settings, FilePart(channel_axis=channel_axis, plane_axis=plane_axis), dock)
        self.dialog.show()

    def stop(self) -> None:
        """Stop a folder that is being run."""
        if self.dialog is not None:
            self.dialog.cancel()

    def _settings(self, options: dict[str, Any], segments: Any, linked: bool) -> BatchSettings:
        from dataclasses import fields

        from napari_what_where.batch import BatchSettings

        known = {field.name for field in fields(BatchSettings)}
        taken = {name: value for name, value in options.items() if name in known}
        return BatchSettings(**taken, segments=segments, objects=self._dock.session.mode == OBJECTS, linked=linked)


def _why_no_command(source: Source) -> str:
    """What keeps a command from starting where the dock did."""
    if None in source.paths:
        which = f"{source.name!r} is not" if len(source.paths) == 1 else f"not all of {source.name!r} are"
        return f"A command starts from image files; {which} from one."
    if source.level:
        return "A command starts from the finest level of a file; this was a coarser one."
    return (
        "A command starts from image files as they are on disk; what was analysed is not what it would read there "
        "(another reader's, several images in one file, or changed since)."
    )
