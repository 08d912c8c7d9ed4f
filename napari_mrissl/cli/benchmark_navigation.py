"""``mrissl benchmark navigation``: what flying through scans teaches, arm by arm, as a table."""

from __future__ import annotations

from pathlib import Path

from napari_mrissl.cli.arguments import Flag, Whole, within
from napari_mrissl.cli.arms import ALIKE, Arms
from napari_mrissl.cli.pretrain import Optional
from napari_mrissl.cli.terminal import resumable, say, say_file, show_json


def navigation_arms(
    *,
    out: Path,
    alike: Arms = ALIKE,
    preset: str = "cpu",
    steps: Optional = None,
    subjects: Whole = 32,
    slices: Whole = 48,
    flights: Whole = 2,
    json: Flag = False,
) -> None:
    """Arms of slice navigation at equal budgets: static, tokenizer only, three dynamics.

    Ctrl-C stops after the running step; the same command goes on from there. table.csv, .md and
    .json compare probes of frozen features, reconstructions and rollouts on held-out subjects,
    beside a random network, plain pixels, the mere edge of the scan, and chance.

    Parameters
    ----------
    out
        The folder of the comparison; each arm is a run in it.
    preset
        tiny, cpu or gpu.
    steps
        Optimiser steps of the tokenizer, and as many again of what follows it in each arm.
    alike
        Data and settings of all arms.
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
    changes = alike.changes(steps)
    # Settings are checked before scans are read, which may take minutes.
    checked = arms(None, preset, changes)
    budgets(checked)
    own_seed = next(iter(checked.values())).settings.seed
    runs = arms(alike.read(own_seed), preset, changes)
    settings = benchmark.ProbeSettings(
        train_subjects=subjects,
        test_subjects=max(1, subjects // 2),
        slices=slices,
        pairs=max(2, slices // 3),
        flights=flights,
        seed=own_seed,
    )
    with resumable(), stopping_on_signals() as interrupted:
        rows = benchmark.compare(
            out,
            runs,
            lambda run: train(run, interrupted),
            settings,
            tell=say,
            stop=interrupted.is_set,
        )
    if json:
        show_json(tables.as_json(rows, budgets(runs), benchmark.facts(runs, settings)))
        return
    say_file(out / tables.TABLE_FOR_PEOPLE)
