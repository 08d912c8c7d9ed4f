"""``mrissl benchmark observable``: what each of the observable tasks adds, as a table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from napari_mrissl.cli.arguments import Flag, Whole, within
from napari_mrissl.cli.pretrain import Optional, Several, changes_of, data_of
from napari_mrissl.cli.terminal import say, show_json


def observable_arms(
    *,
    out: Path,
    data: Several = (),
    preset: str = "cpu",
    steps: Optional = None,
    batch: Optional = None,
    seed: Optional = None,
    device: str | None = None,
    setting: Annotated[
        tuple[str, ...], Parameter(name="--set", negative="", consume_multiple=True)
    ] = (),
    templates: Path | None = None,
    validation: Several = (),
    samples: Whole = 512,
    json: Flag = False,
) -> None:
    """Ablation of the observable tasks: gaps, + chunks, + vectors, + routes, at equal steps.

    Vectors and routes come with both heads. Ctrl-C stops after the running step; the same
    command goes on from there. The tables ablation.csv and ablation.md compare errors on
    held-out subjects with answers that learned nothing, with a run on shuffled targets, with
    the network untrained (mean and best of several draws of its weights), and for chunks with
    grey values alone. What is to be known of the held-out subjects, as that painted heads all
    have one anatomy, is said before and under the table.

    Parameters
    ----------
    out
        The folder of the comparison; each arm is a run in it.
    data
        As for `mrissl pretrain`: scans, or one of the words heads and ensembles.
    preset
        tiny, cpu or gpu.
    steps
        Optimiser steps of each arm.
    batch
        Samples of a step.
    seed
        The same for all arms.
    device
        auto, cpu, cuda, cuda:1 ...
    setting
        KEY=VALUE for any other setting of all arms, e.g. view.side=32.
    templates
        A folder of label maps for the data engine.
    validation
        Scans of other subjects to measure on.
    samples
        Held-out samples that each row is measured on.
    json
        Print the table as JSON.
    """
    from napari_mrissl.cli.child import stopping_on_signals, train
    from napari_mrissl.evaluation.observable_arms import arms, compare
    from napari_mrissl.pretext.registry import TASKS

    within("--samples", samples, 1, 100_000)
    changes = changes_of(setting)
    for name, value in (("steps", steps), ("batch", batch), ("seed", seed), ("device", device)):
        if value is not None:
            changes[name] = value
    # Settings are checked before scans are read, which may take minutes.
    checked = arms(None, preset, changes)
    own_seed = next(iter(checked.values())).seed
    runs = arms(data_of(data, templates, validation, (), own_seed), preset, changes)
    with stopping_on_signals() as interrupted:
        table = compare(
            out, runs, TASKS, lambda run: train(run, interrupted), samples=samples, tell=say
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
        for line in (out / "ablation.md").read_text(encoding="utf-8").splitlines():
            say(line)
