"""The current settings, handed on: as a script, as a command, to a folder of images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QApplication

from napari_what_where.widgets.folder import FolderDialog
from napari_what_where.widgets.script import as_python, command_parts
from napari_what_where.widgets.session import OBJECTS

if TYPE_CHECKING:
    from napari_what_where.batch import BatchSettings
    from napari_what_where.widgets.dock import WhatWhereDock


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
        from napari_what_where.batch import as_command

        session, panel = self._dock.session, self._dock.panel
        findings = session.findings
        if findings is None:
            panel.say("Press Run first.", problem=True)
            return
        if not findings.command:
            panel.say(
                "A command starts from one plane of an image file, as it is on disk; this was not that. "
                "Copy as Python works for every layer.",
                problem=True,
            )
            return
        options = findings.analyses[0].provenance["options"]
        path, select, channel_axis = command_parts(findings.source)
        text = as_command(path, self._settings(options, session.shown), select=select, channel_axis=channel_axis)
        QApplication.clipboard().setText(text)
        panel.say(f"Copied a command that makes these {session.mode} again (without edits by hand).")

    def ask(self) -> None:
        """Open the window that runs a folder with the settings as they are now."""
        dock = self._dock
        segments = "auto" if dock.panel.automatic else dock.panel.segments.value
        settings = self._settings(dock.panel.settings(), segments)
        if self.dialog is not None:
            self.dialog.close()
        self.dialog = FolderDialog(settings, dock)
        self.dialog.show()

    def stop(self) -> None:
        """Stop a folder that is being run."""
        if self.dialog is not None:
            self.dialog.cancel()

    def _settings(self, options: dict[str, Any], segments: Any) -> BatchSettings:
        from dataclasses import fields

        from napari_what_where.batch import BatchSettings

        known = {field.name for field in fields(BatchSettings)}
        taken = {name: value for name, value in options.items() if name in known}
        return BatchSettings(**taken, segments=segments, objects=self._dock.session.mode == OBJECTS)
