"""Between the menu of models and what is on disk: choosing, downloading, and the model that stays in memory."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Qt, QTimer
from qtpy.QtGui import QGuiApplication
from qtpy.QtWidgets import QFileDialog, QInputDialog, QLineEdit

from napari_what_where.activations.catalogue import BUILT_IN
from napari_what_where.activations.hub import ModelUnavailable
from napari_what_where.activations.hub.cache import repo_folder
from napari_what_where.memory import explained_memory
from napari_what_where.progress import Progress, Report, checkpoints
from napari_what_where.widgets.kept_model import KeptModel
from napari_what_where.widgets.layer_choice import LayerDialog
from napari_what_where.widgets.model_entries import Entry, free_disk, has_token, known_entries, look_up
from napari_what_where.widgets.warming import warm_analysis, warm_model

if TYPE_CHECKING:
    from napari_what_where.activations.backbone import Backbone
    from napari_what_where.widgets.collection.dock import CollectionDock
    from napari_what_where.widgets.dock import WhatWhereDock

_WARM_AFTER_MS = 300
"""A model that the user only passes on the way to another is not prepared for."""


class Models(QObject):
    """The chosen model, and everything that happens to it."""

    def __init__(self, dock: WhatWhereDock | CollectionDock) -> None:
        super().__init__(dock)
        self._dock, self._menu, self._options = dock, dock.panel.models, dock.panel.model_options
        self._own: tuple[str, ...] = ()
        self._token: str | None = None
        self._kept = KeptModel()
        self.layer_dialog: LayerDialog | None = None
        self._entries: dict[str, Entry] = {}
        self._warm = QTimer(self)
        self._warm.setSingleShot(True)
        self._warm.setInterval(_WARM_AFTER_MS)
        self._warm.timeout.connect(self._warm_up)
        self._list()
        self._connect()
        self._show()
        self._warm_up()

    def _connect(self) -> None:
        menu = self._menu
        menu.chosen.connect(self._choose)
        menu.combo.opening.connect(self.refresh)
        menu.download.clicked.connect(self.download)
        menu.token.clicked.connect(self.ask_token)
        menu.from_folder.triggered.connect(self.ask_folder)
        menu.from_hub.triggered.connect(self.ask_hub)
        self._options.list_layers.clicked.connect(self.list_layers)
        application = QGuiApplication.instance()
        if application is not None:
            application.applicationStateChanged.connect(self._on_focus)

    @property
    def entry(self) -> Entry:
        """Of the chosen model."""
        return self._entries[self._menu.name]

    # What there is

    def refresh(self) -> None:
        """Look at the disk again: other programs download and delete, too."""
        self._entries = {name: _again(entry) for name, entry in self._entries.items()}
        self._menu.update_entries(self._entries.values())
        self._show()

    def _list(self) -> None:
        self._entries = {entry.name: entry for entry in known_entries(self._own)}
        self._menu.fill(self._entries.values())

    def _choose(self, name: str) -> None:
        self._entries[name] = _again(self._entries[name])
        self._kept.drop(unless=name)
        self._show()
        self._warm.start()

    def _show(self) -> None:
        entry, busy = self.entry, self._dock.task is not None
        self._menu.show_entry(entry, busy=busy, free=free_disk(), token=bool(self._token) or has_token())
        self._options.show_entry(entry)
        self._dock.panel.offer_pathways(entry.label, entry.pathways)

    def set_busy(self, busy: bool) -> None:
        """While something runs nothing can be downloaded, and no other model chosen for it."""
        for control in (self._menu.download, self._menu.token, self._options.list_layers):
            control.setEnabled(not busy)

    def _on_focus(self, state: Qt.ApplicationState) -> None:
        if state == Qt.ApplicationState.ApplicationActive:
            self.refresh()

    def _warm_up(self) -> None:
        if self.entry.ready and self.entry.class_name:
            warm_model(self.entry.class_name)
        else:
            warm_analysis()

    # Running

    def refuse(self) -> bool:
        """Whether the chosen model cannot be run because it is not there; then that is said, with what to do."""
        self.refresh()
        entry = self.entry
        if entry.ready:
            return False
        have = f"only in part on this disk ({entry.status.partition(': ')[2]})" if entry.partly else "not on this disk"
        button = self._menu.download.text()
        size = f" ({entry.size})" if entry.size and not entry.partly else ""
        self._dock.panel.say(f"{entry.label} is {have}. Press {button}{size} first.", problem=True)
        return True

    def load(self, name: str, options: Mapping[str, Any]) -> Backbone:
        """The backbone to run, the one in memory if it is that; in a worker thread. As ``load_backbone``."""
        return self._kept.get(name, options)

    def drop(self) -> None:
        """Let go of the model in memory."""
        self._kept.drop()

    def explain(self, problem: Exception) -> bool:
        """After a run that failed because of the model's files: say what to do about them."""
        entry = self.entry
        if isinstance(problem, ModelUnavailable) or not is_damage(problem):
            return False
        self.drop()
        place = repo_folder(entry.repo) if entry.repo else entry.name
        remedy = f"Delete {place} and copy it there again"
        if entry.repo:
            remedy = f"Delete {place}, then press Download"
        elif entry.name == BUILT_IN.name:
            remedy = "Install napari-what-where again"
        said = f"A file with the weights of {entry.label} is damaged. {remedy}. No layer was changed."
        self._dock.panel.say(said, problem=True, details=True)
        return True

    def list_layers(self) -> None:
        """Let the user choose from the network layers of the model, which is loaded first if it is not."""
        dock, name = self._dock, self.entry.name
        if dock.task is not None or self.refuse():
            return
        try:
            options = dock.panel.settings()["backbone_options"]
        except ValueError as problem:
            dock.panel.say(str(problem), problem=True)
            return
        patterns = options.get("layers", [])

        def work(report: Report) -> Any:
            with explained_memory():
                return layers_of(self.load(name, options), report)

        def show(names: Any) -> None:
            self.layer_dialog = dialog = LayerDialog(names, patterns, dock)
            dialog.accepted.connect(lambda: self._options.layers.setText(", ".join(dialog.patterns())))
            dialog.open()

        def fail(problem: Exception, said: str) -> bool:
            return self.explain(problem)

        dock.begin(work, show, what="Loading the model", on_failure=fail)

    # Downloading

    def download(self) -> None:
        """Download what is missing of the chosen model."""
        entry, dock = self.entry, self._dock
        if dock.task is not None or entry.ready:
            return

        def work(report: Report) -> Any:
            from napari_what_where.activations.hub import download_model

            return download_model(
                entry.repo, revision=entry.revision, files=entry.files, token=self._token, report=report
            )

        def finish(model: Any) -> None:
            self.refresh()
            dock.panel.say(f"{entry.label} is on disk now and can be run, also without network.")
            self._warm.start()

        def stopped() -> str:
            self.refresh()
            now = self._entries[entry.name]
            kept = f" {now.status.partition(': ')[2]} are kept; Resume goes on from there." if now.partly else ""
            return f"The download of {entry.label} was cancelled.{kept}"

        dock.begin(work, finish, what="The download", on_failure=self._tell_failure, on_cancel=stopped)

    def _tell_failure(self, problem: Exception, said: str) -> bool:
        self.refresh()
        if not isinstance(problem, ModelUnavailable):
            return False
        self._dock.panel.say(str(problem), problem=True)
        return True

    def ask_token(self) -> None:
        """Let the user give a token of the hub, for as long as the dock is there."""
        text, given = QInputDialog.getText(
            self._dock,
            "Access token",
            "Access token of your account on the hub (huggingface.co, Settings, Access Tokens; “read” is enough).\n"
            "It is used until this window is closed, and not saved.",
            QLineEdit.EchoMode.Password,
        )
        if given:
            self._token = text.strip() or None
            self._show()

    # Models that are not in the list

    def ask_folder(self) -> None:
        """Let the user choose a folder with a model."""
        folder = QFileDialog.getExistingDirectory(self._dock, "Folder of a model")
        if folder:
            self.add(folder)

    def ask_hub(self) -> None:
        """Let the user name a model of the hub."""
        name, given = QInputDialog.getText(self._dock, "Model of the hub", "Its name, as in organisation/model:")
        if given and name.strip():
            self.add(name.strip())

    def add(self, name: str) -> None:
        """List a folder, or a model of the hub, and choose it; say why, if it is no model."""
        try:
            look_up(name)
        except ValueError as problem:
            self._dock.panel.say(f"{str(problem).rstrip('.')}. The model stays {self.entry.label}.", problem=True)
            return
        if name not in self._entries:
            self._own = (*self._own, name)
            self._list()
        self._menu.choose(name)


def layers_of(backbone: Any, report: Report) -> tuple[str, ...]:
    """All network layers of a backbone, whichever of them it is to use; loads it."""
    loading = Progress(f"loading {backbone.info.name}", 0, 0)
    report(loading)
    with checkpoints(report, loading):
        _ = backbone.module
    every = copy(backbone)  # shares the weights
    every.layers = None
    return tuple(every.network_layers)


def is_damage(problem: BaseException | None) -> bool:
    """Whether weights could not be read because their file is not what it should be."""
    while problem is not None:
        if type(problem).__name__ == "SafetensorError" or "Unable to load weights from checkpoint" in str(problem):
            return True
        problem = problem.__cause__ or problem.__context__
    return False


def _again(entry: Entry) -> Entry:
    """What there is to say of it now; of a model that has gone that it is not there."""
    try:
        return look_up(entry.name)
    except ValueError:
        return replace(entry, status="not there any more")
