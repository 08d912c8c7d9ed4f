"""How many clicks does a segmentation take, and which places are worth clicking? In one table.

A robot user (`robot`) clicks through each scan by itself, answered by the classifier that the
panel has. Each scan is a subject: results are averaged over draws and seeds first, and every
difference is paired, scan by scan.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

from napari_mrissl import features
from napari_mrissl.errors import MrisslError
from napari_mrissl.evaluation import click_tables, robot
from napari_mrissl.evaluation.cells import Cell, Grid, Scores
from napari_mrissl.evaluation.frozen import Source
from napari_mrissl.evaluation.in_turn import Tell
from napari_mrissl.evaluation.labelled_scans import LabelledScan, LabelledScans
from napari_mrissl.evaluation.leakage import refuse_overlap
from napari_mrissl.segmentation import SegmentSettings, suggestions
from napari_mrissl.segmentation.classifiers import CLASSIFIERS, DEFAULT
from napari_mrissl.synthesis.draws import generator

Following = Literal["largest-error", "suggested", "random", "by-class"]
FOLLOWING: tuple[Following, ...] = get_args(Following)

_BY_CHANCE: tuple[Following, ...] = ("random", "by-class")
_ROBOT = 1
"""Raised when the same scans give other clicks, so that cells of both are never mixed."""


class ClickSettings(BaseModel):
    """The protocol; calls that differ in features and in what follows can share a folder.

    Attributes
    ----------
    following
        How places are chosen after the first clicks: where most is wrong, which only a robot
        knows; where `suggestions` says; anywhere by chance; or in any class by chance.
    clicks
        In each scan, the first ones included. A Dice that was not reached counts as so many.
    scans
        One of each subject.
    draws
        How often chance is tried.
    classifier
        A name from `classifiers.CLASSIFIERS`.
    seed
        Of the choice of scans, and of chance.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    following: tuple[Following, ...] = Field(
        default=("largest-error", "suggested", "random", "by-class"), min_length=1
    )
    clicks: int = Field(default=20, ge=1, le=1000)
    scans: int = Field(default=20, ge=1)
    draws: int = Field(default=3, ge=1, le=1000)
    classifier: str = DEFAULT
    seed: int = Field(default=0, ge=0)


@dataclass(frozen=True)
class ClickCell(Cell):
    """One session: `shots` are its clicks, `mode` how they were chosen.

    Attributes
    ----------
    scan
        Identity of the scan.
    """

    scan: str = ""

    @property
    def name(self) -> str:
        """Of its file."""
        chosen = self.mode.replace("-", "_")
        return super().name.replace(f"_{self.shots}shots_", f"_{self.scan[:8]}_{chosen}_")

    def facts(self) -> dict[str, Any]:
        """All that tells it apart, JSON-ready."""
        facts = super().facts()
        clicks, chosen = facts.pop("shots"), facts.pop("mode")
        return {**facts, "clicks": clicks, "next": chosen, "scan": self.scan}


def compare(
    folder: Path,
    sources: Sequence[Source],
    scans: LabelledScans,
    settings: ClickSettings | None = None,
    *,
    tell: Tell = lambda text: None,
) -> click_tables.Report:
    """Click through the scans with each source of features; what is finished is not done again.

    Parameters
    ----------
    folder
        New, or of an earlier call on the same scans. A session is kept as soon as it is over,
        and the tables are written after each source.
    sources
        In the order of the table.
    scans
        One of each subject.
    tell
        Is told what happens.

    Raises
    ------
    MrisslError
        If a source was trained on one of the scans, the folder holds another comparison, or
        there are fewer scans than asked for.
    """
    settings = settings or ClickSettings()
    if settings.classifier not in CLASSIFIERS:
        known = ", ".join(CLASSIFIERS)
        raise MrisslError(f"classifier {settings.classifier!r}", expected=f"one of {known}")
    tested = _chosen(scans, settings)
    refuse_overlap(sources, tested)
    protocol = {
        "comparison": "clicks of a robot user",
        "robot": _ROBOT,
        "suggestions": suggestions.VERSION,
        "data": scans.fingerprint,
        "labels": list(scans.labels),
        **settings.model_dump(mode="json", include={"clicks", "scans", "classifier", "seed"}),
    }
    grid = Grid(folder, protocol, command_of(sources, settings))
    following = tuple(dict.fromkeys(settings.following))
    sessions = sum(settings.draws if one in _BY_CHANCE else 1 for one in following)
    whole = len(sources) * len(tested) * sessions
    found: dict[Cell, Scores] = {}
    report = click_tables.Report((), (), ())
    for source in sources:
        work = _Work(source, tested, scans.labels, settings)
        plan = [
            ClickCell(
                source.name,
                settings.clicks,
                draw,
                source.seed,
                source.identity,
                chosen,
                scan.identity,
            )
            for scan in tested
            for chosen in following
            for draw in range(settings.draws if chosen in _BY_CHANCE else 1)
        ]
        said = partial(_say_of_a_scan, tell, len(found), whole, sessions)
        found |= grid.fill(plan, work, said)
        report = click_tables.report_of(found, settings.clicks, settings.seed)
        extent = settings.model_dump(mode="json", include={"draws"}) | {"next": list(following)}
        click_tables.write(folder, report, {**protocol, **extent}, _about(settings, scans))
    return report


def command_of(sources: Sequence[Source], settings: ClickSettings) -> str:
    """The command that makes a comparison, with words for the places of this machine."""
    names = ",".join(dict.fromkeys(source.word for source in sources))
    return (
        f"mrissl benchmark clicks --features {names} --data DATA --out OUT "
        f"--next {','.join(settings.following)} --clicks {settings.clicks} "
        f"--scans {settings.scans} --draws {settings.draws} --classifier {settings.classifier} "
        f"--seed {settings.seed}"
    )


def _say_of_a_scan(
    tell: Tell, before: int, whole: int, sessions: int, number: int, cell: Cell, made: bool
) -> None:
    if made and number % sessions == 0:
        tell(f"{before + number} of {whole} sessions: {cell.source}")


class _Work:
    """Makes the sessions of one source; keeps the scan it looked at last."""

    def __init__(
        self,
        source: Source,
        tested: Sequence[LabelledScan],
        labels: tuple[int, ...],
        settings: ClickSettings,
    ) -> None:
        self.source, self.labels, self.settings = source, labels, settings
        self.scans = {scan.identity: scan for scan in tested}
        self.last: tuple[str, robot.Scene] | None = None

    def __call__(self, cell: Cell) -> Scores:
        """The mean Dice after each click, by number of clicks."""
        if not isinstance(cell, ClickCell):
            raise TypeError(type(cell))
        chosen = SegmentSettings.model_validate(
            {
                "features": self.source.settings,
                "classifier": self.settings.classifier,
                "uncertainty": cell.mode == "suggested",
            }
        )
        choose = _next(cell, self.settings.seed)
        session = robot.click_through(self._scene(cell.scan), chosen, cell.shots, choose)
        return {cell.scan: dict(enumerate(session.curve, 1))}

    def _scene(self, identity: str) -> robot.Scene:
        if self.last is None or self.last[0] != identity:
            volume, labels = self.scans[identity].read()
            stack = features.compute(volume, self.source.settings)
            self.last = identity, robot.Scene.of(volume, stack, labels, self.labels)
        return self.last[1]


def _next(cell: ClickCell, seed: int) -> robot.Next:
    if cell.mode == "largest-error":
        return robot.largest_error
    if cell.mode == "suggested":
        return suggested
    # From the scan, not from its place in the list: the same chance for every source.
    rng = generator(seed + cell.draw, int(cell.scan[:12], 16), f"robot, {cell.mode}")
    return robot.anywhere(rng) if cell.mode == "random" else robot.any_class(rng)


def suggested(moment: robot.Moment) -> robot.Index | None:
    """The place that `suggestions` proposes for this scan alone."""
    if moment.result is None or moment.result.uncertainty is None:
        return None
    scene = moment.scene
    candidate = suggestions.Candidate(
        scene.volume, scene.stack, moment.result.uncertainty, moment.prompts
    )
    found = suggestions.suggest([candidate])
    return None if found is None else robot.voxel_at(scene.volume, found.place[1:])


def _chosen(scans: LabelledScans, settings: ClickSettings) -> list[LabelledScan]:
    if settings.scans == len(scans.scans):
        return list(scans.scans)
    if settings.scans > len(scans.scans):
        raise MrisslError(
            f"{settings.scans} of {len(scans.scans)} subjects",
            where="--scans",
            expected=f"1 to {len(scans.scans)}",
        )
    return scans.split(settings.scans, settings.seed)[0]


def _about(settings: ClickSettings, scans: LabelledScans) -> str:
    return (
        f"{settings.clicks} clicks in each of {settings.scans} of {len(scans.scans)} subjects, one "
        "in each class first; the classifier knows the clicks of that scan only. Chance: "
        f"{settings.draws} draws. A Dice that was not reached counts as {settings.clicks} clicks."
    )
