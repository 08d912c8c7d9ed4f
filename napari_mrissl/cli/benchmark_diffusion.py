"""``mrissl benchmark diffusion``: what body coordinates add to diffusion, as a table."""

from __future__ import annotations

from pathlib import Path

from napari_mrissl.cli.arguments import Flag, Whole, within
from napari_mrissl.cli.arms import ALIKE, Arms
from napari_mrissl.cli.benchmark_features import Numbers
from napari_mrissl.cli.pretrain import Optional
from napari_mrissl.cli.terminal import Progress, resumable, say, say_file, show_json
from napari_mrissl.errors import MrisslError


def diffusion_arms(
    *,
    out: Path,
    alike: Arms = ALIKE,
    labelled: Path | None = None,
    preset: str = "cpu",
    steps: Optional = None,
    shots: Numbers = (3,),
    draws: Whole = 3,
    test: Whole = 40,
    voxels: Whole = 30_000,
    snr: float = 10.0,
    patches: Whole = 16,
    contrastive: Flag = False,
    json: Flag = False,
) -> None:
    """Arms of diffusion at equal budgets: guided, without and with shuffled coordinates, plain.

    Ctrl-C stops after the running step; the same command goes on from there. table.csv, .md and
    .json compare linear and nonlinear probes on labelled scans beside a random network, mere
    coordinates, grey values and both, and chance; losses at five signal-to-noise ratios on
    held-out subjects beside their floors; and what guidance is worth. probe_grid.json has Dice
    by noise and layer.

    Parameters
    ----------
    out
        The folder of the comparison; each arm is a run in it.
    labelled
        A folder with images and labels, whose files have the same names, for the probes; without
        it losses alone are compared.
    preset
        tiny, cpu or gpu.
    steps
        Optimiser steps of each arm, and of the network of coordinates before.
    alike
        Data and settings of all arms.
    shots
        Numbers of labelled scans that probes are fitted to, e.g. 1,3,10.
    draws
        How often they are drawn.
    test
        Labelled scans that probes are measured on; one of each subject, never drawn from.
    voxels
        Of each labelled scan that a probe is fitted to.
    snr
        Signal-to-noise ratio in dB of the noise that probed denoisers see.
    patches
        Of each held-out subject, that losses are measured on.
    contrastive
        Train an arm that contrasts painted views, too, beside the weights that ship; on a CPU
        it takes several times as long as the others.
    json
        Print the table as JSON.
    """
    from pydantic import ValidationError

    from napari_mrissl.cli.child import stopping_on_signals, train
    from napari_mrissl.evaluation.guidance import benchmark, tables
    from napari_mrissl.evaluation.guidance.arms import arms, budgets
    from napari_mrissl.evaluation.labelled_scans import labelled_scans
    from napari_mrissl.features import Cancelled

    within("--patches", patches, 2, 1000)
    changes = alike.changes(steps)
    # Settings are checked before scans are read, which may take minutes.
    checked = arms(None, preset, changes, contrastive=contrastive)
    budgets(checked)
    own_seed = next(iter(checked.values())).settings.seed
    try:
        settings = benchmark.GuidanceSettings(
            shots=shots, draws=draws, test=test, voxels=voxels, snr_db=snr, patches=patches,
            seed=own_seed,
        )  # fmt: skip
    except ValidationError as reasons:
        first = reasons.errors(include_url=False)[0]
        place = f"--{first['loc'][0]}".removesuffix("_db")
        raise MrisslError(f"{first['input']!r}: {first['msg']}", where=place) from reasons
    runs = arms(alike.read(own_seed), preset, changes, contrastive=contrastive)
    scans = None
    if labelled is not None:
        scans = labelled_scans(labelled, Progress("reading labelled scans"))
    with resumable(), stopping_on_signals() as interrupted:
        try:
            table = benchmark.compare(
                out, runs, lambda run: train(run, interrupted), scans, settings,
                tell=say, stop=interrupted.is_set,
            )  # fmt: skip
        except Cancelled as reason:
            raise KeyboardInterrupt from reason
    if json:
        show_json(table)
        return
    say_file(out / tables.TABLE_FOR_PEOPLE)
