"""``mrissl benchmark``: comparisons of methods at equal steps, as tables."""

from __future__ import annotations

from pathlib import Path

from napari_mrissl.cli.arguments import Flag, Whole, within
from napari_mrissl.cli.arms import ALIKE, Arms
from napari_mrissl.cli.pretrain import Optional
from napari_mrissl.cli.terminal import say, say_file, show_json


def vectorpose_ablation(
    *,
    out: Path,
    alike: Arms = ALIKE,
    preset: str = "cpu",
    steps: Optional = None,
    samples: Whole = 512,
    json: Flag = False,
) -> None:
    """Ablation of VectorPOSE: vectors, boundaries, both, and plain restoration, at equal steps.

    Ctrl-C stops after the running step; the same command goes on from there. The tables
    ablation.csv and ablation.md compare errors on held-out subjects with answers that learned
    nothing.

    Parameters
    ----------
    out
        The folder of the comparison; each arm is a run in it.
    preset
        tiny, cpu, gpu or published_2.
    steps
        Optimiser steps of each arm.
    alike
        Data and settings of all arms.
    samples
        Held-out samples that each arm is measured on.
    json
        Print the table as JSON.
    """
    from napari_mrissl.cli.child import stopping_on_signals, train
    from napari_mrissl.pretext.registry import TASKS
    from napari_mrissl.pretext.vectorpose.ablation import ARMS
    from napari_mrissl.training.ablation import ablate
    from napari_mrissl.training.building import settings_for

    within("--samples", samples, 1, 100_000)
    changes = alike.changes(steps)
    # Settings are checked before scans are read, which may take minutes.
    checked = [
        settings_for("vectorpose", None, preset, {**changes, **arm}) for arm in ARMS.values()
    ]
    chosen = alike.read(checked[0].seed)
    arms = {
        name: settings_for("vectorpose", chosen, preset, {**changes, **arm})
        for name, arm in ARMS.items()
    }
    with stopping_on_signals() as interrupted:
        table = ablate(
            out, arms, TASKS, lambda run: train(run, interrupted), samples=samples, tell=say
        )
    if json:
        show_json(
            {
                arm.name: {
                    term: {"held_out": worth.value, "chance": worth.chance}
                    for term, worth in arm.terms.items()
                }
                for arm in table
            }
        )
    else:
        say_file(out / "ablation.md")
