"""What is open, labelled and segmented in a viewer, kept up to date in the background."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QObject, QTimer, Signal

from napari_mrissl.ui.finetuning import work
from napari_mrissl.ui.finetuning.choices import Choices
from napari_mrissl.ui.finetuning.corrections import Corrections
from napari_mrissl.ui.finetuning.learning import Given
from napari_mrissl.ui.finetuning.naming import check_names
from napari_mrissl.ui.finetuning.results import Results
from napari_mrissl.ui.finetuning.results_box import Line
from napari_mrissl.ui.finetuning.scans_box import Row
from napari_mrissl.ui.finetuning.seen import ScanFacts, Seen
from napari_mrissl.ui.finetuning.table_file import TableRow
from napari_mrissl.ui.jobs import JobRunner
from napari_mrissl.ui.layers import labels_array
from napari_mrissl.ui.navigator.units import world_of

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Layer

    from napari_mrissl.segmentation.finetuning.task_settings import LabelClass
    from napari_mrissl.volumes import Volume

_REST_MS = 350
"""So long after the last stroke or click layers are looked at again."""

_LAYER_EVENTS = ("paint", "labels_update", "data", "features")
_LIST_EVENTS = ("inserted", "removed", "renamed")


class Scene(QObject):
    """Scans of a viewer with marks, label layers, results and choices.

    Parameters
    ----------
    viewer
        Whose layers they are.

    Attributes
    ----------
    looked : Signal()
        `scans` are as they are now.
    measured : Signal()
        `lines` are as they are now.
    failed : Signal(str)
        Looking or measuring did not work, in one sentence.
    """

    looked = Signal()
    measured = Signal()
    failed = Signal(str)

    def __init__(self, viewer: ViewerModel, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.viewer = viewer
        self.choices = Choices()
        self.results = Results(viewer)
        self.scans: tuple[ScanFacts, ...] = ()
        self.zero_is_nothing = False
        self.problems: weakref.WeakKeyDictionary[Image, str] = weakref.WeakKeyDictionary()
        self._sizes: weakref.WeakKeyDictionary[Image, work.Measured] = weakref.WeakKeyDictionary()
        self._looking = JobRunner(self, listed=False)
        self._measuring = JobRunner(self, listed=False)
        for runner in (self._looking, self._measuring):
            runner.failed.connect(self.failed)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_REST_MS)
        self._timer.timeout.connect(self.look)
        for name in _LIST_EVENTS:
            getattr(viewer.layers.events, name).connect(self._on_layers)
        self._watched: weakref.WeakSet[Layer] = weakref.WeakSet()
        self._watch()

    @property
    def busy(self) -> bool:
        """Whether layers are being looked at, or are about to be."""
        return self._timer.isActive() or self._looking.running or self._measuring.running

    @property
    def pairs(self) -> list[tuple[Image, Volume]]:
        """Scans that can be used, with their volumes."""
        return [(one.layer, one.volume) for one in self.scans if one.volume is not None]

    @property
    def classes(self) -> tuple[LabelClass, ...]:
        """The table of classes but background."""
        model = self.results.model
        labels = [one.label for one in model.foreground] if model is not None else []
        table = {one.label: one for one in self.choices.class_table(self.scans, labels)}
        for one in model.foreground if model is not None else ():
            # What only a network knows has its name from there.
            if not self._marked(one.label) and one.label not in self.choices.classes:
                table[one.label] = one.model_copy(
                    update={"color": one.color or table[one.label].color}
                )
        return tuple(table.values())

    @property
    def marks(self) -> dict[int, int]:
        """By label, how many places of it are labelled in scans to learn from."""
        found: dict[int, int] = {}
        for row in self.rows:
            if row.use != "learn":
                continue
            chosen = self.choices.map_of(row.scan)
            counts = [row.scan.mark_counts, chosen.counts if chosen is not None else {}]
            held = self.results.corrections.get(row.scan.layer)
            if held is not None:
                labels, numbers = np.unique(held.labels, return_counts=True)
                counts.append(dict(zip(labels.tolist(), numbers.tolist(), strict=True)))
            for each in counts:
                for label, count in each.items():
                    found[label] = found.get(label, 0) + count
        return found

    @property
    def rows(self) -> tuple[Row, ...]:
        """What the table says of scans."""
        found = []
        for one in self.scans:
            corrected = len(self.results.corrections.get(one.layer, ()))
            use = self.choices.use(one, corrected=corrected > 0)
            chosen = self.choices.map_of(one)
            found.append(Row(one, use, chosen.layer if chosen is not None else None, corrected))
        return tuple(found)

    @property
    def lines(self) -> tuple[Line, ...]:
        """What the results say of scans."""
        found = []
        for one in self.scans:
            if one.volume is None:
                continue
            size = self._sizes.get(one.layer) if self._has_result(one) else None
            words = [size.part] if size is not None else []
            if size is not None and not self.results.is_of_model(one.layer):
                words = ["of an earlier network"]
            if size is not None and len(self.results.corrections.get(one.layer, ())):
                words.append("corrected")
            if self.results.accepted(one.volume):
                words.append("accepted")
            problem = self.problems.get(one.layer, "")
            if problem:
                words.append("failed")
            corrected = len(self.results.corrections.get(one.layer, ()))
            forgotten = one.layer in self.results.forgotten
            state = ", ".join(words)
            found.append(Line(one.layer, one.name, size, state, problem, corrected, forgotten))
        return tuple(found)

    @property
    def table(self) -> tuple[TableRow, ...]:
        """What a CSV file says of results of the present network."""
        found = []
        usable = [one for one in self.scans if one.volume is not None]
        for one, line in zip(usable, self.lines, strict=True):
            if line.measured is None or not self.results.is_of_model(one.layer):
                continue
            state = next((w for w in ("accepted", "corrected") if w in line.state), "predicted")
            found.append(TableRow(one.volume, line.measured, state))
        return tuple(found)

    def check_names(self) -> None:
        """Refuse classes that are called differently in scans that are learned or measured on.

        Raises
        ------
        MrisslError
            If a label has two names there, or a name two labels.
        """
        check_names(
            self.choices.named(row.scan for row in self.rows if row.use != "none"),
            self.choices.classes,
        )

    def name_of(self, identity: str) -> str:
        """What the user calls the open scan of an identity; empty if there is none."""
        return next((one.name for one in self.scans if identity and one.identity == identity), "")

    def given(self) -> tuple[Given, ...]:
        """What is learned from and measured on, as it is now."""
        self.harvest()
        found = []
        for row in self.rows:
            if row.use == "none" or row.scan.volume is None:
                continue
            chosen = self.choices.map_of(row.scan)
            found.append(
                Given(
                    row.scan.volume,
                    row.scan.marks,
                    chosen.labels if chosen is not None else None,
                    self.results.corrections.get(row.scan.layer, Corrections()),
                    held_out=row.use == "held out",
                )
            )
        return tuple(found)

    def in_view(self) -> tuple[Volume, tuple[float, float, float], int] | None:
        """The scan, place and axis of the slice that the user looks at, if the scan is used."""
        used = {row.scan.layer: row.scan.volume for row in self.rows if row.use != "none"}
        active = self.viewer.layers.selection.active
        visible = [layer for layer in used if layer.visible]
        layer = active if active in used else visible[0] if len(visible) == 1 else None
        if layer is None:
            return None
        dims = self.viewer.dims
        x, y, z = (float(value) for value in world_of(self.viewer, dims.point))
        across = [axis - (dims.ndim - 3) for axis in dims.not_displayed]
        axis = next((n for n in across if 0 <= n < 3), 0)
        return used[layer], (x, y, z), axis

    def harvest(self) -> None:
        """Take what was painted on results."""
        for scan, volume in self.pairs:
            self.results.harvest(scan, volume)

    def look_soon(self) -> None:
        """Look again when nothing has happened for a moment."""
        self._timer.start()

    def look(self) -> None:
        """Read layers, count, and measure results."""
        self._timer.stop()
        self.harvest()
        self._looking.start(
            Seen(self.viewer).facts, title="looking at layers", done=self._on_looked
        )

    def recolour(self) -> None:
        """Results take the colours of their classes."""
        self.results.recolour(self.classes, self.choices.hidden)

    def close(self) -> None:
        """Let go of the layers; they stay in the viewer."""
        self._timer.stop()
        self._looking.close()
        self._measuring.close()
        for name in _LIST_EVENTS:
            getattr(self.viewer.layers.events, name).disconnect(self._on_layers)
        for layer in self._watched:
            for emitter in _emitters(layer):
                emitter.disconnect(self._on_layer)
        self._watched.clear()

    def _on_layers(self, _: Any = None) -> None:
        self._watch()
        self.look_soon()

    def _on_layer(self, _: Any = None) -> None:
        if not self.results.muted:
            self.look_soon()

    def _watch(self) -> None:
        for layer in self.viewer.layers:
            if layer not in self._watched:
                self._watched.add(layer)
                for emitter in _emitters(layer):
                    emitter.connect(self._on_layer)

    def _on_looked(self, scans: tuple[ScanFacts, ...]) -> None:
        self.scans = tuple(one for one in scans if one.layer in self.viewer.layers)
        self.recolour()
        self.looked.emit()
        self._measure()

    def _measure(self) -> None:
        model = self.results.model
        wanted, layers = [], []
        for one in self.scans:
            layer = self.results.layer_of(one.volume) if one.volume is not None else None
            if layer is not None:
                chosen = self.choices.map_of(one)
                truth = (chosen.labels, chosen.origin) if chosen is not None else (None,)
                wanted.append(work.ToMeasure(one.volume, labels_array(layer), *truth))
                layers.append(one.layer)
        if model is None or not wanted:
            self._measuring.cancel()
            self.measured.emit()
            return

        def done(found: tuple[work.Measured, ...]) -> None:
            for layer, size in zip(layers, found, strict=True):
                self._sizes[layer] = size
            self.measured.emit()

        zero = self.zero_is_nothing
        self._measuring.start(
            lambda control: work.measure(control, model, wanted, zero_is_nothing=zero),
            title="measuring results",
            done=done,
        )

    def _has_result(self, one: ScanFacts) -> bool:
        return one.volume is not None and self.results.layer_of(one.volume) is not None

    def _marked(self, label: int) -> bool:
        return any(label in {c.label for c in one.marks.classes} for one in self.scans)


def _emitters(layer: Layer) -> list[Any]:
    found = [getattr(layer.events, name, None) for name in _LAYER_EVENTS]
    return [one for one in found if one is not None]
