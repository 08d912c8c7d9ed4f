"""Painted heads and label ensembles as subjects of a run, each made once and kept.

Label maps are split, not heads: what is painted for validation comes from maps (or shapes)
that no training sample was painted from.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache, partial
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ValidationError

from napari_mrissl.errors import MrisslError
from napari_mrissl.pretext.subjects import Scan
from napari_mrissl.synthesis import Engine, EngineSettings, Templates
from napari_mrissl.synthesis.head_templates import (
    HeadTemplate,
    Subject,
    cubic_affine,
    cubic_volume,
    head_template,
    subjects_of_mni152,
)
from napari_mrissl.synthesis.heads import Heads, HeadSettings
from napari_mrissl.synthesis.settings import AppearanceSettings, AugmentationSettings
from napari_mrissl.training.data.cache import GIB, DecodedCache
from napari_mrissl.training.data.places import check_known, read_known
from napari_mrissl.training.data.preprocessing import limits
from napari_mrissl.training.data.spill import mapped, spill
from napari_mrissl.training.settings import DataSettings, Preprocessing, SubjectRecord
from napari_mrissl.volumes import Volume

Part = Literal["train", "validation"]

_HELD_OUT = 0.25
_EVERY_FOURTH = 4

M = TypeVar("M", bound=BaseModel)

Painted = tuple[Volume, NDArray[np.integer], str]
"""Image, labels and subject."""

Look = tuple[AppearanceSettings, AugmentationSettings]
"""How label maps are to be painted."""


class PaintedSubjects:
    """Scans of the data engine: number k is the same for the same settings and seed.

    They are kept as 8-bit voxels with their labels, within the run's cache; those that do
    not fit are kept on disk, see `spill`.

    Parameters
    ----------
    count
        How many there are.
    paint
        Makes image (S, A, R) uint8, labels, affine and subject of one number.
    settings
        Of the run's data.
    look
        How the engine paints, for methods that paint these label maps anew.
    """

    def __init__(
        self,
        count: int,
        paint: Callable[[int], Painted],
        settings: DataSettings,
        look: Look,
    ) -> None:
        self.look = look
        self._count = count
        self._paint = paint
        self._preprocessing = settings.preprocessing
        # Training and validation together stay within the run's cache.
        share = count / (settings.heads + _validation_count(settings))
        self._cache = DecodedCache(int(share * settings.cache_gib * GIB), self._leave)
        self._painted: dict[int, tuple[str, str]] = {}
        self._labels_on_disk: dict[str, str] = {}
        # The painter's kernels already use all cores, and templates are read once.
        self._one_at_a_time = threading.Lock()

    def __len__(self) -> int:
        return self._count

    def scan(self, number: int) -> Scan:
        """See `Subjects.scan`."""
        number = range(self._count)[number]
        return self._cache.get(number, partial(self._made, number))

    def _made(self, number: int) -> Scan:
        volume, labels, subject = self._mapped(number) or self._new(number)
        low, high = limits(volume, self._preprocessing)
        return Scan(volume, low, high, subject, volume.identity, labels)

    def _new(self, number: int) -> Painted:
        with self._one_at_a_time:
            volume, labels, subject = self._paint(number)
        self._painted[number] = volume.identity, subject
        return volume, labels, subject

    def _mapped(self, number: int) -> Painted | None:
        identity, subject = self._painted.get(number, ("", ""))
        of_labels = self._labels_on_disk.get(identity)
        if of_labels is None:
            return None
        volume, labels = mapped(identity), mapped(of_labels)
        return None if volume is None or labels is None else (volume, labels.data, subject)

    def _leave(self, scan: Scan) -> None:
        assert scan.labels is not None  # noqa: S101 - all painted scans have them
        labels = replace(scan.volume, data=scan.labels)
        if spill(scan.volume) and spill(labels):
            self._labels_on_disk[scan.identity] = labels.identity


class EnsembleSubjects(PaintedSubjects):
    """Label ensembles of the data engine: some that are kept, and new ones without end.

    Parameters
    ----------
    engine
        With the shapes of one part of a run.
    count, first, settings
        How many are kept, the engine's index of the first of them, and of the run's data.
    """

    def __init__(self, engine: Engine, count: int, first: int, settings: DataSettings) -> None:
        affine = cubic_affine(np.zeros(3), engine.side, 1.0)

        def paint(number: int) -> Painted:
            pair = engine.pair(first + number)
            name = f"ensemble-{first + number + 1:05d}"
            return cubic_volume(pair.views_as_bytes()[0], affine, name), pair.labels, name

        look = engine.settings.appearance, engine.settings.augmentation
        super().__init__(count, paint, settings, look)
        self._engine = engine

    def fresh(self, index: int) -> NDArray[np.uint8]:
        """The labels (S, S, S) of the engine's pair of any index; they are not kept."""
        return self._engine.labels(index)


def painted_subjects(settings: DataSettings, seed: int, part: Part) -> PaintedSubjects:
    """The painted heads or ensembles of a part of a run.

    For validation there is one for every four that are trained on.

    Raises
    ------
    MrisslError
        If the settings are not those of the engine, or a label map is not on this machine.
    """
    _check_percentiles(settings.preprocessing)
    count = settings.heads if part == "train" else _validation_count(settings)
    if settings.kind == "ensembles":
        # Training and validation draw from different shapes and different numbers.
        first = 0 if part == "train" else settings.heads
        return EnsembleSubjects(_engine(settings, seed, part), count, first, settings)
    of_heads = validated(HeadSettings, settings.engine)
    look = of_heads.appearance, of_heads.augmentation
    return PaintedSubjects(count, _heads(settings, of_heads, seed, part), settings, look)


def remarks_on(settings: DataSettings) -> tuple[str, ...]:
    """What whoever reads a run's values on held-out subjects should know of them."""
    if settings.kind != "heads" or settings.subjects:
        return ()
    return ("heads for validation have the same MNI152 anatomy as those for training",)


def painted_bytes(settings: DataSettings) -> int:
    """Memory that all painted scans of a run take, should the cache hold them all."""
    side = (
        validated(HeadSettings, settings.engine).side
        if settings.kind == "heads"
        else engine_settings(settings.engine).ensemble.side
    )
    label_bytes = 2 if settings.kind == "heads" else 1
    count = settings.heads + _validation_count(settings)
    return int(count * side**3 * (1 + label_bytes))


def _validation_count(settings: DataSettings) -> int:
    return -(-settings.heads // _EVERY_FOURTH)


def validated(model: type[M], values: dict[str, Any]) -> M:
    """Settings of the engine out of a run's settings.

    Raises
    ------
    MrisslError
        If a value is refused; says which.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise MrisslError(f"{field}: {first['msg']}", where="data engine") from error


def engine_settings(values: dict[str, Any]) -> EngineSettings:
    """Settings of label ensembles; ``{"side": 64}``, as presets have it for heads, will do.

    Raises
    ------
    MrisslError
        If a value is refused; says which.
    """
    if "side" in values:
        ensemble = {"side": values["side"], **values.get("ensemble", {})}
        values = {k: v for k, v in values.items() if k != "side"} | {"ensemble": ensemble}
    return validated(EngineSettings, values)


def _check_percentiles(preprocessing: Preprocessing) -> None:
    if preprocessing.kind != "percentile":
        raise MrisslError(
            "an intensity window in HU for painted scans",
            expected="percentiles",
            remedy="painted scans have no HU",
        )


def _heads(
    settings: DataSettings, of_heads: HeadSettings, seed: int, part: Part
) -> Callable[[int], Painted]:
    subjects = _head_subjects(settings.subjects)
    heads = Heads(subjects, of_heads, seed, "train" if part == "train" else "test")

    def paint(number: int) -> Painted:
        # A validation head shares no drawn shape, contrast or noise with a training head.
        head = heads.head(number if part == "train" else settings.heads + number)
        data = head.image_as_bytes()
        data.flags.writeable = False
        return replace(head.image, data=data), head.labels, head.subject

    return paint


def _head_subjects(records: Sequence[SubjectRecord]) -> list[Subject]:
    if not records:
        return subjects_of_mni152()

    return [_head_subject(record) for record in records]


def _head_subject(record: SubjectRecord) -> Subject:
    check_known(record.identity, record.subject)
    split: Literal["train", "test"] = "train" if record.split == "train" else "test"

    @cache
    def load() -> HeadTemplate:
        return head_template(read_known(record.identity, record.subject), record.subject, split)

    return Subject(record.subject, split, load)


def _engine(settings: DataSettings, seed: int, part: Part) -> Engine:
    of_engine = engine_settings(settings.engine)
    pool = (
        _part_of(procedural_shapes(), part)
        if not settings.subjects
        else _read_pool(settings.subjects, part)
    )
    return Engine(pool, of_engine, seed)


@cache
def procedural_shapes() -> Templates:
    """The shapes that runs without label maps are made of; made once, for both parts."""
    return Templates.procedural()


def _part_of(pool: Templates, part: Part) -> Templates:
    """The first three quarters for training; kinds take turns, so both parts have all."""
    first_held_out = len(pool) - max(1, round(_HELD_OUT * len(pool)))
    chosen = slice(0, first_held_out) if part == "train" else slice(first_held_out, None)
    return Templates(pool.bits, pool.starts[chosen], pool.extents[chosen])


def _read_pool(records: Sequence[SubjectRecord], part: Part) -> Templates:
    chosen = [record for record in records if record.split == part]
    if not chosen:
        raise MrisslError(f"no label map for {part}", remedy="give more label maps")
    for record in chosen:
        check_known(record.identity, record.subject)
    volumes = (read_known(record.identity, record.subject) for record in chosen)
    return Templates.from_arrays(
        (volume.slope * volume.data + volume.intercept, volume.spacing.tolist())
        if (volume.slope, volume.intercept) != (1.0, 0.0)
        else (volume.data, volume.spacing.tolist())
        for volume in volumes
    )
