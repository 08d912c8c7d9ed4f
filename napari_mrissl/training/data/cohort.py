"""The scans of a run: split by subject, copies found, overlap refused."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from napari_mrissl.errors import MrisslError
from napari_mrissl.pretext.subjects import Subjects
from napari_mrissl.training.data.facts import Facts, facts_of
from napari_mrissl.training.data.groups import grouped, held_out
from napari_mrissl.training.data.places import note_place
from napari_mrissl.training.data.preprocessing import CT_WINDOW
from napari_mrissl.training.data.sources import Entry, Part, as_part, find
from napari_mrissl.training.settings import (
    DataSettings,
    Preprocessing,
    RunSettings,
    SubjectRecord,
)

VALIDATION_SHARE = 0.2
"""Of the subjects, unless the data say who is for validation."""

_READERS = 2
_NAMED_IN_MESSAGE = 3

Progress = Callable[[float], object]
Paths = Iterable[str | Path]


@dataclass(frozen=True)
class Cohort:
    """Scans for a run; it holds no path, but this machine now knows where each lies.

    Attributes
    ----------
    records
        One for each different scan, in the order given.
    facts
        What is known of each.
    duplicates
        Pairs (copy, original) of file names, for people; copies are left out.
    notes
        Sentences the user should see before the start; they may hold names of files, so they
        go to the screen only.
    remarks
        The same for a run's folder: counts, and no name.
    packs
        Those that hold any of the scans, by uuid.
    """

    records: tuple[SubjectRecord, ...]
    facts: tuple[Facts, ...]
    duplicates: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    packs: tuple[str, ...] = ()

    @property
    def cache_bytes(self) -> int:
        """Memory that all decoded scans take together."""
        return sum(facts.nbytes for facts in self.facts)

    @property
    def subject_count(self) -> dict[str, int]:
        """How many subjects there are for training and for validation."""
        return {
            split: len({record.subject for record in self.records if record.split == split})
            for split in ("train", "validation")
        }

    @property
    def preprocessing(self) -> Preprocessing:
        """What fits these scans: a window in HU if all are CT, else percentiles."""
        return CT_WINDOW if all(facts.ct for facts in self.facts) else Preprocessing()

    def settings(
        self,
        preprocessing: Preprocessing | None = None,
        cache_gib: float | None = None,
        workers: int | None = None,
    ) -> DataSettings:
        """Settings of a run on these scans; what is left out is what fits or the default."""
        chosen: dict[str, Any] = {"cache_gib": cache_gib, "workers": workers}
        # Fields that are left out stay unset, so that a preset's values can take their place.
        return DataSettings(
            kind="scans",
            subjects=self.records,
            packs=self.packs,
            preprocessing=preprocessing or self.preprocessing,
            **{name: value for name, value in chosen.items() if value is not None},
        )


def load(
    paths: Paths,
    *,
    validation: Paths | None = None,
    exclude: Paths = (),
    share: float = VALIDATION_SHARE,
    seed: int = 0,
    progress: Progress | None = None,
) -> Cohort:
    """Read what scans there are, split them by subject, and note where they lie.

    Parameters
    ----------
    paths
        See `sources.find`.
    validation
        Scans of other subjects to measure on; without it a share of the subjects is held
        out, unless a table says who.
    exclude
        Scans that must be in no part of the run, e.g. those of a later test.
    share
        Of the subjects, for validation.
    seed
        Of the split.
    progress
        Called with the fraction of scans read; what it raises ends the reading.

    Raises
    ------
    MrisslError
        If there are no scans, one that was named cannot be read, or a subject or a copy of
        a scan is in two parts, or in the run and among the excluded.
    """
    found = find(paths, packs=True)
    entries = list(found.entries)
    if validation is not None:
        entries = [entry if entry.part else as_part([entry], "train")[0] for entry in entries]
        entries += as_part(find(validation, packs=True).entries, "validation")
    excluded = as_part(find(exclude, packs=True).entries, "test") if exclude else []
    known, refused = _read([*entries, *excluded], progress)
    made = _cohort(known, share, seed)
    named = [f"left out: {sentence}" for sentence in refused[:_NAMED_IN_MESSAGE]]
    if len(refused) > _NAMED_IN_MESSAGE:
        named.append(f"more files that could not be read: {len(refused) - _NAMED_IN_MESSAGE}")
    counted = [f"files that could not be read: {len(refused)}"] if refused else []
    if found.label_maps:
        left_out = f"files named as label maps, left out: {found.label_maps}"
        named.append(left_out)
        counted.append(left_out)
    return replace(made, notes=(*named, *made.notes), remarks=(*counted, *made.remarks))


def subjects(settings: RunSettings, split: Part) -> Subjects | None:
    """The scans of one part of a run, from this machine's places or from the engine.

    None where nothing is for validation.

    Raises
    ------
    MrisslError
        If nothing is for training, or a scan is not known on this machine.
    """
    if split == "test":
        raise MrisslError("no part of a run is called test", expected="train or validation")
    data = settings.data
    if data.kind != "scans":
        from napari_mrissl.training.data.engine_subjects import painted_subjects

        return painted_subjects(data, settings.seed, split)
    from napari_mrissl.training.data.scans import ScanSubjects

    records = [record for record in data.subjects if record.split == split]
    if not records:
        if split == "train":
            raise MrisslError("no scan is for training", where="data")
        return None
    # Both parts together stay within the run's cache.
    return ScanSubjects(records, data, share=len(records) / len(data.subjects))


def held_out_subjects(settings: RunSettings) -> Subjects:
    """The scans that a run is measured on.

    Raises
    ------
    MrisslError
        If there are none, or `subjects` refuses either part.
    """
    subjects(settings, "train")
    found = subjects(settings, "validation")
    if found is None:
        raise MrisslError("no subject is held out", where="data", expected="two or more")
    return found


def _read(
    entries: Sequence[Entry], progress: Progress | None
) -> tuple[list[tuple[Entry, Facts]], list[str]]:
    """Facts of all scans, and complaints about those found by searching that cannot be read."""

    def facts(entry: Entry) -> Facts | MrisslError:
        try:
            return entry.packed.facts if entry.packed else facts_of(entry.path)
        except MrisslError as error:
            if entry.named:
                raise
            return error

    known: list[tuple[Entry, Facts]] = []
    refused: list[str] = []
    with ThreadPoolExecutor(_READERS, "reading scans") as pool:
        try:
            for number, (entry, result) in enumerate(
                zip(entries, pool.map(facts, entries), strict=True)
            ):
                if isinstance(result, MrisslError):
                    refused.append(str(result))
                else:
                    known.append((entry, result))
                if progress is not None:
                    progress((number + 1) / len(entries))
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    return known, refused


def _cohort(known: Sequence[tuple[Entry, Facts]], share: float, seed: int) -> Cohort:
    groups = grouped([(entry.person, facts.values, facts.identity) for entry, facts in known])
    parts = _parts(known, groups, share, seed)
    originals: dict[str, Entry] = {}
    duplicates: list[tuple[str, str]] = []
    kept: list[tuple[int, Entry, Facts]] = []
    for group, (entry, facts) in zip(groups, known, strict=True):
        if parts[group] == "test":
            continue
        original = originals.setdefault(facts.values, entry)
        if original is entry:
            kept.append((group, entry, facts))
        else:
            duplicates.append((entry.path.name, original.path.name))
    if not any(parts[group] == "train" for group, _, _ in kept):
        raise MrisslError("no scan is for training", where="data", remedy="give more scans")
    names: dict[int, str] = {}
    records = []
    for group, entry, facts in kept:
        name = names.setdefault(group, f"subject-{len(names) + 1:03d}")
        if entry.packed is None:
            note_place(facts.identity, entry.path)
        split: Literal["train", "validation"] = (
            "validation" if parts[group] == "validation" else "train"
        )
        labels = _labels(entry, facts)
        records.append(
            SubjectRecord(identity=facts.identity, subject=name, split=split, labels=labels)
        )
    chosen = tuple(facts for _, _, facts in kept)
    remarks = _remarks(chosen)
    if not any(record.split == "validation" for record in records):
        remarks.append("there is one subject only, so nothing is held out for validation")
    notes = list(remarks)
    if duplicates:
        copies = f"copies, left out: {len(duplicates)}"
        copy, original_name = duplicates[0]
        notes.insert(0, f"{copies}, e.g. {copy} of {original_name}")
        remarks.insert(0, copies)
    packs = dict.fromkeys(entry.packed.pack for _, entry, _ in kept if entry.packed)
    return Cohort(
        tuple(records), chosen, tuple(duplicates), tuple(notes), tuple(remarks), tuple(packs)
    )


def _remarks(chosen: Sequence[Facts]) -> list[str]:
    """What the user should know of these scans as a whole."""
    of_ct = sum(facts.ct for facts in chosen)
    several = sum(facts.frames > 1 for facts in chosen)
    disputed = sum(facts.disputed for facts in chosen)
    remarks = {
        f"scans that look like CT: {of_ct} of {len(chosen)}": 0 < of_ct < len(chosen),
        (
            f"all scans look like CT: the window {CT_WINDOW.low:g} to {CT_WINDOW.high:g} HU is "
            "used, unless another intensity scale than the default is chosen"
        ): of_ct == len(chosen),
        f"files with several volumes, of which the first is taken: {several}": several,
        f"scans that other programs put elsewhere in space: {disputed}": disputed,
    }
    return [sentence for sentence, holds in remarks.items() if holds]


def _parts(
    known: Sequence[tuple[Entry, Facts]], groups: Sequence[int], share: float, seed: int
) -> dict[int, Part]:
    """The part of each group; refuses groups that are in two."""
    said: dict[int, dict[Part, Entry]] = {group: {} for group in groups}
    members: dict[int, list[Entry]] = {group: [] for group in groups}
    identities: dict[int, str] = {}
    for group, (entry, facts) in zip(groups, known, strict=True):
        identities[group] = min(facts.values, identities.get(group, facts.values))
        members[group].append(entry)
        if entry.part:
            said[group].setdefault(entry.part, entry)
    # Scans that are to be excluded take no part, and leave the split to the others.
    inside = [group for group, own in said.items() if "test" not in own]
    named = any(own.keys() & {"train", "validation"} for own in said.values())
    chosen = set() if named else held_out([identities[group] for group in inside], share, seed)
    parts: dict[int, Part] = {
        group: "validation" if number in chosen else "train" for number, group in enumerate(inside)
    }
    for group, own in said.items():
        _check_one_part(own, members[group])
        if own:
            parts[group] = next(iter(own))
    return parts


def _check_one_part(own: dict[Part, Entry], entries: Sequence[Entry]) -> None:
    undecided = [entry for entry in entries if entry.part is None]
    if "test" in own and undecided:
        own = {**own, "train": undecided[0]}
    if len(own) < 2:
        return
    (first, one), (second, other) = list(own.items())[:2]
    words = {"test": "excluded"}
    raise MrisslError(
        f"{one.path.name} ({words.get(first, first)}) and {other.path.name} "
        f"({words.get(second, second)}) are of the same subject, or copies of one scan",
        where="data",
        expected="every subject in one part only",
        remedy="take one of them out",
    )


def _labels(entry: Entry, facts: Facts) -> str | None:
    if entry.packed is not None:
        return entry.packed.labels
    if entry.labels is None:
        return None
    labels = facts_of(entry.labels)
    if labels.shape != facts.shape:
        raise MrisslError(
            f"labels of {labels.shape} voxels",
            where=entry.labels,
            expected=f"{facts.shape} as {entry.path.name}",
        )
    note_place(labels.identity, entry.labels)
    return labels.identity
