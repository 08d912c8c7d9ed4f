"""The dock widget "Flight recorder"."""

from __future__ import annotations

import weakref
from functools import partial
from pathlib import Path
from typing import Any

import napari.viewer
from qtpy.QtCore import QSize, QTimer
from qtpy.QtGui import QKeyEvent
from qtpy.QtWidgets import QApplication, QStyle, QVBoxLayout, QWidget

from napari_mrissl.ui.dock_panel import DockPanel, close_when_destroyed
from napari_mrissl.ui.navigator.bars import section
from napari_mrissl.ui.navigator.flights import COLUMNS, FlightDeck, deck_of
from napari_mrissl.ui.navigator.keys import all_keys, sequence_of
from napari_mrissl.ui.navigator.sharing import real_viewer
from napari_mrissl.ui.recorder.dataset_box import DatasetBox
from napari_mrissl.ui.recorder.episodes_box import EpisodesBox
from napari_mrissl.ui.recorder.exchange import Exchange
from napari_mrissl.ui.recorder.exchange_box import ExchangeBox
from napari_mrissl.ui.recorder.feeds import Feeds, find_navigator
from napari_mrissl.ui.recorder.key_pose_box import KeyPoseBox
from napari_mrissl.ui.recorder.key_poses import KeyPoses
from napari_mrissl.ui.recorder.maker import FlightMaker
from napari_mrissl.ui.recorder.notices import Notices
from napari_mrissl.ui.recorder.parts import scrolled, sentence
from napari_mrissl.ui.recorder.policy_box import PolicyBox
from napari_mrissl.ui.recorder.record_box import RecordBox
from napari_mrissl.ui.recorder.replay_box import ReplayBox
from napari_mrissl.ui.wheel import leave_wheel_alone

PLUGIN = "napari-mrissl"
# How often to look whether a navigator was opened or closed: napari does not say.
_LOOK_MS = 500
_ERROR = "color: #e5484d; font-weight: bold;"
_LEAST_HEIGHT, _MOST_HEIGHT = 280, 680


class FlightRecorder(DockPanel, QWidget):
    """Records flights into a dataset, lists, replays and makes them.

    It shows the same deck as the flight section of the viewer's slice navigator.

    Parameters
    ----------
    viewer
        The main viewer.
    """

    session_key = "recorder"

    def __init__(self, viewer: napari.viewer.Viewer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer = real_viewer(viewer)
        self._closed = False
        self._feeds: Feeds | None = None
        self._wanted_episode: int | None = None
        commands = {"record": self._on_record_key, "replay": self._on_replay_key}
        self._keys = {
            key.sequence: commands[key.command] for key in all_keys() if key.command in commands
        }
        self.deck: FlightDeck = deck_of(self._viewer)
        self.deck.enter()
        self.maker = FlightMaker(self.deck, self)
        self.exchange = Exchange(self.deck, self._viewer, self)
        self.notices = Notices(self.deck)
        self.dataset_box = DatasetBox(self.deck)
        self.record_box = RecordBox(self.deck)
        self.episodes_box = EpisodesBox(self.deck)
        self.replay_box = ReplayBox(self.deck)
        self.key_pose_box = KeyPoseBox(self.deck, self.maker)
        self.policy_box = PolicyBox(self.deck, self.maker)
        self.exchange_box = ExchangeBox(self.deck, self.exchange)
        self.message = sentence("What was done last, or what went wrong")
        self._boxes = (
            self.notices,
            self.dataset_box,
            self.record_box,
            self.episodes_box,
            self.replay_box,
            self.key_pose_box,
            self.policy_box,
            self.exchange_box,
        )
        self._arrange()
        leave_wheel_alone(self)
        deck = self.deck
        deck.changed.connect(self.refresh)
        deck.said.connect(self._say)
        deck.failed.connect(self._say_failure)
        deck.player.changed.connect(self.replay_box.refresh)
        self.maker.changed.connect(self.refresh)
        self.exchange.changed.connect(self.refresh)
        self.notices.navigator_wanted.connect(self.open_navigator)
        self.episodes_box.scan_wanted.connect(self._on_scan_wanted)
        self._look = QTimer(self)
        self._look.setInterval(_LOOK_MS)
        self._look.timeout.connect(self.find_navigator)
        self._look.start()
        # Once it is in its window.
        self._first_look = QTimer(self)
        self._first_look.setSingleShot(True)
        self._first_look.timeout.connect(self.find_navigator)
        QApplication.instance().aboutToQuit.connect(self._on_quit)
        # A window that is destroyed around its docks takes them out of nothing first.
        self.destroyed.connect(partial(_on_destroyed, weakref.ref(self)))
        close_when_destroyed(self, self.maker, self.exchange)
        deck.shelf.look_once()
        self.refresh()

    @property
    def busy(self) -> bool:
        """Whether something is being read, written or made."""
        return self.deck.shelf.busy or self.maker.busy or self.exchange.busy

    def refresh(self) -> None:
        """Show everything as it is."""
        for box in self._boxes:
            box.refresh()
        if self._wanted_episode is not None and not self.deck.shelf.busy:
            number, self._wanted_episode = self._wanted_episode, None
            self.deck.select(number)

    def find_navigator(self) -> None:
        """Feed recordings from the window's navigator, and let go of one that was closed."""
        found = find_navigator(self)
        if found is not None and found.state is not self.deck.state:
            found = None
        if self.notices.navigator_missing != (found is None):
            self.notices.navigator_missing = found is None
            self.notices.refresh()
        if self._feeds is not None and self._feeds.navigator is found:
            return
        if self._feeds is not None:
            self._feeds.close()
            self._feeds = None
        if found is not None:
            self._feeds = Feeds(self.deck, found, self._viewer)

    def open_navigator(self) -> None:
        """Open the slice navigator beside this dock."""
        self._viewer.window.add_plugin_dock_widget(PLUGIN, "Slice navigator")
        self.find_navigator()

    def session_state(self) -> dict[str, Any]:
        """What a session keeps; whether frames are stored is asked anew each time."""
        deck = self.deck
        return {
            "dataset": str(deck.shelf.folder),
            "task": deck.task,
            "hertz": deck.hertz,
            "columns": sorted(deck.columns),
            "episode": deck.number,
            "key_poses": self.maker.key_poses.rows(),
        }

    def restore_session(self, state: dict[str, Any]) -> None:
        """Take up what a session kept; what is not usable is said and left out."""
        if not isinstance(state, dict):
            self._say_failure("The recorder's part of the session is not usable.")
            return
        deck = self.deck
        wrong = [name for name in _RESTORED if name in state and not self._restore(name, state)]
        if wrong:
            self._say_failure(f"Not restored, because not usable: {', '.join(wrong)}.")
        deck.changed.emit()

    def shut_down(self, *, wait: bool = False) -> None:
        """Let go of the viewer; the navigator goes on without this dock."""
        if self._closed:
            return
        QApplication.instance().aboutToQuit.disconnect(self._on_quit)
        self._look.stop()
        self._first_look.stop()
        self.maker.close()
        self.exchange.close()
        self.let_go(wait=wait)

    def let_go(self, *, wait: bool = False) -> None:
        """Hear nothing of the deck any more, and leave it."""
        if self._closed:
            return
        self._closed = True
        deck = self.deck
        deck.changed.disconnect(self.refresh)
        deck.said.disconnect(self._say)
        deck.failed.disconnect(self._say_failure)
        deck.player.changed.disconnect(self.replay_box.refresh)
        deck.leave(wait=wait)

    def on_undocked(self) -> None:
        """End; it lives on for as long as someone holds it."""
        self.shut_down()

    def on_docked(self) -> None:
        """Look for a navigator in the window."""
        super().on_docked()
        self._first_look.start(0)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """The navigator's keys for flights work here too, unless a field took them."""
        command = self._keys.get(sequence_of(event))
        if command is None:
            super().keyPressEvent(event)
            return
        command()
        event.accept()

    def minimumSizeHint(self) -> QSize:
        """Never narrower than the controls; low, because they scroll."""
        bar = self.style().pixelMetric(QStyle.PixelMetric.PM_ScrollBarExtent)
        return QSize(self._inner.minimumSizeHint().width() + bar, _LEAST_HEIGHT)

    def sizeHint(self) -> QSize:
        """Wide enough for the fields, and no higher than a small screen."""
        height = min(self._inner.sizeHint().height() + 40, _MOST_HEIGHT)
        return QSize(self.minimumSizeHint().width() + 8, max(height, _LEAST_HEIGHT))

    def _arrange(self) -> None:
        inner = QWidget()
        layout = QVBoxLayout(inner)
        layout.setContentsMargins(6, 4, 6, 4)
        layout.setSpacing(4)
        layout.addWidget(self.notices)
        self.sections = {
            title: section(title, box)
            for title, box in (
                ("Dataset", self.dataset_box),
                ("Record", self.record_box),
                ("Episodes", self.episodes_box),
                ("Replay", self.replay_box),
                ("Key poses", self.key_pose_box),
                ("Fly by policy", self.policy_box),
                ("Export and import", self.exchange_box),
            )
        }
        for folding in self.sections.values():
            layout.addWidget(folding)
        for title in ("Key poses", "Fly by policy", "Export and import"):
            self.sections[title].collapse(animate=False)
        layout.addStretch(1)
        self.message.setContentsMargins(6, 0, 6, 4)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.setSpacing(2)
        outer.addWidget(scrolled(inner), 1)
        outer.addWidget(self.message)
        self._inner = inner

    def _restore(self, name: str, state: dict[str, Any]) -> bool:
        """Take up one value; False if it is not usable."""
        value, deck = state[name], self.deck
        if name == "dataset":
            if not isinstance(value, str) or not value or "\0" in value:
                return False
            deck.choose_dataset(Path(value))
        elif name == "task":
            if not isinstance(value, str):
                return False
            deck.task = value
        elif name == "hertz":
            if type(value) not in (int, float) or not 1 <= value <= 120:
                return False
            deck.hertz = value
        elif name == "columns":
            if not isinstance(value, list) or not set(map(str, value)) <= set(COLUMNS):
                return False
            deck.columns = frozenset(value)
        elif name == "episode":
            if value is not None and (type(value) is not int or value < 0):
                return False
            # Once the dataset was read.
            self._wanted_episode = value
        else:
            poses = KeyPoses.from_rows(value)
            if poses is None:
                return False
            self.maker.key_poses.replace(poses)
        return True

    def _on_scan_wanted(self, path: Path) -> None:
        layers = self._viewer.open(path, plugin=PLUGIN)
        navigator = find_navigator(self)
        if layers and navigator is not None:
            navigator.choose_layer(layers[0])

    def _say(self, text: str) -> None:
        self.message.setStyleSheet("")
        self.message.setText(text)

    def _say_failure(self, text: str) -> None:
        self.message.setStyleSheet(_ERROR)
        self.message.setText(text)

    def _on_record_key(self) -> None:
        self.record_box.record.click()

    def _on_replay_key(self) -> None:
        if self.deck.replaying:
            self.deck.stop_replay()
        else:
            self.deck.replay()

    def _on_quit(self) -> None:
        self.shut_down(wait=True)


def _on_destroyed(panel: weakref.ref[FlightRecorder], _: object = None) -> None:
    found = panel()
    if found is not None:
        found.let_go(wait=True)


_RESTORED = ("dataset", "task", "hertz", "columns", "key_poses", "episode")
