"""The panel of the observable tasks: tabs around one network, one scan and some of its views."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QWidget

from napari_mrissl.ui.history import SettingsHistory
from napari_mrissl.ui.inspector.drawn import DrawnVectors
from napari_mrissl.ui.inspector.network_panel import NetworkPanel
from napari_mrissl.ui.inspector.observable import boxes, hints, memory, showing, work
from napari_mrissl.ui.inspector.observable.check_tab import CheckTab
from napari_mrissl.ui.inspector.observable.choice import Choice
from napari_mrissl.ui.inspector.observable.chunks_tab import ChunksTab
from napari_mrissl.ui.inspector.observable.layout_tab import LayoutTab
from napari_mrissl.ui.inspector.observable.matrix_tab import MatrixTab
from napari_mrissl.ui.inspector.observable.routes_tab import RoutesTab
from napari_mrissl.ui.inspector.observable.slices_tab import SlicesTab
from napari_mrissl.ui.navigator.gliding import glide
from napari_mrissl.ui.navigator.sharing import state_of
from napari_mrissl.ui.pretraining.curves import Look
from napari_mrissl.ui.recorder.parts import scrolled

if TYPE_CHECKING:
    from napari.components import ViewerModel

MATRIX, SLICES, LAYOUT, ROUTES, CHUNKS, CHECK = (
    showing.MATRIX,
    showing.SLICES,
    showing.LAYOUT,
    showing.ROUTES,
    showing.CHUNKS,
    showing.CHECK,
)
"""The tabs."""


class ObservablePanel(NetworkPanel):
    """Gap matrix, slices, layout, routes, chunks and checks of a network of observable tasks.

    Attributes
    ----------
    slice_state : NavigatorState
        The pose that navigator and slice views share; slices are flown to by it.
    layers : DrawnVectors
        What is drawn in the viewer.
    seen : ViewsSeen or None
        The views that are shown.
    looking : JobRunner
        One thing is looked at at a time.
    """

    read, memory = staticmethod(work.load), memory

    def __init__(self, viewer: ViewerModel, parent: QWidget | None = None) -> None:
        super().__init__(viewer, parent)
        self._history = SettingsHistory(Choice())
        self._rows: dict[tuple[int, int], work.RowsSeen] = {}
        self._chunks_of: work.ViewsSeen | None = None
        self._routes_of: work.ViewsSeen | None = None
        self._player: Any = None
        self.seen: work.ViewsSeen | None = None
        self.looking = self.jobs.runner(listed=False, told=True)
        self.slice_state = state_of(viewer)
        self.layers = DrawnVectors(viewer, boxes.KINDS)
        self.matrix_tab, self.slices_tab = MatrixTab(viewer), SlicesTab()
        self.layout_tab, self.routes_tab = LayoutTab(), RoutesTab()
        self.chunks_tab, self.check_tab = ChunksTab(viewer), CheckTab()
        self.arrange(
            (self.matrix_tab, self.slices_tab, self.routes_tab, self.chunks_tab, self.check_tab),
            (scrolled(self.matrix_tab), "Matrix", "How far views are from each other, and where"),
            (scrolled(self.slices_tab), "Slices", "Each slice of the scan beside each other one"),
            (scrolled(self.layout_tab), "Layout", "Where the network thinks the views are"),
            (scrolled(self.routes_tab), "Routes", "Walks from view to view"),
            (scrolled(self.chunks_tab), "Chunks", "Which parts of views face each other"),
            (scrolled(self.check_tab), "Check", "Does the matrix agree with itself, and the truth"),
        )
        self._connect()
        self._allow()

    @property
    def choice(self) -> Choice:
        """Which views are wanted, and which two of them."""
        return self._history.present

    @property
    def flipped(self) -> bool:
        """Whether left is on the right, as the navigator shows it."""
        return self.slice_state.convention == "radiological"

    @property
    def rows_shown(self) -> work.RowsSeen | None:
        """The row of views that the tab "Slices" asks for, once it is there."""
        return self._rows.get(self.slices_tab.wish)

    def begin(self, choice: Choice) -> None:
        """Take views with nothing before them."""
        self._history = SettingsHistory(choice)
        self._on_choice()

    def choose(self, choice: Choice) -> None:
        """Look at views, or at a cell; can be taken back."""
        if self._history.change(choice):
            self._on_choice()

    def fly_to(self, number: int) -> None:
        """Fly the navigator to a slice of the row that is shown."""
        rows, loaded = self.rows_shown, self._loaded
        if rows is None or loaded is None:
            return
        state = self.slice_state
        if state.source is not self._layer or state.volume is None:
            state.set_volume(loaded.scan.volume, self._layer)
        pose = showing.slice_pose(rows.views, rows.axis, number, flipped=self.flipped)
        self._player = glide(state, pose)
        if self._player is not None:
            self._player.destroyed.connect(self._on_landed)

    def set_look(self, look: Look) -> None:
        """Take the colours of a theme."""
        self.check_tab.plot.set_look(look)

    def cancel(self) -> None:
        """Stop what goes on in the background, and go back to what is shown."""
        running, seen = self.looking.running, self.seen
        super().cancel()
        if running:
            self.said.emit("Cancelled; choose a tab or other views to go on.")
        self.slices_tab.give_up()
        if seen is not None and seen.choice.views != self.choice.views:
            # Else the next click on a cell would ask for the same views again.
            self._history.give_up(lambda one: one.views == seen.choice.views, seen.choice)
            self._allow()
            showing.show_cell(self)
            showing.draw(self)

    def forget(self) -> None:
        """Stop, and clear, what is about another network or scan."""
        self.looking.cancel()
        self.seen = self._chunks_of = self._routes_of = None
        self._rows.clear()
        self.layers.clear()
        for tab in (self.matrix_tab, self.slices_tab, self.layout_tab, self.routes_tab,
                    self.chunks_tab, self.check_tab):  # fmt: skip
            tab.clear()
        self._allow()

    def show_loaded(self, loaded: work.Loaded) -> None:
        """Begin with the views that were chosen."""
        learned = loaded.network.settings
        if learned.view.kind == "slab":
            self.slices_tab.only_axial()
        self.slices_tab.axis.setEnabled(learned.view.kind != "slab")
        if not learned.vectors:
            self.matrix_tab.head.setCurrentIndex(0)
        self.matrix_tab.head.setEnabled(learned.vectors)
        self.matrix_tab.lagging.setEnabled(learned.grad_views == "first")
        self._allow()
        self._on_choice()

    def let_go(self) -> None:
        """Give back layers and connections, once all jobs have ended."""
        if self._player is not None:
            self._player.destroyed.disconnect(self._on_landed)
            self._player.pause()
        self.routes_tab.shut_down()
        self.check_tab.plot.shut_down()
        for tab in (self.matrix_tab, self.chunks_tab):
            tab.pictures.shut_down()
        self.slice_state.settings_changed.disconnect(self._on_convention)
        self.layers.remove()
        self.seen = self._chunks_of = self._routes_of = None
        self.chunks_tab.seen = None
        self._rows.clear()

    def _connect(self) -> None:
        matrix, slices = self.matrix_tab, self.slices_tab
        matrix.cell_chosen.connect(lambda i, j: self.choose(self.choice.at(i, j)))
        matrix.count_chosen.connect(lambda count: self.choose(self.choice.of(count)))
        matrix.lagging_toggled.connect(lambda on: self.choose(replace(self.choice, lagging=on)))
        matrix.new_wanted.connect(self._on_new)
        matrix.back_wanted.connect(lambda: self._in_time(forward=False))
        matrix.forward_wanted.connect(lambda: self._in_time(forward=True))
        matrix.shown_changed.connect(self._on_shown)
        slices.wanted.connect(self._request)
        slices.fly_wanted.connect(self.fly_to)
        slices.shown_changed.connect(lambda: showing.draw(self))
        self.layout_tab.source_changed.connect(self._on_shown)
        self.layout_tab.view_chosen.connect(self._on_view)
        self.routes_tab.step_changed.connect(lambda: showing.draw(self))
        self.chunks_tab.pair_changed.connect(self._on_chunks_chosen)
        self.chunks_tab.cell_changed.connect(self._on_chunks_chosen)
        self.tabs.currentChanged.connect(lambda _: self._on_tab())
        self.slice_state.settings_changed.connect(self._on_convention)

    def _allow(self) -> None:
        there = self._loaded is not None
        for one in (self.matrix_tab, self.slices_tab, self.layout_tab, self.routes_tab,
                    self.chunks_tab, self.check_tab):  # fmt: skip
            one.setEnabled(there)
        self.matrix_tab.show_choice(self.choice)
        self.matrix_tab.show_history(back=self._history.can_undo, forward=self._history.can_redo)

    def _on_new(self) -> None:
        self.choose(replace(self.choice, seed=self.choice.seed + 1))

    def _in_time(self, *, forward: bool) -> None:
        if self._history.redo() if forward else self._history.undo():
            self._on_choice()

    def _on_choice(self) -> None:
        self._allow()
        if self.seen is not None and self.seen.choice.views == self.choice.views:
            showing.show_cell(self)
            showing.draw(self, frame=True)
        self._request()

    def _on_shown(self) -> None:
        """Another head, component or source; the network has nothing new to say."""
        showing.show_views(self)
        if self.rows_shown is not None:
            self.slices_tab.show_matrix(showing.matrix_of(self, self.rows_shown))
        showing.draw(self)

    def _on_view(self, number: int) -> None:
        """A line of the layout: the pair of the chosen view and this one."""
        self.choose(self.choice.at(self.choice.cell[0], number))

    def _on_chunks_chosen(self) -> None:
        showing.show_chunk_cell(self)
        showing.draw(self, frame=self.tabs.currentIndex() == CHUNKS)

    def _on_landed(self) -> None:
        self._player = None

    def _on_convention(self) -> None:
        showing.show_cell(self)
        showing.show_chunk_cell(self)

    def _on_tab(self) -> None:
        showing.draw(self)
        self._request()

    def _request(self) -> None:
        """Have done what the tab in front shows and is not done yet."""
        loaded, choice = self._loaded, self.choice
        if loaded is None or self._closed:
            return
        if self.seen is None or self.seen.choice.views != choice.views:
            self._start(lambda c: work.look(c, loaded, choice), "a look at views", self._on_seen)
            return
        tab, seen = self.tabs.currentIndex(), self.seen
        if tab == SLICES:
            self._request_rows(loaded)
        elif tab == ROUTES and self._routes_of is not seen:
            self._routes_of = seen
            showing.show_routes(self)
        elif tab == CHUNKS and self._chunks_of is not seen:
            if not loaded.network.settings.chunks:
                self.chunks_tab.clear(hints.NO_CHUNKS)
                return
            self._start(
                lambda c: (seen, work.compare_chunks(c, loaded, seen)), "chunks", self._on_chunks
            )

    def _request_rows(self, loaded: work.Loaded) -> None:
        count, axis = self.slices_tab.wish
        if self.rows_shown is not None:
            self._show_rows(self.rows_shown)
            return
        self._start(lambda c: (count, work.rows(c, loaded, count, axis)), "slices", self._on_rows)

    def _start(self, job: Any, title: str, done: Any) -> None:
        self.looking.start(job, title=title, done=done)
        self.busy_changed.emit()

    def _on_seen(self, seen: work.ViewsSeen) -> None:
        if self._loaded is None or self._layer is None:
            return
        self.seen = seen
        showing.show_views(self)
        # What is about other views is cleared, and asked for when its tab is in front.
        self.routes_tab.clear()
        self.chunks_tab.clear()
        self._request()
        showing.draw(self, frame=True)

    def _on_rows(self, found: tuple[int, work.RowsSeen]) -> None:
        count, rows = found
        self._rows[count, rows.axis] = rows
        self._request()

    def _show_rows(self, rows: work.RowsSeen) -> None:
        self.slices_tab.show_matrix(showing.matrix_of(self, rows))
        said = hints.row_hints(rows, showing.head_of(self, rows))
        if said:
            self.said.emit(" ".join(said))
        showing.draw(self)

    def _on_chunks(self, found: tuple[work.ViewsSeen, work.ChunksSeen]) -> None:
        self._chunks_of, chunks = found
        self.chunks_tab.show_chunks(chunks)
