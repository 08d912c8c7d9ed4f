"""Result layers, one for each scan, with what the user paints on them; whole finetunings undone."""

from __future__ import annotations

import weakref
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from napari_mrissl.ui.finetuning.corrections import Corrections
from napari_mrissl.ui.finetuning.painted import Packed, Painted, Under
from napari_mrissl.ui.finetuning.seen import ACCEPTED, RESULT, as_accepted
from napari_mrissl.ui.finetuning.work import Model
from napari_mrissl.ui.history import SettingsHistory
from napari_mrissl.ui.layers import METADATA_KEY, add_labels, labels_array, set_labels
from napari_mrissl.ui.segmenter.colors import label_colors
from napari_mrissl.ui.segmenter.prompt_layers import ROLE, find_layer, role_of
from napari_mrissl.ui.segmenter.result_layers import RECORD
from napari_mrissl.volumes import Volume

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from napari.components import ViewerModel
    from napari.layers import Image, Labels

    from napari_mrissl.segmentation.finetuning.task_settings import LabelClass

_OPACITY = 0.5


@dataclass(frozen=True, eq=False)
class Finetuned:
    """One finetuning as it is shown.

    Attributes
    ----------
    model
        Its network.
    left
        What its layers held when it was left, and what lay under that.
    made
        Scans whose layer is of this network.
    """

    model: Model
    left: weakref.WeakKeyDictionary[Image, tuple[Packed, Under]] = field(
        default_factory=weakref.WeakKeyDictionary
    )
    made: weakref.WeakSet[Image] = field(default_factory=weakref.WeakSet)


class Results:
    """The layers that show what the present network makes of each scan.

    Parameters
    ----------
    viewer
        Where they are shown.

    Attributes
    ----------
    corrections
        By scan layer, of all results so far: labels for the next finetuning.
    forgotten
        By scan layer, corrections that the user took away, to be brought back.
    hidden
        Labels that are not shown.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        self.corrections: weakref.WeakKeyDictionary[Image, Corrections] = (
            weakref.WeakKeyDictionary()
        )
        self.forgotten: weakref.WeakKeyDictionary[Image, Corrections] = weakref.WeakKeyDictionary()
        self.hidden: set[int] = set()
        self._history: SettingsHistory[Finetuned | None] = SettingsHistory(None)
        self._painted: weakref.WeakKeyDictionary[Labels, Painted] = weakref.WeakKeyDictionary()
        self._coloured: weakref.WeakKeyDictionary[Labels, Any] = weakref.WeakKeyDictionary()
        self.muted = False

    @property
    def model(self) -> Model | None:
        """The network whose results are shown."""
        shown = self._history.present
        return shown.model if shown is not None else None

    @property
    def can_undo(self) -> bool:
        """Whether there is a finetuning to take back."""
        return self._history.can_undo

    @property
    def can_redo(self) -> bool:
        """Whether one was taken back."""
        return self._history.can_redo

    def adopt(self, model: Model, scans: Iterable[tuple[Image, Volume]]) -> None:
        """A finetuning has ended: its network is the present one; its results come by `show`.

        Newer weights of the present finetuning take the place of its older ones: they are no
        step to be taken back, as its folder holds the newer ones only.
        """
        shown = self._history.present
        if shown is not None and shown.model.folder == model.folder:
            same = shown.model.step == model.step
            made: weakref.WeakSet[Image] = shown.made if same else weakref.WeakSet()
            self._history.present = Finetuned(model, shown.left, made)
            return
        self._leave(scans)
        self._history.change(Finetuned(model))

    def go_on_with(self, model: Model, scans: Iterable[tuple[Image, Volume]]) -> None:
        """Take up the network of an earlier session, whose result layers are there."""
        if self.model is None:
            self._history.present = Finetuned(model)
            self._history.present.made.update(
                scan for scan, volume in scans if self.layer_of(volume) is not None
            )

    def is_of_model(self, scan: Image) -> bool:
        """Whether a scan's layer shows what the present network made of it."""
        shown = self._history.present
        return shown is not None and scan in shown.made

    def undo(self, scans: Iterable[tuple[Image, Volume]]) -> bool:
        """Back to the finetuning before, or to none, with its layers as they were left."""
        return self._step(self._history.undo, list(scans)) if self.can_undo else False

    def redo(self, scans: Iterable[tuple[Image, Volume]]) -> bool:
        """The finetuning that was taken back, with its layers as they were left."""
        return self._step(self._history.redo, list(scans)) if self.can_redo else False

    def layer_of(self, volume: Volume) -> Labels | None:
        """The layer of a scan's result."""
        found: Any = find_layer(self._viewer, RESULT, volume)
        return found

    def show(self, scan: Image, volume: Volume, labels: NDArray[Any]) -> Labels:
        """Show a result, with the user's corrections of earlier ones on top."""
        held = self.corrections.get(scan, Corrections())
        under = Under.below(held, labels)
        held.put(labels)
        if self._history.present is not None:
            self._history.present.made.add(scan)
        return self._show(scan, volume, labels, under)

    def harvest(self, scan: Image, volume: Volume) -> int:
        """Take what was painted on a scan's result since the last time; how many voxels.

        Nothing is asked of a layer that was given other labels than ours as a whole.
        """
        layer = self.layer_of(volume)
        if layer is None:
            return 0
        now, painted = labels_array(layer), self._painted.get(layer)
        if painted is None or painted.seen.shape != now.shape:
            self._painted[layer] = Painted(now.copy())
            return 0
        held, count = painted.look(now, self.corrections.get(scan, Corrections()))
        if count:
            self._hold(scan, held)
        return count

    def forget(self, scan: Image, volume: Volume) -> bool:
        """Corrections of a scan are learned no more, and its layer shows the network's labels.

        Returns whether it does: what a network said under corrections of another session is
        not known, and the layer then counts as no result of it until it is made again.
        """
        self.harvest(scan, volume)
        held, layer = self.corrections.pop(scan, Corrections()), self.layer_of(volume)
        if not len(held):
            return True
        self.forgotten[scan] = held
        if layer is None:
            return True
        own = self._painted[layer].under.own
        labels = labels_array(layer).copy()
        own.put(labels)
        self._show(scan, volume, labels, Under())
        known = len(held.but(own.voxels)) == 0
        if not known and self._history.present is not None:
            self._history.present.made.discard(scan)
        return known

    def bring_back(self, scan: Image, volume: Volume) -> None:
        """Corrections that were forgotten are corrections again; newer ones win."""
        self.harvest(scan, volume)
        newer, layer = self.corrections.get(scan, Corrections()), self.layer_of(volume)
        held = self.forgotten.pop(scan, Corrections()).and_then(newer.voxels, newer.labels)
        self._hold(scan, held)
        if layer is not None:
            labels = labels_array(layer).copy()
            self._painted[layer].under.own.put(labels)
            under = Under.below(held, labels)
            held.put(labels)
            self._show(scan, volume, labels, under)

    def accept(self, scan: Image, volume: Volume) -> Labels | None:
        """A scan's whole result becomes labels to learn from; its layer, if there is one."""
        layer = self.layer_of(volume)
        if layer is not None:
            self.harvest(scan, volume)
            corrected = len(self.corrections.get(scan, ()))
            layer.metadata[METADATA_KEY] |= {
                ROLE: ACCEPTED,
                RECORD: as_accepted(labels_array(layer), corrected),
            }
            layer.name = f"accepted: {scan.name}"
        return layer

    def take_back(self, scan: Image, volume: Volume) -> Labels | None:
        """What was accepted is a result again, or plain labels where there is a newer result."""
        layer: Any = find_layer(self._viewer, ACCEPTED, volume)
        if layer is not None:
            if self.layer_of(volume) is None:
                layer.metadata[METADATA_KEY][ROLE] = RESULT
                layer.metadata[METADATA_KEY].pop(RECORD, None)
                layer.name = _title(scan)
            else:
                # Its record stays: it is what a network made, whatever it is called.
                layer.metadata[METADATA_KEY].pop(ROLE)
                layer.name = f"labels: {scan.name}"
        return layer

    def accepted(self, volume: Volume) -> bool:
        """Whether a result of a scan was accepted."""
        return find_layer(self._viewer, ACCEPTED, volume) is not None

    def recolour(self, classes: Iterable[LabelClass], hidden: Collection[int]) -> None:
        """Give all results the colours of their classes."""
        self.hidden = set(hidden)
        table: Any = tuple(classes)
        wanted = (table, frozenset(self.hidden))
        self.muted = True
        try:
            for layer in self._viewer.layers:
                ours = role_of(layer)[0] in (RESULT, ACCEPTED)
                if ours and self._coloured.get(layer) != wanted:
                    layer.colormap = label_colors(table, self.hidden)
                    self._coloured[layer] = wanted
        finally:
            self.muted = False

    def _hold(self, scan: Image, held: Corrections) -> None:
        if len(held):
            self.corrections[scan] = held
        else:
            self.corrections.pop(scan, None)

    def _show(self, scan: Image, volume: Volume, labels: NDArray[Any], under: Under) -> Labels:
        layer = self.layer_of(volume)
        self.muted = True
        try:
            if layer is None:
                active = self._viewer.layers.selection.active
                layer = add_labels(
                    self._viewer, volume, labels, self._free(_title(scan)), opacity=_OPACITY
                )
                layer.metadata[METADATA_KEY][ROLE] = RESULT
                if active is not None:
                    self._viewer.layers.selection.active = active
            else:
                set_labels(layer, labels)
                _forget_strokes(layer)
        finally:
            self.muted = False
        self._painted[layer] = Painted(labels_array(layer).copy(), under)
        return layer

    def _leave(self, scans: Iterable[tuple[Image, Volume]]) -> None:
        """Keep what the layers of the present finetuning hold."""
        shown = self._history.present
        if shown is None:
            return
        shown.left.clear()
        for scan, volume in scans:
            self.harvest(scan, volume)
            layer = self.layer_of(volume)
            if layer is not None:
                under = self._painted[layer].under
                shown.left[scan] = (Packed.of(labels_array(layer)), under)

    def _step(self, step: Any, scans: list[tuple[Image, Volume]]) -> bool:
        self._leave(scans)
        step()
        shown = self._history.present
        for scan, volume in scans:
            kept = shown.left.get(scan) if shown is not None else None
            layer = self.layer_of(volume)
            if kept is not None:
                self._restore(scan, volume, *kept)
            elif layer is not None:
                self._viewer.layers.remove(layer)
        return True

    def _restore(self, scan: Image, volume: Volume, packed: Packed, under: Under) -> None:
        labels = packed.labels()
        held = self.corrections.get(scan, Corrections())
        # Corrections that were forgotten meanwhile are not shown again as if learned.
        under.own.but(held.voxels).put(labels)
        self._show(scan, volume, labels, Under(under.own.only(held.voxels), under.earlier))

    def _free(self, wanted: str) -> str:
        taken = {layer.name for layer in self._viewer.layers}
        number, name = 2, wanted
        while name in taken:
            name, number = f"{wanted} {number}", number + 1
        return name


def _forget_strokes(layer: Labels) -> None:
    """Empty a layer's own undo: old strokes would be put back into labels of another network."""
    editable, mode = layer.editable, layer.mode
    layer.editable = False
    layer.editable = editable
    if editable:
        layer.mode = mode


def _title(scan: Image) -> str:
    return f"finetuned: {scan.name}"
