"""Does pretraining help? Frozen features and a linear head, from few labelled scans, in one table.

Every source of features goes through the same protocol: features of whole scans, the same
voxels of the same training scans, one head (`linear_head`), the same test scans.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from napari_mrissl import features
from napari_mrissl.errors import MrisslError
from napari_mrissl.evaluation import linear_head, nonlinear_head, score_tables
from napari_mrissl.evaluation.cells import Cell, Grid, Scores, shown
from napari_mrissl.evaluation.in_turn import Tell, filled
from napari_mrissl.evaluation.labelled_scans import LabelledScan, LabelledScans, drawn
from napari_mrissl.evaluation.leakage import refuse_overlap
from napari_mrissl.evaluation.score_tables import Row
from napari_mrissl.features import FilterBankSettings
from napari_mrissl.features.of_networks import RANDOM
from napari_mrissl.features.pyramids import pyramid_of
from napari_mrissl.metrics import dice
from napari_mrissl.networks.weight_library import names
from napari_mrissl.networks.weight_places import is_identity
from napari_mrissl.synthesis.draws import generator
from napari_mrissl.volumes import Volume

FILTERS, INTENSITY = "filters", "intensity"
RANDOM_SEEDS = 3
_HEAD = "multinomial logistic regression 1"


class FrozenSettings(BaseModel):
    """The protocol; two calls with the same seed, test and voxels can share a folder.

    Attributes
    ----------
    shots
        Numbers of training scans.
    draws
        How often they are drawn; what one draw gives depends on its number only.
    test
        Test scans, never drawn from.
    voxels
        Of each training scan, drawn evenly; all of a smaller one.
    decision
        How the head's scores become labels, see `linear_head`.
    seed
        Of split, draws and voxels.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    shots: tuple[int, ...] = Field(default=(1, 3, 10), min_length=1)
    draws: int = Field(default=3, ge=1, le=1000)
    test: int = Field(default=40, ge=1)
    voxels: int = Field(default=30_000, ge=100)
    decision: linear_head.Decision = "dice"
    seed: int = Field(default=0, ge=0)


@dataclass(frozen=True, eq=False)
class Source:
    """Something that gives features.

    Attributes
    ----------
    name
        What the table calls it; several seeds may share one.
    seed
        Of a random network.
    settings
        What `features.compute` takes.
    identity
        See `identity_of`.
    known
        What tells the scans it was trained on, see `known_scans.trained_on`.
    silent
        Whether its weights do not say that, see `known_scans.silent`.
    """

    name: str
    seed: int
    settings: BaseModel
    identity: str
    known: frozenset[str] = frozenset()
    silent: bool = False

    @property
    def word(self) -> str:
        """Of a command: its name, or ``RUN-`` and the start of the SHA-256 of its weights."""
        name, plus, behind = self.name.partition("+")
        weights = getattr(self.settings, "weights", "")
        if name in (*names(), RANDOM) or not is_identity(weights):
            return self.name
        return f"RUN-{weights[:12]}{plus}{behind}"


def plain_source(name: str) -> Source:
    """The filter bank, or grey values alone.

    Raises
    ------
    MrisslError
        If it is neither.
    """
    chosen = {
        FILTERS: FilterBankSettings(),
        INTENSITY: FilterBankSettings(groups=("intensity",)),
    }.get(name)
    if chosen is None:
        raise MrisslError(f"features {name!r}", expected=f"{FILTERS} or {INTENSITY}")
    return Source(name, 0, chosen, identity_of(chosen))


def identity_of(settings: BaseModel) -> str:
    """What computes features, its version, and its settings with the SHA-256 of any weights.

    Numbers of an earlier version are those of another source.
    """
    source = features.source_for(settings)
    facts = {
        "source": source.name,
        "version": source.version,
        "settings": source.settings.model_dump(mode="json"),
    }
    return json.dumps(facts, sort_keys=True)


def compare(
    folder: Path,
    sources: Sequence[Source],
    scans: LabelledScans,
    settings: FrozenSettings | None = None,
    *,
    tell: Tell = lambda text: None,
) -> list[Row]:
    """Measure each source; what is finished is not done again. The rows are of all cells there.

    Parameters
    ----------
    folder
        New, or of an earlier call on the same scans. A cell is kept as soon as it is done,
        and the tables are written after each source.
    sources
        In the order of the table.
    scans
        Split by subject here.
    settings
        The protocol.
    tell
        Is told what happens.

    Raises
    ------
    MrisslError
        If a source was trained on a test scan, the folder holds another comparison, or there
        are fewer scans than asked for.
    """
    settings = settings or FrozenSettings()
    tested, pool = scans.split(settings.test, settings.seed)
    for shots in settings.shots:
        drawn(pool, shots, 0, settings.seed)
    refuse_overlap(sources, tested)
    protocol = {
        "comparison": "frozen features, linear head",
        "head": _HEAD,
        "data": scans.fingerprint,
        "labels": list(scans.labels),
        **settings.model_dump(mode="json", include={"test", "voxels", "decision", "seed"}),
    }
    grid = Grid(folder, protocol, command_of(sources, settings))
    by_cell = {
        Cell(source.name, shots, draw, source.seed, source.identity): source
        for source in sources
        for shots in sorted(set(settings.shots))
        for draw in range(settings.draws)
    }

    def work(cell: Cell) -> Scores:
        source = by_cell[cell].settings
        training = drawn(pool, cell.shots, cell.draw, settings.seed)
        head = linear_head.fit(*training_voxels(training, source, settings), settings.decision)
        return {scan.identity: _dice(scan, source, head, scans.labels) for scan in tested}

    rows: list[Row] = []
    for _ in filled(grid, by_cell, sources, work, tell):
        found = shown(grid, list(by_cell))
        reference = _reference(cell.source for cell in found)
        rows = score_tables.rows_of(found, scans.labels, reference, settings.seed)
        draws = 1 + max(cell.draw for cell in found)
        extent = {"shots": sorted({cell.shots for cell in found}), "draws": draws}
        said = _about(settings, draws, scans, reference)
        score_tables.write(folder, rows, {**protocol, **extent}, said)
    return rows


def command_of(sources: Sequence[Source], settings: FrozenSettings) -> str:
    """The command that makes a comparison, with words for the places of this machine."""
    words = ",".join(dict.fromkeys(source.word for source in sources))
    shots = ",".join(map(str, settings.shots))
    return (
        f"mrissl benchmark features --weights {words} --data DATA --out OUT --shots {shots} "
        f"--draws {settings.draws} --test {settings.test} --voxels {settings.voxels} "
        f"--decision {settings.decision} --seed {settings.seed}"
    )


def training_voxels(
    training: Sequence[LabelledScan], source: BaseModel, settings: FrozenSettings
) -> tuple[list[NDArray[np.floating]], list[NDArray[np.integer]]]:
    """Features (n, C) and labels (n,) of the voxels of each scan that a head is fitted to.

    Parameters
    ----------
    training
        The scans.
    source
        Of the features.
    settings
        How many voxels, and the seed they are drawn by.
    """
    rows: list[NDArray[np.floating]] = []
    labels: list[NDArray[np.integer]] = []
    for scan in training:
        volume, truth = scan.read()
        # From the scan, not from its place in a draw: the same voxels for every source.
        rng = generator(settings.seed, int(scan.identity[:12], 16), "training voxels")
        count = min(settings.voxels, truth.size)
        chosen = np.sort(rng.choice(truth.size, count, replace=False))
        pyramid = pyramid_of(volume, source)
        if pyramid is None:
            data = features.compute(volume, source).data
            rows.append(data.reshape(len(data), -1)[:, chosen].T)
        else:
            rows.append(pyramid.rows(chosen))
        labels.append(truth.reshape(-1)[chosen].astype(np.int64))
    return rows, labels


def predicted(
    head: linear_head.LinearHead | nonlinear_head.NonlinearHead, volume: Volume, source: BaseModel
) -> NDArray[np.int32]:
    """Labels (S, A, R) of a volume by a head on its features.

    Where features are linear in maps of their own resolutions, the first thing a head does is
    done to these, so that not all channels are ever on the voxels of the volume.
    """
    pyramid = pyramid_of(volume, source)
    if pyramid is None:
        return head.predict(features.compute(volume, source).data)
    first, rest = head.split()
    labels = np.empty(volume.shape, np.int32)
    for slab, mixed in pyramid.mixed(first):
        labels[slab] = rest.predict(mixed)
    return labels


def _dice(
    scan: LabelledScan, source: BaseModel, head: linear_head.LinearHead, labels: Sequence[int]
) -> dict[int, float]:
    volume, truth = scan.read()
    return dice(predicted(head, volume, source), truth, labels)


def _reference(names: Iterable[str]) -> str | None:
    """Random weights, where there are any: what pretraining is compared with."""
    return min((name for name in names if name.split("+")[0] == RANDOM), key=len, default=None)


def _about(
    settings: FrozenSettings, draws: int, scans: LabelledScans, reference: str | None
) -> str:
    decided = {
        "dice": "background is taken back by the amount that is best on the training voxels",
        "likeliest": "the likeliest class of each voxel counts",
    }
    return (
        "Frozen features and one linear head for each cell, trained on "
        f"{settings.voxels} voxels of each training scan, up to {draws} draws; "
        f"{decided[settings.decision]}. Measured on {settings.test} of {len(scans.scans)} "
        "subjects, never drawn from."
        + (
            f" Differences are from {reference}, of all scales where the source has them, paired "
            "by subject."
            if reference
            else ""
        )
    )
