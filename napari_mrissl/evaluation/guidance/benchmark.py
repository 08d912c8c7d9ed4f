"""The comparison of arms: train each, measure each; what is done is not done again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from napari_mrissl import __version__
from napari_mrissl.evaluation import fewshot
from napari_mrissl.evaluation.cells import agreed
from napari_mrissl.evaluation.fewshot import FewShotSettings
from napari_mrissl.evaluation.guidance import arms as plans
from napari_mrissl.evaluation.guidance import losses, probes, tables
from napari_mrissl.evaluation.guidance.losses import Losses
from napari_mrissl.evaluation.labelled_scans import LabelledScans, drawn
from napari_mrissl.evaluation.navigation.arms import Arm
from napari_mrissl.evaluation.navigation.kept import MEASURED, keep, kept
from napari_mrissl.evaluation.navigation.probing import Measure
from napari_mrissl.evaluation.navigation.trained_arms import Tell, Train, trained
from napari_mrissl.evaluation.score_rows import MEAN
from napari_mrissl.training.ablation import notes_on
from napari_mrissl.training.run import Run
from napari_mrissl.volumes.atomic import write_text

PROBES, GRID = "probes", "grid"
PROBE_GRID = "probe_grid.json"
"""Dice by signal-to-noise ratio and level of the decoder."""

Rows = dict[str, dict[str, Measure]]


class GuidanceSettings(BaseModel):
    """How arms are measured.

    Attributes
    ----------
    shots, draws, test, voxels, seed
        Of the probes, see `FewShotSettings`.
    snr_db
        Of the noise that probed denoisers see.
    patches
        Of each held-out subject, whose losses are measured.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    shots: tuple[int, ...] = Field(default=(3,), min_length=1)
    draws: int = Field(default=3, ge=1, le=1000)
    test: int = Field(default=40, ge=1)
    voxels: int = Field(default=30_000, ge=100)
    seed: int = Field(default=0, ge=0)
    snr_db: float = Field(default=10.0, ge=-30, le=40)
    patches: int = Field(default=16, ge=2, le=1000)

    def probing(self, mode: fewshot.Mode) -> FewShotSettings:
        """The protocol of the probes."""
        own = self.model_dump(include={"shots", "draws", "test", "voxels", "seed"})
        return FewShotSettings(**own, mode=mode)


def compare(
    folder: Path,
    runs: Mapping[str, Arm],
    train: Train,
    scans: LabelledScans | None = None,
    settings: GuidanceSettings | None = None,
    *,
    tell: Tell = lambda text: None,
    stop: Callable[[], bool] = lambda: False,
) -> dict[str, Any]:
    """Train and measure all arms; the tables are written after each part.

    Parameters
    ----------
    folder
        New, or of an earlier call with the same arms.
    runs
        See `arms.arms`.
    train
        Trains a run until it is finished or stopped.
    scans
        That probes are fitted to and measured on; without them there are losses alone.
    settings
        How arms are measured.
    tell
        Is told what happens.
    stop
        Asked between steps.

    Returns
    -------
    dict
        The table, JSON-ready.

    Raises
    ------
    Cancelled
        If it is stopped while probes are measured.
    Stopped
        If a run does not reach its last step.
    MrisslError
        If the folder holds other arms, budgets differ, no subject is held out, or there are
        fewer labelled scans than asked for.
    """
    from napari_mrissl.training.data import cohort

    settings = settings or GuidanceSettings()
    budgets = plans.budgets(runs)
    # What is wrong is said before days of training.
    cohort.held_out_subjects(runs[plans.GUIDED].settings)
    if scans is not None:
        _check(scans, settings)
        agreed(folder, {"data": scans.fingerprint, "test": settings.test}, MEASURED)
    made = trained(folder, runs, train, tell)
    rows: Rows = {}

    def written() -> None:
        tables.write(folder, rows, budgets, facts(runs, settings), _about(runs, settings))

    known = {}
    for name in plans.DENOISERS:
        if stop():
            raise KeyboardInterrupt
        known[name] = _losses(folder, name, made[name], settings, tell)
        rows[name] = known[name].measures()
        written()
    for name, own in losses.gaps(known).items():
        rows[name].update(own)
    written()
    if scans is not None:
        chance = probes.chance(scans, settings.test, settings.seed)
        command = command_of(runs, settings)
        for mode in probes.MODES:
            found = fewshot.compare(
                folder / PROBES, (), scans, settings.probing(mode),
                sources=probes.sources(made, settings.snr_db), command=command, tell=tell,
                cancelled=stop,
            )  # fmt: skip
            for name, own in probes.dice(found, chance).items():
                rows.setdefault(name, {}).update(own)
            written()
        _probe_grid(folder, made[plans.GUIDED], scans, settings, command, tell, stop)
    return tables.as_json(rows, budgets, facts(runs, settings))


def facts(runs: Mapping[str, Arm], settings: GuidanceSettings) -> dict[str, Any]:
    """How a table was made, JSON-ready; it names no file and no person."""
    guided = runs[plans.GUIDED].settings
    return {
        "probes": settings.model_dump(mode="json"),
        "data": guided.data.kind,
        "denoiser": guided.task["denoiser"],
        "patch": guided.task["patch"],
        "notes": list(_notes(runs)),
    }


def command_of(runs: Mapping[str, Arm], settings: GuidanceSettings) -> str:
    """The command that makes the comparison, with words for the places of this machine."""
    steps = runs[plans.GUIDED].settings.optimisation.steps
    return (
        f"mrissl benchmark diffusion --data DATA --labelled LABELLED --out OUT --steps {steps} "
        f"--shots {','.join(map(str, settings.shots))} --draws {settings.draws} "
        f"--test {settings.test} --voxels {settings.voxels} --snr {settings.snr_db:g} "
        f"--patches {settings.patches} --seed {settings.seed}"
        + " --contrastive"
        * (plans.CONTRASTIVE in runs)
    )


def _check(scans: LabelledScans, settings: GuidanceSettings) -> None:
    """Refuse numbers of scans that there are not."""
    _, pool = scans.split(settings.test, settings.seed)
    for shots in settings.shots:
        drawn(pool, shots, 0, settings.seed)


def _losses(folder: Path, name: str, run: Run, settings: GuidanceSettings, tell: Tell) -> Losses:
    """Losses of an arm, measured now or before."""
    from napari_mrissl.training.collective import device_of
    from napari_mrissl.training.data import cohort
    from napari_mrissl.training.layout import WEIGHTS

    place, weights = folder / MEASURED / f"{name}.json", run.folder / WEIGHTS
    with open(weights, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    data = json.dumps(run.settings.data.model_dump(mode="json"), sort_keys=True)
    key = {
        "software": __version__,
        "weights": digest,
        "data": hashlib.sha256(data.encode()).hexdigest(),
        "patches": settings.patches,
        "seed": settings.seed,
    }
    known = kept(place, key, Losses.from_plain)
    if known is None:
        tell(f"{name}: losses on held-out subjects")
        held_out = cohort.held_out_subjects(run.settings)
        device = str(device_of(run.settings.device))
        known = losses.measured(weights, held_out, settings.patches, settings.seed, device)
        keep(place, key, known.plain())
    return known


def _probe_grid(
    folder: Path,
    run: Run,
    scans: LabelledScans,
    settings: GuidanceSettings,
    command: str,
    tell: Tell,
    stop: Callable[[], bool],
) -> None:
    """Write Dice of linear probes of each map of the decoder at each ratio."""
    layers = range(int(run.settings.task["denoiser"]["depth"]))
    names = {
        (ratio, level): f"{ratio:g} dB, level {level}"
        for ratio in probes.GRID_DB
        for level in layers
    }
    sources = [
        probes.source(name, run, snr_db=ratio, level=level)
        for (ratio, level), name in names.items()
    ]
    shots = max(settings.shots)
    own = settings.probing("linear").model_copy(update={"shots": (shots,), "draws": 1})
    rows = fewshot.compare(
        folder / GRID, (), scans, own, sources=sources, command=command, tell=tell, cancelled=stop
    )
    found = {row.source: row.mean for row in rows if row.label == MEAN and row.measure == "dice"}
    content = {
        "ratios_db": list(probes.GRID_DB),
        "levels": list(layers),
        "dice": [[found[names[ratio, level]] for level in layers] for ratio in probes.GRID_DB],
    }
    write_text(folder / PROBE_GRID, json.dumps(content, indent=1, allow_nan=False) + "\n")


def _notes(runs: Mapping[str, Arm]) -> tuple[str, ...]:
    return notes_on({name: arm.settings for name, arm in runs.items()})


def _about(runs: Mapping[str, Arm], settings: GuidanceSettings) -> str:
    budget = plans.budgets(runs)[plans.GUIDED]
    start = plans.budgets(runs)[plans.START]
    notes = "".join(f"\n\nNote: {note}." for note in _notes(runs))
    return (
        f"Budget of every arm: {budget['steps']} steps, {budget['samples']} samples; a second of "
        "training is not the same in all. guided and shuffled_coordinates stand on a network of "
        f"body coordinates that was trained for {start['steps']} steps before, and stays as it "
        "is. plain_denoiser is the same network, without coordinates, trained at one level of "
        "noise: its loss at others is that of a network that never saw them. restoration, and "
        "contrastive where there is one, are plain U-Nets of their presets' sizes. random are "
        "denoisers as they are before training, told true coordinates, and guided_zeroed is "
        "guided, told none when it is probed. coordinates, intensity and intensity_coordinates "
        "have no denoiser: what they reach needs none. "
        "contrastive_shipped are the weights that ship with this software, of a budget of their "
        f"own. Denoisers are probed at {settings.snr_db:g} dB, all maps of their decoder, as one "
        "shared noise on the scan lets them look; heads see single voxels. Chance of Dice is one "
        "label everywhere. Losses are mean squared errors of the noise, or velocity, at five "
        f"signal-to-noise ratios, of {settings.patches} patches of each held-out scan, means of "
        "a subject's scans, with 95 % intervals over subjects; their chance is the best that is "
        "possible voxel by voxel, and the Wiener filter the best linear one, of patches such as "
        "those of the training. Gaps are of pairs of subjects, with the same patches and noise: "
        "unguided is the network that was trained without coordinates; off, shifted and shuffled "
        "are the guided one that is told nothing, another place of the body, or another patch's."
    ) + notes
