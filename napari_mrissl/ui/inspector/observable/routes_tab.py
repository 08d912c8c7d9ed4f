"""The tab "Routes": walks over all views, true and by the predicted vectors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from qtpy.QtCore import QSignalBlocker, Qt, QTimer, Signal
from qtpy.QtGui import QHideEvent
from qtpy.QtWidgets import QLabel, QSlider, QWidget

from napari_mrissl.pretext.observable.observations import RouteView
from napari_mrissl.pretext.observable.routes import MOST_VIEWS
from napari_mrissl.ui.inspector.observable import boxes
from napari_mrissl.ui.inspector.observable.legend import legend
from napari_mrissl.ui.inspector.observable.tables import fill, number_table
from napari_mrissl.ui.recorder.parts import button, column, label_of, row, sentence

_STEP_MS = 700
ZERO = "0 by construction: the potential head's vectors are differences of places"


class RoutesTab(QWidget):
    """A list of routes; the chosen one is drawn, whole or step by step.

    Attributes
    ----------
    step_changed : Signal()
        Another route, or another step of it.
    routes : tuple of RouteView
        What is listed.
    """

    step_changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.routes: tuple[RouteView, ...] = ()
        self.table = number_table(
            (
                ("route", "The views in the order in which they are visited"),
                ("end off", "Between the true end and where the predicted vectors lead, in mm"),
                ("drift", "How far the closed predicted route misses its start, in mm"),
            ),
            "Every way to visit all views once, or some of them; choose one to draw it",
            chosen=True,
        )
        self.table.verticalHeader().hide()
        self.play = button("Play", "Walk the route step by step")
        self.play.setCheckable(True)
        self.step = QSlider(Qt.Orientation.Horizontal)
        self.step.setMinimumWidth(60)
        self.step.setPageStep(1)
        self.step.setToolTip("How many steps of the route are drawn")
        self.at = QLabel("–")
        self.at.setMinimumWidth(64)
        self.at.setToolTip("The step that is drawn, and how many there are")
        self.legend = legend(
            (boxes.TRUE_ROUTE, "true"),
            (boxes.PREDICTED_ROUTE, "predicted"),
            (boxes.VISITED, "views"),
            dashed=(boxes.PREDICTED_ROUTE,),
        )
        self.here = sentence("How far apart both paths are after this step")
        self.facts = sentence("How far off the ends of all routes are, beside chance")
        layout = column(self)
        layout.setContentsMargins(6, 4, 6, 4)
        layout.addWidget(self.table, 1)
        layout.addLayout(row(self.play, label_of("Step", self.step), (self.step, 1), self.at))
        layout.addWidget(self.legend)
        layout.addWidget(self.here)
        layout.addWidget(self.facts)
        self._timer = QTimer(self)
        self._timer.setInterval(_STEP_MS)
        self._timer.timeout.connect(self._walk)
        self.table.itemSelectionChanged.connect(self._on_route)
        self.step.valueChanged.connect(self._on_step)
        self.play.toggled.connect(self._on_play)
        self._allow()

    @property
    def chosen(self) -> RouteView | None:
        """The route that is drawn."""
        line = self.table.currentRow()
        return self.routes[line] if 0 <= line < len(self.routes) else None

    @property
    def steps(self) -> int:
        """How many steps of it are drawn."""
        return self.step.value()

    def show_routes(self, routes: Sequence[RouteView], nowhere_mm: float) -> None:
        """List routes.

        Parameters
        ----------
        routes
            Over the same views.
        nowhere_mm
            By how much a route is off on average that leads nowhere.
        """
        self.routes = tuple(routes)
        with QSignalBlocker(self.table):
            fill(
                self.table,
                [
                    [
                        "–".join(map(str, one.order)),
                        f"{one.end_error_mm:.1f}",
                        "0" if one.drift_mm is None else f"{one.drift_mm:.1f}",
                    ]
                    for one in self.routes
                ],
                [str(number) for number in range(len(self.routes))],
            )
            for line, one in enumerate(self.routes):
                if one.drift_mm is None:
                    self.table.item(line, 2).setToolTip(ZERO)
            self.table.selectRow(0)
        ends = np.array([one.end_error_mm for one in self.routes])
        drifts = [one.drift_mm for one in self.routes if one.drift_mm is not None]
        count = len(self.routes[0].order)
        kind = "All" if count <= MOST_VIEWS else "Some"
        drift = (
            f"Loop drift {np.mean(drifts):.1f} mm on average." if drifts else f"Drift is {ZERO}."
        )
        self.facts.setText(
            f"{kind} {len(ends)} routes over {count} views end {ends.mean():.1f} mm off on "
            f"average (routes that lead nowhere: {nowhere_mm:.1f} mm). {drift}"
        )
        self._on_route()

    def choose(self, number: int) -> None:
        """Draw a route of the list."""
        self.table.selectRow(number)

    def clear(self, words: str = "") -> None:
        """List nothing, and why."""
        self.play.setChecked(False)
        self.routes = ()
        with QSignalBlocker(self.table):
            self.table.setRowCount(0)
        self.here.setText("")
        self.at.setText("–")
        self.facts.setText(words)
        self._allow()

    def hideEvent(self, event: QHideEvent) -> None:
        """Nobody sees it walk."""
        super().hideEvent(event)
        self.play.setChecked(False)

    def shut_down(self) -> None:
        """Walk no more."""
        self._timer.stop()

    def _on_route(self) -> None:
        route = self.chosen
        self._allow()
        if route is None:
            return
        last = len(route.order) - 1
        with QSignalBlocker(self.step):
            self.step.setRange(0, last)
            self.step.setValue(0 if self.play.isChecked() else last)
        self._on_step()

    def _on_step(self) -> None:
        route = self.chosen
        if route is None:
            return
        count = self.steps
        self.at.setText(f"{count} of {self.step.maximum()}")
        apart = float(np.linalg.norm(route.predicted_world[count] - route.true_world[count]))
        words = f"At view {route.order[count]}: the predicted path is {apart:.1f} mm off."
        if count == self.step.maximum() and route.drift_mm is not None:
            words += f" Closed, it misses its start by {route.drift_mm:.1f} mm."
        self.here.setText(words)
        self.step_changed.emit()

    def _on_play(self, on: bool) -> None:
        self.play.setText("Stop" if on else "Play")
        if not on:
            self._timer.stop()
        elif self.chosen is not None:
            if self.steps == self.step.maximum():
                self.step.setValue(0)
            self._timer.start()

    def _walk(self) -> None:
        if self.steps < self.step.maximum():
            self.step.setValue(self.steps + 1)
        if self.steps == self.step.maximum():
            self.play.setChecked(False)

    def _allow(self) -> None:
        for one in (self.play, self.step):
            one.setEnabled(self.chosen is not None)
