"""The comparison of arms: train each, probe each, fly with each; what is done is not done again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field

from napari_mrissl import __version__
from napari_mrissl.evaluation.navigation import arms as plans
from napari_mrissl.evaluation.navigation import tables
from napari_mrissl.evaluation.navigation.kept import MEASURED, keep, kept
from napari_mrissl.evaluation.navigation.trained_arms import Tell, Train, trained
from napari_mrissl.training.settings import RunSettings

if TYPE_CHECKING:
    from napari_mrissl.evaluation.navigation.probe_slices import ProbeSlices
    from napari_mrissl.evaluation.navigation.probing import Measure
    from napari_mrissl.pretext.subjects import Subjects
    from napari_mrissl.training.run import Run

BOX, PIXELS, RANDOM = "box", "pixels", "random"
_FORMAT = 3


class ProbeSettings(BaseModel):
    """How arms are measured.

    Attributes
    ----------
    train_subjects, test_subjects
        At most so many.
    slices, pairs
        Of each subject.
    flights
        Of each kind over each of at most eight held-out scans.
    seed
        Of slices and flights.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    train_subjects: int = Field(default=32, ge=1, le=1000)
    test_subjects: int = Field(default=16, ge=1, le=1000)
    slices: int = Field(default=48, ge=8, le=2000)
    pairs: int = Field(default=16, ge=2, le=2000)
    flights: int = Field(default=2, ge=2, le=100)
    seed: int = Field(default=0, ge=0)


def compare(
    folder: Path,
    runs: Mapping[str, plans.Arm],
    train: Train,
    settings: ProbeSettings | None = None,
    *,
    tell: Tell = lambda text: None,
    stop: Callable[[], bool] = lambda: False,
) -> dict[str, dict[str, Measure]]:
    """Train and measure all arms; the tables are written after each row.

    Parameters
    ----------
    folder
        New, or of an earlier call with the same arms.
    runs
        See `arms.arms`.
    train
        Trains a run until it is finished or stopped.
    settings
        How they are measured.
    tell
        Is told what happens.
    stop
        Asked between rows.

    Returns
    -------
    dict
        Measures by name, of each row of the table.

    Raises
    ------
    Stopped
        If a run does not reach its last step.
    MrisslError
        If the folder holds other arms, budgets differ, or no subject is held out.
    """
    from napari_mrissl.training.data import cohort

    settings = settings or ProbeSettings()
    budgets = plans.budgets(runs)
    drawing = _Drawing(runs[plans.START].settings, settings, components(runs))
    # Training may take days.
    cohort.held_out_subjects(drawing.run)
    made = trained(folder, runs, train, tell)
    rows: dict[str, dict[str, Measure]] = {}
    for name in (BOX, PIXELS, RANDOM, plans.DRAWN, *plans.COMPARED):
        run = made.get(plans.FULL if name == plans.DRAWN else name)
        place = folder / MEASURED / f"{name}.json"
        key = _key(run, drawing)
        known = kept(place, key, _measures)
        if known is None:
            if stop():
                raise KeyboardInterrupt
            tell(f"{name}: measured on held-out subjects")
            known = _measured(name, run, drawing)
            keep(place, key, {measure: asdict(one) for measure, one in known.items()})
        rows[name] = known
        tables.write(folder, rows, budgets, facts(runs, settings), _about(runs, settings))
    return rows


def facts(runs: Mapping[str, plans.Arm], settings: ProbeSettings) -> dict[str, Any]:
    """How a table was made, JSON-ready; it names no file and no person."""
    return {
        "probes": settings.model_dump(mode="json"),
        "data": runs[plans.START].settings.data.kind,
        "tokenizer": runs[plans.START].settings.task["backbone"],
        "dynamics": runs[plans.FULL].settings.task["dynamics"],
        "token_components": components(runs),
        "notes": list(_notes(runs)),
    }


def components(runs: Mapping[str, plans.Arm]) -> int:
    """To how many numbers a token of every row is brought: the narrowest has no more.

    Only the row for the box has one number for a token.
    """
    shape = runs[plans.START].settings.task["backbone"]
    width = int(runs[plans.FULL].settings.task["dynamics"]["width"])
    # Pixels have two channels.
    return min(int(shape["latent"]), width, 2 * int(shape["patch"]) ** 2)


class _Drawing:
    """Slices of both parts, drawn once, when the first row asks for them."""

    def __init__(self, run: RunSettings, settings: ProbeSettings, components: int) -> None:
        self.run, self.settings, self.components = run, settings, components
        self._slices: tuple[ProbeSlices, ProbeSlices] | None = None

    @property
    def held_out(self) -> Subjects:
        """Subjects that nothing was trained on."""
        from napari_mrissl.training.data import cohort

        return cohort.held_out_subjects(self.run)

    @property
    def slices(self) -> tuple[ProbeSlices, ProbeSlices]:
        """Of training subjects, and of those that are held out."""
        from napari_mrissl.evaluation.navigation.probe_slices import Amounts, draw
        from napari_mrissl.training.data import cohort

        if self._slices is None:
            chosen, size = self.settings, int(self.run.task["backbone"]["size"])
            train = cohort.subjects(self.run, "train")
            assert train is not None  # noqa: S101 - runs have been trained on them
            counts = (chosen.train_subjects, chosen.test_subjects)
            one, other = (Amounts(count, chosen.slices, chosen.pairs) for count in counts)
            self._slices = (
                draw(train, one, size, chosen.seed),
                draw(self.held_out, other, size, chosen.seed + 1),
            )
        return self._slices


def _measured(name: str, run: Run | None, drawing: _Drawing) -> dict[str, Measure]:
    from napari_mrissl.evaluation.navigation import encoders, probing
    from napari_mrissl.evaluation.navigation.reconstructions import reconstruction
    from napari_mrissl.evaluation.navigation.world import world
    from napari_mrissl.networks.settings import TokenizerShape
    from napari_mrissl.networks.slice_cards import SliceNetwork
    from napari_mrissl.networks.slice_encoder import SliceEncoder
    from napari_mrissl.training.collective import device_of
    from napari_mrissl.training.layout import WEIGHTS

    train, test = drawing.slices
    device = str(device_of(drawing.run.device))
    shape = TokenizerShape.model_validate(drawing.run.task["backbone"])
    if name == BOX:
        return probing.probe(encoders.BoxEncoder(shape.patch), train, test, drawing.components)
    if name == PIXELS:
        return probing.probe(encoders.PixelEncoder(shape.patch), train, test, drawing.components)
    seed = drawing.settings.seed
    if run is None:
        network = SliceEncoder.drawn(SliceNetwork(shape), seed)
    else:
        network = SliceEncoder.open(run.folder / WEIGHTS)
    if name == plans.DRAWN:
        network = network.with_drawn_dynamics(seed)
    network = network.to(device)
    found = probing.probe(encoders.NetworkEncoder(network), train, test, drawing.components)
    if run is None or name == plans.DRAWN:
        return found
    own = test.subjects[test.singles]
    found |= reconstruction(network.backbone, test.images[test.singles], own)
    if network.dynamics is not None:
        each = drawing.settings.flights
        found |= world(run.folder, drawing.held_out, seed, each=each, device=device)
    return found


def _key(run: Run | None, drawing: _Drawing) -> dict[str, Any]:
    """All that a row depends on."""
    from napari_mrissl.training.layout import WEIGHTS

    weights = None
    if run is not None:
        with open(run.folder / WEIGHTS, "rb") as file:
            weights = hashlib.file_digest(file, "sha256").hexdigest()
    start = drawing.run
    facts = {"data": start.data.model_dump(mode="json"), "seed": start.seed}
    return {
        "format": _FORMAT,
        "software": __version__,
        "weights": weights,
        "data": hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest(),
        "tokenizer": start.task["backbone"],
        "probes": drawing.settings.model_dump(mode="json"),
        "components": drawing.components,
    }


def _measures(content: Mapping[str, Any]) -> dict[str, Measure]:
    from napari_mrissl.evaluation.navigation.probing import Measure

    return {name: Measure(**one) for name, one in content.items()}


def _notes(runs: Mapping[str, plans.Arm]) -> tuple[str, ...]:
    from napari_mrissl.training.ablation import notes_on

    return notes_on({name: arm.settings for name, arm in runs.items()})


def _about(runs: Mapping[str, plans.Arm], settings: ProbeSettings) -> str:
    start, full = runs[plans.START], runs[plans.FULL]
    notes = "".join(f"\n\nNote: {note}." for note in _notes(runs))
    return (
        "Budget of every arm: "
        f"{start.settings.optimisation.steps} and {full.settings.optimisation.steps} steps, "
        f"{start.slices + full.slices} slices; a second of training is not the same in all. "
        "All dynamics and tokenizer_only begin from one tokenizer, static from one that saw "
        "axis-aligned stacks only. Features are frozen, and of single slices: latents of "
        "tokenizers, hidden states of dynamics. box sees where the scan ends and no grey value: "
        "what it knows of place and size is no anatomy. dynamics_drawn is the tokenizer of all "
        "dynamics with dynamics that were never trained. Probes are linear, on at most 256 "
        f"principal components; that of labels on {components(runs)} of each token, in every row "
        "but box, whose tokens are one number. They are fitted on up to "
        f"{settings.train_subjects} training subjects and measured on up to "
        f"{settings.test_subjects} held-out ones, with 95 % intervals over these. Chance looks at "
        "no slice: the mean, the most frequent class, one label everywhere; for rollouts the best "
        "of copying, a straight line, the first slice's latents moved in its plane as the "
        "actions say, and for single steps what the slices before show of the places that the "
        "actions lead to; these two heed actions without having learned anything: the rows below "
        "the arms, in the latents of the dynamics. Shuffle ratios and shares of copying are of "
        "flights with a new velocity at every frame, which nothing but an action tells; even "
        f"flights, which all else is of, keep theirs. Of the cycle error {tables.CYCLE}. Latent "
        "errors of different tokenizers are not comparable; all dynamics here have the same one."
    ) + notes
