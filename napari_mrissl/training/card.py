"""What is said of a run's weights: a card in their file, and the same for people in Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_mrissl.errors import MrisslError, printable
from napari_mrissl.training import initial, whereabouts
from napari_mrissl.training.layout import CARD, SETTINGS
from napari_mrissl.volumes.atomic import write_text

if TYPE_CHECKING:
    from napari_mrissl.training.run import Run
    from napari_mrissl.training.settings import RunSettings

SEEN, SEEN_AT_LEAST = "seen", "seen_at_least"
"""In a card: all scans that weights saw, or only those that are known of."""

_IDENTITY = re.compile(r"[0-9a-f]{64}")
_UUID = re.compile(r"[0-9a-f]{32}")


def weights_card(run_folder: Path, step: int) -> dict[str, Any]:
    """The card that goes into the weights of a step; nothing but the step outside a run."""
    from napari_mrissl.training.run import Run

    if not (run_folder / SETTINGS).exists():
        return {"step": step}
    run = Run.open(run_folder)
    settings = run.settings
    return {
        "step": step,
        "method": settings.method,
        "task": settings.task,
        "preprocessing": settings.data.preprocessing.model_dump(mode="json"),
        "data": settings.data.kind,
        "subjects": subject_counts(settings),
        "seed": settings.seed,
        "shuffled": settings.shuffled,
        "initial": settings.initial,
        "run": run.identity.uuid,
        "software": run.identity.software,
    }


def seen(run: Run, deepest: int = 16) -> frozenset[str]:
    """Identities of all scans and label maps of a run, and of those its first weights were of.

    Parameters
    ----------
    run
        Its folder.
    deepest
        How many runs that began from each other are followed.

    Raises
    ------
    MrisslError
        If the weights that it starts from cannot be read.
    """
    records = run.settings.data.subjects
    own = {one for record in records for one in (record.identity, record.labels) if one}
    begun = initial.card_of(run)
    return frozenset(own) | (frozenset() if begun is None else seen_by(begun, deepest))


def seen_by(card: Mapping[str, Any], deepest: int = 16) -> frozenset[str]:
    """Identities that weights saw: those their card lists, and those of their run if it is here.

    The card of a run's weights names no scan; this machine knows where the run lies.
    """
    data = card.get("data")
    listed = [data.get("subjects") if isinstance(data, Mapping) else None]
    listed += [card.get(SEEN), card.get(SEEN_AT_LEAST)]
    found = {
        text
        for one in listed
        if isinstance(one, list)
        for text in one
        if isinstance(text, str) and _IDENTITY.fullmatch(text)
    }
    run = run_of(card) if deepest else None
    return frozenset(found) | (frozenset() if run is None else seen(run, deepest - 1))


def seen_in(place: Path) -> frozenset[str]:
    """As `seen` of a run's folder, or of a file of weights: those its card lists, and its run's.

    Raises
    ------
    MrisslError
        If the run's settings, or the weights, cannot be read.
    """
    from napari_mrissl.networks.weights import read_card

    run = _run_at(place)
    listed = seen_by(read_card(place)) if place.is_file() else frozenset()
    return listed | (frozenset() if run is None else seen(run))


def _run_at(place: Path) -> Run | None:
    """The run of a folder, or of a file in one."""
    from napari_mrissl.training.run import Run

    if place.is_dir():
        return Run.open(place)
    return run_above(place) if place.is_file() else None


def run_above(file: Path) -> Run | None:
    """The run whose weights, or those of one of its checkpoints, a file is.

    Raises
    ------
    MrisslError
        If the run's settings cannot be read.
    """
    from napari_mrissl.training.run import Run

    above = [one for one in list(file.absolute().parents)[:3] if (one / SETTINGS).is_file()]
    return Run.open(above[0]) if above else None


def says(card: Mapping[str, Any], deepest: int = 16) -> bool:
    """Whether a card lists all scans that weights saw, if only that there were none.

    That of a run's weights names no scan; it says as much where this machine knows the run and
    what that began from, or where an engine drew all that it saw.
    """
    data = card.get("data")
    listed = isinstance(data, Mapping) and isinstance(data.get("subjects"), list)
    if (
        listed
        or isinstance(card.get(SEEN), list)
        or (data == "ensembles" and card.get("initial") is None)
    ):
        return True
    run = run_of(card) if deepest else None
    return run is not None and tells(run, deepest - 1)


def tells(run: Run, deepest: int = 16) -> bool:
    """Whether all is known that a run saw: also what its first weights were trained on.

    Raises
    ------
    MrisslError
        If the weights that it starts from cannot be read.
    """
    begun = initial.card_of(run)
    return run.settings.initial is None if begun is None else says(begun, deepest)


def says_in(place: Path) -> bool:
    """As `tells` of a run's folder or a file in it, as `says` of another file of weights.

    Raises
    ------
    MrisslError
        If the run's settings, or the weights, cannot be read.
    """
    from napari_mrissl.networks.weights import read_card

    run = _run_at(place)
    if run is not None:
        return tells(run)
    return not place.is_file() or says(read_card(place))  # What is not there saw nothing.


def run_of(card: Mapping[str, Any]) -> Run | None:
    """The run whose weights carry this card, where this machine knows it and it is there."""
    from napari_mrissl.training.run import Run

    uuid = card.get("run")
    known = None
    if isinstance(uuid, str) and _UUID.fullmatch(uuid):
        known = whereabouts.recall(uuid)
    if known is None:
        return None
    try:
        run = Run.open(known.path)
    except MrisslError:
        return None  # Moved or removed; what its card lists is all that is known.
    return run if run.identity.uuid == uuid else None


def subject_counts(settings: RunSettings) -> dict[str, int]:
    """How many different subjects and scans a run trains on and holds out."""
    records = settings.data.subjects
    counts = {}
    for split in ("train", "validation"):
        of_split = [record for record in records if record.split == split]
        counts[f"{split} subjects"] = len({record.subject for record in of_split})
        counts[f"{split} scans"] = len(of_split)
    return counts


def write(run: Run) -> None:
    """Write ``model_card.md`` of a run as it is now.

    Raises
    ------
    MrisslError
        If the disk refuses, or the events cannot be read.
    """
    write_text(run.folder / CARD, "\n".join(_lines(run)) + "\n")


def _lines(run: Run) -> Iterator[str]:
    from napari_mrissl.training.summaries import summary

    settings, facts = run.settings, summary(run)
    yield f"# Model card: {_plain(settings.method)}"
    yield ""
    labelled = any(record.labels is not None for record in settings.data.subjects)
    how = "trained on labelled scans" if labelled else "pretrained without manual labels"
    yield (
        f"Weights of a network for 3D medical images, {how}. For "
        "research; not a medical device. They were measured only as far as this card says."
    )
    yield from _section("Training")
    yield from _items(
        {
            "Method": settings.method,
            "Steps done": f"{facts['step']} of {facts['steps']}",
            "Seed": settings.seed,
            "Precision": settings.optimisation.precision,
            "Batch": settings.optimisation.batch,
            "Started from": settings.initial or "new weights",
            "Targets shuffled (null control)": "yes" if settings.shuffled else "no",
            "Created": run.identity.created,
            "Run": run.identity.uuid,
        }
    )
    yield from _section("Data")
    preparation = settings.data.preprocessing
    kinds = {"scans": "scans", "heads": "painted heads", "ensembles": "label ensembles"}
    yield from _items(
        {
            "Kind": kinds[settings.data.kind],
            **{name.capitalize(): n for name, n in subject_counts(settings).items()},
            "Intensities": f"{preparation.kind} {preparation.low:g} to {preparation.high:g}",
        }
    )
    if settings.data.subjects:
        yield from ["", "Scans by the sha256 of their voxels and geometry:", ""]
        for record in settings.data.subjects:
            yield f"- {_plain(record.subject)} ({record.split}): `{record.identity}`"
    yield from _section("Loss terms")
    if facts["terms"]:
        yield "| term | last | best | chance | held out, last | held out, best |"
        yield "|---|---|---|---|---|---|"
        for name, term in facts["terms"].items():
            values = ("last", "best", "chance", "validation_last", "validation_best")
            cells = " | ".join(_value(term[value]) for value in values)
            yield f"| {_plain(name)} | {cells} |"
    else:
        yield "None yet."
    yield from _section("Software and machine")
    yield from _items({**run.identity.software, **run.identity.environment})
    if facts["warnings"]:
        yield from _section("Warnings")
        yield from (f"- {_plain(text)}" for text in facts["warnings"])
    if run.identity.notes:
        yield from _section("Notes")
        yield from (f"- {_plain(note)}" for note in run.identity.notes)


def _section(title: str) -> Iterator[str]:
    yield from ("", f"## {title}", "")


def _items(values: Mapping[str, object]) -> Iterator[str]:
    for name, value in values.items():
        yield f"- {_plain(name)}: {_plain(str(value))}"


def _value(value: float | None) -> str:
    return "" if value is None else f"{value:.5g}"


def _plain(text: str) -> str:
    """Text that Markdown shows as it is: it may come from a file of somebody else."""
    return re.sub(r"([\\`*\[\]<>|#!])", r"\\\1", printable(text))
