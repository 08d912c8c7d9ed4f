"""What the user chose of the open scans: what each is for, and by which labels."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Literal

from napari_mrissl.segmentation.finetuning.task_settings import LabelClass
from napari_mrissl.segmentation.prompts import PromptClass
from napari_mrissl.ui.finetuning.naming import Named
from napari_mrissl.ui.finetuning.seen import ACCEPTED, LabelMap, ScanFacts
from napari_mrissl.ui.segmenter.presets import is_background
from napari_mrissl.ui.segmenter.prompt_layers import role_of

if TYPE_CHECKING:
    from napari.layers import Image, Labels

Use = Literal["none", "learn", "held out"]
USES: dict[Use, str] = {"none": "–", "learn": "learn", "held out": "held out"}

_PALETTE = 10


class Choices:
    """By scan layer; what was not chosen follows from what is labelled.

    Attributes
    ----------
    classes
        Names and colours that the user gave, by label.
    hidden
        Labels that are not shown in results.
    """

    def __init__(self) -> None:
        self._uses: weakref.WeakKeyDictionary[Image, Use] = weakref.WeakKeyDictionary()
        self._maps: weakref.WeakKeyDictionary[Image, weakref.ref[Labels] | None] = (
            weakref.WeakKeyDictionary()
        )
        self.classes: dict[int, LabelClass] = {}
        self.hidden: set[int] = set()

    def use(self, scan: ScanFacts, *, corrected: bool = False) -> Use:
        """What a scan is for."""
        if scan.volume is None:
            return "none"
        chosen = self._uses.get(scan.layer)
        if chosen is not None:
            return chosen
        known = corrected or scan.mark_counts or self.map_of(scan) is not None
        return "learn" if known else "none"

    def chosen_use(self, layer: Image) -> Use | None:
        """What the user chose that a scan is for, if anything."""
        return self._uses.get(layer)

    def set_use(self, layer: Image, use: Use) -> None:
        """The user chose what a scan is for."""
        self._uses[layer] = use

    def map_of(self, scan: ScanFacts) -> LabelMap | None:
        """The label layer of a scan: the chosen one, an accepted result, or the likely one."""
        if scan.layer in self._maps:
            held = self._maps[scan.layer]
            layer = held() if held is not None else None
            if held is None or scan.map_of(layer) is not None:
                return scan.map_of(layer)
        accepted = [one for one in scan.maps if role_of(one.layer) == (ACCEPTED, scan.volume)]
        if accepted:
            return accepted[-1]
        return scan.map_of(scan.likely)

    def set_map(self, layer: Image, labels: Labels | None) -> None:
        """The user chose a scan's label layer, or none."""
        self._maps[layer] = weakref.ref(labels) if labels is not None else None

    def forget_map(self, layer: Image) -> None:
        """No choice of a scan's label layer: it follows from what there is."""
        self._maps.pop(layer, None)

    def named(self, scans: Iterable[ScanFacts]) -> Iterator[Named]:
        """What classes are called where they are labelled, background left out."""
        for scan in scans:
            chosen = self.map_of(scan)
            if chosen is not None:
                there = {
                    n: name for n, name in chosen.names.items() if n > 0 and n in chosen.counts
                }
                yield Named(chosen.layer.name, there)
            marked = {
                one.label: one.name
                for one in scan.marks.classes
                if one.label in scan.mark_counts and not is_background(one)
            }
            yield Named(f"marks of {scan.name}", marked)

    def class_table(
        self, scans: Sequence[ScanFacts], labels: Iterable[int] = ()
    ) -> tuple[LabelClass, ...]:
        """All classes of the scans but background, by label, with names and colours.

        Parameters
        ----------
        scans
            Of which marks and chosen label layers count.
        labels
            That are there beside, e.g. those of a result.
        """
        found: dict[int, LabelClass] = {label: _plain(label) for label in labels if label > 0}
        for scan in scans:
            chosen = self.map_of(scan)
            if chosen is not None:
                for label in chosen.counts:
                    name = chosen.names.get(label)
                    if label > 0 and (label not in found or name):
                        found[label] = _plain(label, name)
        for scan in scans:
            for one in scan.marks.classes:
                # Colours of clicks hold for their results as well.
                if not is_background(one):
                    found[one.label] = LabelClass(label=one.label, name=one.name, color=one.color)
        found |= {label: one for label, one in self.classes.items() if label in found}
        return tuple(found[label] for label in sorted(found))


def _plain(label: int, name: str | None = None) -> LabelClass:
    color = PromptClass.default((label - 1) % _PALETTE + 1).color
    return LabelClass(label=min(label, 65535), name=name or f"class {label}", color=color)
