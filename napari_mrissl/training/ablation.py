"""Several runs that differ in a few settings, trained one after the other, as one table."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from napari_mrissl.errors import MrisslError
from napari_mrissl.pretext.info import TaskInfo
from napari_mrissl.training.measuring import Worth, held_out_worth
from napari_mrissl.training.run import Run
from napari_mrissl.training.settings import RunSettings
from napari_mrissl.training.states import RunState
from napari_mrissl.volumes.atomic import write_text

Train = Callable[[Run], RunState]
Tell = Callable[[str], object]

TABLE = "ablation.csv"
TABLE_FOR_PEOPLE = "ablation.md"


@dataclass(frozen=True)
class Arm:
    """One finished run of an ablation.

    Attributes
    ----------
    name
        Of the arm.
    steps
        Taken; the same for all arms.
    terms
        On held-out subjects.
    """

    name: str
    steps: int
    terms: Mapping[str, Worth]


class Stopped(MrisslError):
    """An arm was stopped or failed before its last step; the same command goes on with it."""


def ablate(
    folder: Path,
    arms: Mapping[str, RunSettings],
    registry: Mapping[str, TaskInfo],
    train: Train,
    *,
    samples: int = 512,
    tell: Tell = lambda text: None,
) -> list[Arm]:
    """Train and measure each arm; what is finished is not done again.

    Parameters
    ----------
    folder
        New, or of an earlier call with the same arms. Each arm is a run in it, and the
        tables ``ablation.csv`` and ``ablation.md`` are written after each arm.
    arms
        Settings by name.
    registry
        The methods there are.
    train
        Trains a run until it is finished or stopped.
    samples
        Held-out samples that each arm is measured on: the same for arms with the same crops.
    tell
        Is told what happens.

    Raises
    ------
    Stopped
        If an arm does not reach its last step.
    MrisslError
        If the folder holds other arms, or no subject is held out.
    """
    from napari_mrissl.training.data import cohort

    done: list[Arm] = []
    notes = notes_on(arms)
    for note in notes:
        tell(note)
    for settings in arms.values():
        # Training may take days.
        cohort.held_out_subjects(settings)
    folder.mkdir(parents=True, exist_ok=True)
    for name, settings in arms.items():
        run = _opened(folder / name, settings)
        if run.state().name != "finished":
            tell(f"{name}: step {run.state().step} of {settings.optimisation.steps}")
            state = train(run)
            if state.name != "finished":
                raise Stopped(
                    f"{name} is {state.name} at step {state.step} of {state.steps}",
                    where=folder,
                    remedy="the same command goes on from there",
                )
        held_out = cohort.held_out_subjects(settings)
        tell(f"{name}: measured on {samples} samples of {len(held_out)} held-out scans")
        worth = held_out_worth(run, registry, held_out, samples, settings.seed)
        done.append(Arm(name, settings.optimisation.steps, worth))
        write_tables(folder, done, notes)
    return done


def notes_on(arms: Mapping[str, RunSettings]) -> tuple[str, ...]:
    """What readers of the tables should know of the held-out subjects of these arms."""
    from napari_mrissl.training.data.engine_subjects import remarks_on

    said = [note for settings in arms.values() for note in remarks_on(settings.data)]
    return tuple(dict.fromkeys(said))


def write_tables(folder: Path, arms: list[Arm], notes: Sequence[str] = ()) -> None:
    """Write the arms as CSV, a line per term, and as a table in Markdown, a line per arm.

    Parameters
    ----------
    folder
        That is there.
    arms
        Those that are done.
    notes
        Said under the table in Markdown, see `notes_on`.
    """
    text = io.StringIO(newline="")
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(["arm", "steps", "term", "held_out", "chance", "below_chance"])
    for arm in arms:
        for term, worth in arm.terms.items():
            numbers = (worth.value, worth.chance, worth.below_chance)
            lines.writerow([arm.name, arm.steps, term, *map(_exact, numbers)])
    write_text(folder / TABLE, text.getvalue())
    write_text(folder / TABLE_FOR_PEOPLE, markdown(arms, notes))


def markdown(arms: list[Arm], notes: Sequence[str] = ()) -> str:
    """A table: held-out value of each term, and in brackets how far it is below chance; notes."""
    terms = list(dict.fromkeys(term for arm in arms for term in arm.terms))
    rows = [["arm", "steps", *terms], ["---"] * (2 + len(terms))]
    for arm in arms:
        cells = [_cell(arm.terms.get(term)) for term in terms]
        rows.append([arm.name, str(arm.steps), *cells])
    table = "\n".join("| " + " | ".join(row) + " |" for row in rows)
    text = (
        f"{table}\n\nErrors on held-out subjects; in brackets, against the best answer that "
        "learned nothing.\n"
    )
    return text + "".join(f"\nNote: {note}.\n" for note in notes)


def _opened(folder: Path, settings: RunSettings) -> Run:
    if not folder.exists():
        return Run.create(folder, settings)
    run = Run.open(folder)
    if run.settings != settings:
        raise MrisslError(
            f"{folder.name} is there with other settings",
            where=folder.parent,
            expected="the settings of this command",
            remedy="choose another folder",
        )
    return run


def _exact(number: float | None) -> str:
    return "" if number is None else f"{number:.6g}"


def _cell(worth: Worth | None) -> str:
    if worth is None:
        return ""
    below = worth.below_chance
    return f"{worth.value:.4f}" + ("" if below is None else f" ({-100 * below:+.0f} %)")
