"""A folder of predictions, measured: tables for publication, and the numbers of each subject."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_mrissl import __version__
from napari_mrissl.errors import MrisslError
from napari_mrissl.evaluation import score_tables
from napari_mrissl.evaluation.cells import ABSOLUTE_ML, DICE, HD95, NSD, SIZE_ML, Cell, Made
from napari_mrissl.evaluation.score_rows import MEAN, Row, rows_of
from napari_mrissl.evaluation.segmentations import Scored
from napari_mrissl.metrics.surfaces import library
from napari_mrissl.volumes.atomic import write_text

OURS, OTHERS = "predicted", "compared with"
SUBJECTS = "subjects.csv"

_WORST = 3
_NAMED = 5
_UNTOLD = (
    "A network, or the weights it began from, does not say what it was trained on: it may know "
    "scans that are measured here."
)


@dataclass(frozen=True)
class Report:
    """What was measured, as rows of a table.

    Attributes
    ----------
    scored
        Subject by subject.
    rows
        Means with intervals, and differences where there is something to compare with.
    untold
        Whether networks may have seen scans that are measured, see `seen_scans.untold`.
    """

    scored: Scored
    rows: tuple[Row, ...]
    untold: bool = False

    def facts(self, *, names: bool = False) -> dict[str, Any]:
        """All numbers, JSON-ready, without the name of any file.

        Parameters
        ----------
        names
            Whether it says what the true label maps without a prediction are called.
        """
        alone = list(self.scored.without_prediction)
        means = {row.measure: row.mean for row in self.rows if _mean_of(row, OURS)}
        return {
            "software": f"napari-mrissl {__version__}",
            "surfaces": library(),
            "subjects": len(self.scored.subjects),
            "scans": len(self.scored.scans),
            "labels": list(self.scored.labels),
            "tolerance_mm": self.scored.tolerance_mm,
            "mean_dice": self.scored.mean_dice,
            "mean_hd95_mm": means[HD95],
            "mean_nsd": means[NSD],
            "mean_volume_difference_ml": means[SIZE_ML],
            "mean_absolute_volume_difference_ml": means[ABSOLUTE_ML],
            "empty_in_one": self.scored.one_sided(),
            "unpredicted": self.scored.unpredicted,
            **({"unpredicted_files": alone} if names else {}),
            "left_out_as_seen": self.scored.left_out,
            "training_unknown": self.untold,
            "labels_only_predicted": list(self.scored.foreign),
            "rows": [asdict(row) for row in self.rows],
            "scores": [asdict(score) for score in self.scored.scores],
        }

    def about(self) -> str:
        """What the numbers are of, for below a table."""
        return about(self.scored) + (f" {_UNTOLD}" if self.untold else "")

    def write(self, folder: str | Path, *, names: bool = False) -> None:
        """Write all tables into a folder, which is made.

        Parameters
        ----------
        folder
            New, or of an earlier report, which is replaced.
        names
            Whether the tables say what files are called, of subjects and of label maps without
            a prediction; results that are given to others should not.

        Raises
        ------
        MrisslError
            If the folder cannot be made or written.
        """
        out = Path(folder)
        try:
            out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise MrisslError(
                f"could not be made ({error.strerror or type(error).__name__})", where=out
            ) from error
        protocol = {k: v for k, v in self.facts(names=names).items() if k not in ("rows", "scores")}
        score_tables.write(out, self.rows, protocol, self.about())
        text = score_tables.as_csv(self.scored.scores)
        if names:
            head, *lines = text.splitlines()
            # A comma or a quote in a name would need quotes of its own.
            said = [self.scored.names[score.scan] for score in self.scored.scores]
            quoted = ['"' + name.replace('"', '""') + '"' for name in said]
            joined = [f"{line},{name}" for line, name in zip(lines, quoted, strict=True)]
            text = "\n".join([f"{head},file", *joined]) + "\n"
        write_text(out / SUBJECTS, text)

    def worst(self) -> list[tuple[str, float]]:
        """The names of the files with the least mean Dice, for the screen, worst first."""
        dice: dict[str, list[float]] = {}
        for score in self.scored.scores:
            dice.setdefault(score.scan, []).append(score.dice)
        means = {scan: float(np.mean(values)) for scan, values in dice.items()}
        ranked = sorted(means.items(), key=lambda item: item[1])[:_WORST]
        return [(self.scored.names[scan], mean) for scan, mean in ranked]


def report(
    scored: Scored, other: Scored | None = None, seed: int = 0, *, untold: bool = False
) -> Report:
    """Means, intervals and, against other predictions of the same scans, paired differences.

    Parameters
    ----------
    scored
        What is reported.
    other
        Other predictions of the same scans.
    seed
        Of the drawing of subjects.
    untold
        See `Report`.

    Raises
    ------
    MrisslError
        If the others are of other scans.
    """
    cells = {_cell(OURS): _made(scored)}
    if other is not None:
        if set(other.scans) != set(scored.scans) or other.labels != scored.labels:
            raise MrisslError(
                f"{len(set(other.scans) & set(scored.scans))} scans in common of "
                f"{len(scored.scans)} and {len(other.scans)}",
                where="predictions to compare with",
                expected="the same scans",
            )
        cells[_cell(OTHERS)] = _made(other)
    rows = rows_of(cells, scored.labels, OTHERS if other else None, seed)
    return Report(scored, tuple(rows), untold)


def about(scored: Scored) -> str:
    """What the numbers are of, for below a table."""
    said = (
        f"{len(scored.subjects)} subjects{_scans(scored)}; surfaces by {library()}, NSD at "
        f"{scored.tolerance_mm:g} mm. Empty in both: Dice 1, HD95 0, NSD 1; empty in one of both: "
        f"Dice 0, HD95 the image's diagonal, NSD 0, which was so {scored.one_sided()} times."
    )
    if scored.left_out:
        said += (
            f" {scored.left_out} further scans are left out: they, or others of their subjects, "
            "were seen in training."
        )
    if scored.unpredicted:
        said += f" {_unpredicted(scored)}."
    if scored.foreign:
        said += f" Predicted but never true: labels {', '.join(map(str, scored.foreign))}."
    return said


def missing(scored: Scored) -> str:
    """Which true label maps have no prediction, for the screen; empty where all have one."""
    if not scored.unpredicted:
        return ""
    named = ", ".join(scored.without_prediction[:_NAMED])
    more = scored.unpredicted - _NAMED
    return f"{_unpredicted(scored)}: {named}{f' and {more} more' if more > 0 else ''}"


def _unpredicted(scored: Scored) -> str:
    one = scored.unpredicted == 1
    return (
        f"{scored.unpredicted} true label map{'' if one else 's'} "
        f"{'has no prediction and is' if one else 'have no prediction and are'} not in the mean"
    )


def _scans(scored: Scored) -> str:
    if len(scored.scans) == len(scored.subjects):
        return ""
    return f" with {len(scored.scans)} scans, which are averaged by subject first"


def _cell(source: str) -> Cell:
    return Cell(source, 0, 0, 0, "")


def _made(scored: Scored) -> Made:
    measures = scored.measures()
    return Made(measures.pop(DICE), measures)


def _mean_of(row: Row, source: str) -> bool:
    return row.label == MEAN and row.source == source


def lines(rows: Sequence[Row]) -> list[str]:
    """The table for people, line by line, without what is said below it."""
    return score_tables.markdown(rows, "").splitlines()
