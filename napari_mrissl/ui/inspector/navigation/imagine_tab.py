"""The tab "Imagine": an imagined flight beside the scan, and the pose read from it."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QComboBox, QHBoxLayout, QWidget

from napari_mrissl.geometry import Pose
from napari_mrissl.ui.inspector.navigation.drift_plot import DriftPlot
from napari_mrissl.ui.inspector.navigation.flying import SHUFFLED, ZERO, Flight
from napari_mrissl.ui.inspector.navigation.picture import FramedPicture, Sides, grey, heat
from napari_mrissl.ui.recorder.parts import button, column, label_of, row, sentence

ALSO: dict[str, tuple[str, ...]] = {
    "no other action": (),
    "zero action": (ZERO,),
    "shuffled action": (SHUFFLED,),
    "zero and shuffled": (ZERO, SHUFFLED),
}
"""What can be imagined besides, and which other actions that means."""

_BEGIN = "Press Imagine, then move the slice in the navigator."


class ImagineTab(QWidget):
    """Buttons, pictures, drift and probe.

    Attributes
    ----------
    imagine_wanted, stop_wanted, back_wanted, restart_wanted : Signal()
        Of the flight.
    others_changed : Signal()
        Other actions are to be imagined as well.
    fit_wanted : Signal()
        A pose probe is wanted.
    ghost_toggled : Signal(bool)
        Whether the plane that the probe reads is to be seen.
    """

    imagine_wanted = Signal()
    stop_wanted = Signal()
    back_wanted = Signal()
    restart_wanted = Signal()
    others_changed = Signal()
    fit_wanted = Signal()
    ghost_toggled = Signal(bool)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.start = button("Imagine", "Begin an imagined flight with the slice in the navigator")
        self.stop = button("Stop", "End the imagined flight; the navigator stays where it is")
        self.back = button("Back", "Take back the last imagined step; the navigator goes along")
        self.restart = button("Restart here", "Begin anew with the true slice where you are now")
        self.imagined = FramedPicture(
            "IMAGINED", "What the network imagines: no scanner has seen this", "imagined"
        )
        self.true = FramedPicture("scan", "The slice that the scan really has at this place")
        self.error = FramedPicture(
            "|error|", "Absolute difference of the two, from 0 (black) to half the range", "other"
        )
        self.also = QComboBox()
        self.also.addItems(list(ALSO))
        self.also.setToolTip(
            "Imagine each step a second time from the same context, told that nothing moved, or "
            "told the action of another flight of the kinds that the network was trained on; "
            "a network that heeds actions is worse then"
        )
        self.others = {
            ZERO: FramedPicture(
                "IMAGINED, zero", "The same step, told that nothing moved", "imagined"
            ),
            SHUFFLED: FramedPicture(
                "IMAGINED, shuffled", "The same step, told the action of another flight", "imagined"
            ),
        }
        self.facts = sentence("How far the imagined flight is, and how far off")
        self.drift = DriftPlot()
        self.fit = button(
            "Fit pose probe",
            "Learn to read the slice's place from the latents, on slices of this scan",
        )
        self.ghost = QCheckBox("Ghost plane")
        self.ghost.setToolTip(
            "Show where the latents say the slice lies: a plane in 3D, a line in 2D"
        )
        self.read = sentence("What the probe reads from the latents in view")
        self.probe = sentence("How well the probe reads slices it was not fitted on, and chance")
        self._arrange()
        self._connect()
        self.clear()

    @property
    def wanted_others(self) -> tuple[str, ...]:
        """Which other actions are imagined as well."""
        return ALSO[self.also.currentText()]

    def allow(self, *, ready: bool, flying: bool, steps: int, probed: bool) -> None:
        """Which buttons there is something to do for."""
        self.start.setEnabled(ready and not flying)
        self.stop.setEnabled(flying)
        self.restart.setEnabled(ready and flying)
        self.back.setEnabled(flying and steps > 0)
        self.ghost.setEnabled(probed)

    def show_flight(
        self, flight: Flight, pose: Pose, limits: tuple[float, float], waited_ms: float | None,
        *, flipped: bool,
    ) -> None:  # fmt: skip
        """Show the newest moment of a flight.

        Parameters
        ----------
        flight
            What was imagined.
        pose
            Where it is, as the navigator sees it.
        limits
            The contrast of all pictures.
        waited_ms
            From the hand's move to this picture, where one was waited for.
        flipped
            Whether the navigator looks from the other side than the network.
        """
        now, sides = flight.now, Sides.of(pose)
        first = flight.steps == 0
        self.imagined.rename("start: true" if first else f"IMAGINED, step {flight.steps}")
        self.imagined.present(grey(now.imagined, limits, flipped=flipped), sides)
        self.true.present(grey(now.true, limits, flipped=flipped), sides)
        span = 0.5 * (limits[1] - limits[0])
        off = abs(now.imagined - now.true)
        self.error.present(heat(off, (0.0, span), flipped=flipped), sides)
        for name, picture in self.others.items():
            other = now.others.get(name)
            if other is None:
                picture.clear()
            else:
                picture.present(grey(other.image, limits, flipped=flipped), sides)
        self.drift.show_drift(
            [one.latent_error for one in flight.moments], [one.kept_error for one in flight.moments]
        )
        self.facts.setText(_facts(flight, waited_ms))

    def clear(self, words: str = _BEGIN) -> None:
        """Show no flight, and say why."""
        for picture in (self.imagined, self.true, self.error, *self.others.values()):
            picture.clear()
        self.imagined.rename("IMAGINED")
        self.drift.clear()
        self.facts.setText(words)

    def show_others(self) -> None:
        """Make room for the pictures of other actions, where they are wanted."""
        for name, picture in self.others.items():
            picture.setVisible(name in self.wanted_others)

    def _arrange(self) -> None:
        layout = column(self)
        layout.setContentsMargins(6, 4, 6, 4)
        layout.addLayout(row(self.start, self.stop, self.back, self.restart))
        layout.addLayout(_pictures(self.imagined, self.true, self.error))
        layout.addWidget(self.facts)
        layout.addLayout(row(label_of("Also with", self.also), (self.also, 1)))
        layout.addLayout(_pictures(*self.others.values()))
        layout.addWidget(self.drift, 1)
        layout.addLayout(row(self.fit, (self.ghost, 1)))
        layout.addWidget(self.read)
        layout.addWidget(self.probe)
        self.show_others()

    def _connect(self) -> None:
        self.start.clicked.connect(lambda: self.imagine_wanted.emit())
        self.stop.clicked.connect(lambda: self.stop_wanted.emit())
        self.back.clicked.connect(lambda: self.back_wanted.emit())
        self.restart.clicked.connect(lambda: self.restart_wanted.emit())
        self.fit.clicked.connect(lambda: self.fit_wanted.emit())
        self.ghost.toggled.connect(self.ghost_toggled)
        self.also.currentTextChanged.connect(self._on_also)

    def _on_also(self, _: str) -> None:
        self.show_others()
        self.others_changed.emit()


def _pictures(*pictures: FramedPicture) -> QHBoxLayout:
    return row(*((one, 1) for one in pictures))


def _facts(flight: Flight, waited_ms: float | None) -> str:
    now = flight.now
    if not flight.steps:
        return "This is the true slice, as the tokenizer shows it. Move the navigator to imagine."
    said = [
        f"{flight.steps} imagined steps, {now.milliseconds:.0f} ms a step"
        + ("" if waited_ms is None else f", {waited_ms:.0f} ms from the move to the picture")
        + ".",
        f"Latent error {now.latent_error:.2f}; the first slice kept {now.kept_error:.2f}.",
    ]
    if now.others:
        told = ", ".join(f"{name} {one.latent_error:.2f}" for name, one in now.others.items())
        said.append(f"This step with another action: {told}.")
    if flight.full:
        said.append("That is as far as one flight goes: press Restart here.")
    return " ".join(said)
