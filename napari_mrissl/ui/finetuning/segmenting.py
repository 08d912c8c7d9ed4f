"""Applies the present network to scans, and turns results into labels and back."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal

from napari_mrissl.errors import printable
from napari_mrissl.ui.finetuning import work
from napari_mrissl.ui.jobs import JobRunner

if TYPE_CHECKING:
    from napari.layers import Image

    from napari_mrissl.ui.finetuning.scene import Scene


class Segmenting(JobRunner):
    """One job at a time: reading a network, or segmenting scans by it.

    Parameters
    ----------
    scene
        Whose scans are segmented.

    Attributes
    ----------
    said : Signal(str)
        What was done.
    shown : Signal()
        Results begin to come.
    device : str
        What scans are segmented on.
    """

    said = Signal(str)
    shown = Signal()

    def __init__(self, scene: Scene, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._scene = scene
        self.device = "auto"

    def use(self, folder: Path, scans: Sequence[Image] | None) -> None:
        """Make a finetuning's network the present one; segment scans by it unless None."""

        def done(model: work.Model) -> None:
            self._scene.results.adopt(model, self._scene.pairs)
            self._scene.problems.clear()
            self._scene.look()
            self.shown.emit()
            if scans is not None:
                self.segment(scans)
            else:
                self.said.emit(f"{printable(model.name)} is the present network.")

        self.start(
            lambda control: work.model_of(control, folder), title="reading the network", done=done
        )

    def take_up(self, folder: Path) -> None:
        """Go on with a network whose results are there."""

        def done(model: work.Model) -> None:
            self._scene.results.go_on_with(model, self._scene.pairs)
            self._scene.look()

        self.start(
            lambda control: work.model_of(control, folder), title="reading the network", done=done
        )

    def segment(self, scans: Sequence[Image]) -> None:
        """Segment scans; each is shown as soon as it is there."""
        scene = self._scene
        model, wanted = scene.results.model, [p for p in scene.pairs if p[0] in scans]
        if model is None or not wanted:
            self.failed.emit(
                "No scan with a tick is open." if model is not None else "There is no network yet."
            )
            return
        scene.harvest()

        def received(message: Any) -> None:
            number, labels, why = message
            layer, volume = wanted[number]
            if layer not in scene.viewer.layers:
                return
            if labels is None:
                scene.problems[layer] = why
            else:
                scene.problems.pop(layer, None)
                scene.results.harvest(layer, volume)
                scene.results.show(layer, volume, labels)
            scene.look_soon()

        def done(missed: int) -> None:
            many = f"{len(wanted) - missed} scan{'s' * (len(wanted) - missed != 1)}"
            why = "; the others say why when they are selected" if missed else ""
            self.said.emit(f"Segmented {many} of {len(wanted)}{why}.")

        device, volumes = self.device, [volume for _, volume in wanted]
        self.start(
            lambda control: work.segment(control, model, volumes, device),
            title=f"segmenting {len(wanted)} scan{'s' * (len(wanted) != 1)}",
            received=received,
            done=done,
        )

    def accept(self, layer: Image) -> None:
        """A scan's whole result becomes labels of the next finetuning."""
        for scan, volume in self._scene.pairs:
            if scan is layer and (accepted := self._scene.results.accept(scan, volume)) is not None:
                self._scene.choices.set_map(scan, accepted)
                self._scene.look()
                self.said.emit(f"{printable(scan.name)} is learned from next time.")

    def forget(self, layer: Image) -> None:
        """What was painted on a scan's results is learned no more."""
        for scan, volume in self._scene.pairs:
            if scan is layer:
                known = self._scene.results.forget(scan, volume)
                self._scene.look()
                again = "" if known else " Segment it again to see what the network says."
                self.said.emit(f"Corrections of {printable(scan.name)} are forgotten.{again}")

    def restore(self, layer: Image) -> None:
        """Forgotten corrections of a scan count again."""
        for scan, volume in self._scene.pairs:
            if scan is layer:
                self._scene.results.bring_back(scan, volume)
                self._scene.look()
                self.said.emit(f"Corrections of {printable(scan.name)} are learned next time.")

    def take_back(self, layer: Image) -> None:
        """What was accepted is a result again."""
        for scan, volume in self._scene.pairs:
            if scan is layer and self._scene.results.take_back(scan, volume) is not None:
                self._scene.choices.forget_map(scan)
                self._scene.look()
                self.said.emit(f"{printable(scan.name)} is not accepted any more.")
