"""``mrissl benchmark navigation``: what flying through scans teaches, arm by arm, as a table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from napari_mrissl.cli.arguments import Flag, Whole, within
from napari_mrissl.cli.pretrain import Optional, Several, changes_of, data_of
from napari_mrissl.cli.terminal import say, show_json


def navigation_arms(
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
    subjects: Whole = 32,
    slices: Whole = 48,
    flights: Whole = 2,
    json: Flag = False,
) -> None:
    """Arms of slice navigation at equal budgets: static, tokenizer only, three dynamics.

    Ctrl-C stops after the running step; the same command goes on from there. table.csv, .md and
    .json compare probes of frozen features, reconstructions and rollouts on held-out subjects,
    beside a random network, plain pixels, and chance.

    Parameters
    ----------
    out
        The folder of the comparison; each arm is a run in it.
    data
        As for `mrissl pretrain`: scans, or one of the words heads and ensembles.
    preset
        tiny, cpu or gpu.
    steps
        Optimiser steps of the tokenizer, and as many again of what follows it in each arm.
    batch
        Samples of a step.
    seed
        The same for all arms.
    device
        auto, cpu, cuda, cuda:1 ...
    setting
        KEY=VALUE for any other setting of the runs that know it, e.g. backbone.width=64.
    templates
        A folder of label maps for the data engine.
    validation
        Scans of other subjects to measure on.
    subjects
        Training subjects that probes are fitted on, at most, and twice as many as are measured.
    slices
        Of each subject, that probes see.
    flights
        Of each kind over each held-out subject.
    json
        Print the table as JSON.
    """
    from napari_mrissl.cli.child import stopping_on_signals, train
    from napari_mrissl.evaluation.navigation import benchmark, tables
    from napari_mrissl.evaluation.navigation.arms import arms, budgets

    within("--subjects", subjects, 2, 1000)
    within("--slices", slices, 8, 2000)
    within("--flights", flights, 2, 100)
    changes = changes_of(setting)
    for name, value in (("steps", steps), ("batch", batch), ("seed", seed), ("device", device)):
        if value is not None:
            changes[name] = value
    # Settings are checked before scans are read, which may take minutes.
    checked = arms(None, preset, changes)
    budgets(checked)
    own_seed = next(iter(checked.values())).settings.seed
    runs = arms(data_of(data, templates, validation, (), own_seed), preset, changes)
    settings = benchmark.ProbeSettings(
        train_subjects=subjects,
        test_subjects=max(1, subjects // 2),
        slices=slices,
        pairs=max(2, slices // 3),
        flights=flights,
        seed=own_seed,
    )
    with stopping_on_signals() as interrupted:
        try:
            rows = benchmark.compare(
                out,
                runs,
                lambda run: train(run, interrupted),
                settings,
                tell=say,
                stop=interrupted.is_set,
            )
        except KeyboardInterrupt:
            say("stopped: the same command goes on from there")
            raise
    if json:
        show_json(tables.as_json(rows, budgets(runs), benchmark.facts(runs, settings)))
        return
    for line in (out / tables.TABLE_FOR_PEOPLE).read_text(encoding="utf-8").splitlines():
        say(line)
