"""A panel of tabs around one network and one scan, which are loaded in the background."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from qtpy.QtCore import QSize, QTimer
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_mrissl.errors import MrisslError
from napari_mrissl.ui.inspector.method_panel import JobPanel
from napari_mrissl.ui.jobs import Control
from napari_mrissl.ui.layers import reading_of
from napari_mrissl.ui.tabs import tabbed

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image

    from napari_mrissl.volumes import Volume

Read = Callable[[], "Volume"]

_PLACED = ("translate", "scale", "rotate", "shear", "affine", "data")
_SETTLED_MS = 300


class NetworkPanel(JobPanel):
    """What the panels of all methods do alike; each says what is loaded, shown and cleared.

    Attributes
    ----------
    memory : module
        Has `state_of` and `take_state`, for a session.
    loading : JobRunner
        Loads weights and scan.
    tabs : QTabWidget
        See `arrange`.
    """

    memory: ClassVar[Any]

    def __init__(self, viewer: ViewerModel, parent: QWidget | None = None) -> None:
        super().__init__(viewer, parent)
        self._closed = False
        self._run: Path | None = None
        self._layer: Image | None = None
        self._network: Any = None
        self._loaded: Any = None
        self._parts: tuple[QWidget, ...] = ()
        self.loading = self.runner(listed=True)
        self._moved = QTimer(self)
        self._moved.setSingleShot(True)
        self._moved.setInterval(_SETTLED_MS)
        self._moved.timeout.connect(self._look_again)

    @staticmethod
    @abstractmethod
    def read(control: Control, run: Path, known: Any, scan: Read | None) -> tuple[Any, Any]:
        """Weights, unless ``known`` is of this run, and a scan prepared for them, or None.

        It is called by a job's thread.
        """

    @abstractmethod
    def forget(self) -> None:
        """Stop, and clear, what is about another network or scan."""

    @abstractmethod
    def show_loaded(self, loaded: Any) -> None:
        """Begin with a network and a scan."""

    def let_go(self) -> None:
        """Give back layers and connections, once all jobs have ended."""

    @property
    def loaded(self) -> Any:
        """Network and scan, once they are there."""
        return self._loaded

    @property
    def layer(self) -> Image | None:
        """The scan that is looked at."""
        return self._layer

    def open(self, run: Path, layer: Image | None) -> None:
        """Load the weights of a run in the background, and look at a scan with them."""
        self._run, self._network = run, None
        self._watch(layer)
        self._load()

    def set_layer(self, layer: Image | None) -> None:
        """Look at another scan with the same weights."""
        self._watch(layer)
        if self._run is not None:
            self._load()

    def state(self) -> dict[str, Any]:
        """What a session keeps, as plain data."""
        found: dict[str, Any] = self.memory.state_of(self)
        return found

    def take_state(self, state: dict[str, Any]) -> list[str]:
        """Take up what `state` gave; names of what is not usable."""
        wrong: list[str] = self.memory.take_state(self, state)
        return wrong

    def shut_down(self) -> None:
        """End all work and remove the layers; the panel is of no more use."""
        if self._closed:
            return
        self._closed = True
        self._moved.stop()
        self.close_runners()
        self.let_go()
        self._watch(None)
        self._loaded = self._network = None

    def minimumSizeHint(self) -> QSize:
        """Never narrower than the controls."""
        return QSize(max(part.minimumSizeHint().width() for part in self._parts) + 18, 300)

    def arrange(self, parts: tuple[QWidget, ...], *pages: tuple[QWidget, str, str]) -> None:
        """Put pages behind tabs.

        Parameters
        ----------
        parts
            What the panel is never narrower than.
        pages
            With titles and tooltips.
        """
        self._parts = parts
        self.tabs = tabbed(*pages)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.tabs)

    def _watch(self, layer: Image | None) -> None:
        """Look at a layer from now on, and again when it is moved or gets other data."""
        for one, change in ((self._layer, "disconnect"), (layer, "connect")):
            if one is not None:
                for name in _PLACED:
                    getattr(getattr(one.events, name), change)(self._on_moved)
        self._layer = layer

    def _on_moved(self, _: object = None) -> None:
        if self._run is not None:
            self._moved.start()

    def _look_again(self) -> None:
        self.set_layer(self._layer)

    def _load(self) -> None:
        """Weights and scan, in the background; what is shown of another pair is cleared."""
        self._moved.stop()
        self._loaded = None
        self.forget()
        work, run, known, scan = self.read, self._run, self._network, None
        if self._layer is not None:
            try:
                scan = reading_of(self._layer)
            except MrisslError as error:
                self.failed.emit(str(error))
        assert run is not None  # noqa: S101 - `open` comes first
        self.loading.start(
            lambda control: work(control, run, known, scan), title="weights", done=self._on_loaded
        )
        self.busy_changed.emit()

    def _on_loaded(self, found: tuple[Any, Any]) -> None:
        self._network, self._loaded = found
        if self._loaded is None:
            self.said.emit("The weights are loaded; open a scan to inspect them on.")
        else:
            self.show_loaded(self._loaded)
