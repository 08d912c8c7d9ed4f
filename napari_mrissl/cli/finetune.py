"""``mrissl finetune``: a few labelled scans teach a network a segmentation, in the foreground."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from napari_mrissl.cli.arguments import Flag, Names, Whole
from napari_mrissl.cli.pretrain import changes_of, report, trained
from napari_mrissl.cli.terminal import Progress, say, show_json

Optional = Annotated[Whole | None, Parameter(negative="")]
Spacing = Annotated[tuple[float, float, float] | None, Parameter(negative="")]


def finetune(
    *,
    images: Path,
    out: Path,
    labels: Path | None = None,
    prompts: Path | None = None,
    subjects: Names = (),
    validation: Names = (),
    weights: str = "",
    mode: str = "",
    preset: str = "",
    steps: Optional = None,
    batch: Optional = None,
    learning_rate: Annotated[float | None, Parameter(negative="")] = None,
    spacing: Spacing = None,
    native: Flag = False,
    unlabelled: Optional = None,
    seed: Whole = 0,
    device: str = "auto",
    setting: Annotated[
        tuple[str, ...], Parameter(name="--set", negative="", consume_multiple=True)
    ] = (),
    prepare: Flag = False,
    json: Flag = False,
) -> None:
    """Finetune a network on labelled scans; Ctrl-C stops after the running step.

    `mrissl run resume RUN` goes on where it stopped, `mrissl predict RUN SCAN` segments scans.

    Parameters
    ----------
    images
        A folder of scans, or one scan.
    out
        The new folder of the run.
    labels
        A folder of label maps with the scans' names (or those with _dseg, _seg, _label behind
        them), or one label map.
    prompts
        A folder of clicks, .csv or .json, with the scans' names, or one file; they correct
        label maps, and where there is none all other voxels count as not labelled. A class
        that a .json calls background is 0.
    subjects
        Scans to learn from, by name, e.g. A,B,C; all with labels if not given.
    validation
        Scans to measure on meanwhile, by name; the best weights there are then used.
    weights
        default (those that ship), a name, a run, a file, or scratch.
    mode
        full (all weights), or linear or nonlinear: a head on frozen features.
    preset
        cpu (minutes) or gpu (the published schedule).
    steps
        Optimiser steps in all.
    batch
        Crops of a step.
    learning_rate
        Peak, of the head.
    spacing
        What scans are resampled to, mm along S, A, R; without it the median of the scans.
    native
        Take each scan at its own spacing.
    unlabelled
        Value in label maps of voxels of which nothing is known.
    seed
        The same seed gives the same run.
    device
        auto, cpu, cuda, cuda:1 ...
    setting
        KEY=VALUE for any other setting, e.g. spatial.degrees=10 or checkpoint.every=50.
    prepare
        Only write the folder of the run, to be trained by mrissl run resume.
    json
        Print one JSON object: where the run stopped.
    """
    from napari_mrissl.segmentation import finetuning

    chosen: dict[str, Any] = {
        "weights": weights,
        "mode": mode,
        "preset": preset,
        "steps": steps,
        "batch": batch,
        "learning_rate": learning_rate,
        "spacing": "native" if native else spacing,
        "unlabelled": unlabelled,
    }
    given = {name: value for name, value in chosen.items() if value not in (None, "")}
    settings = finetuning.chosen_settings(
        {**given, "seed": seed, "device": device, "changes": changes_of(setting)}
    )
    pairs = finetuning.labelled_pairs(
        images, labels, prompts=prompts, subjects=subjects, held_out=validation
    )
    run = finetuning.prepare(settings, pairs, out, progress=Progress("reading scans"))
    for note in run.identity.notes:
        say(note)
    held_out = sum(pair.held_out for pair in pairs)
    say(f"{len(pairs) - held_out} scans to learn from, {held_out} to measure on")
    if not prepare:
        report(run, trained(run, 1), json=json)
    elif json:
        show_json({"name": "queued", "step": 0, "steps": run.settings.optimisation.steps})
