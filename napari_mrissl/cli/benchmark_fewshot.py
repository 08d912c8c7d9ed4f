"""``mrissl benchmark fewshot``: what weights are worth from a few labelled scans, as a table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from napari_mrissl.cli.arguments import Flag, Names, Whole, whole_number
from napari_mrissl.cli.benchmark_features import Numbers
from napari_mrissl.cli.pretrain import changes_of
from napari_mrissl.cli.terminal import Progress, resumable, say, say_file, show_json
from napari_mrissl.errors import MrisslError

if TYPE_CHECKING:
    from napari_mrissl.evaluation.fewshot import FewShotSettings

Steps = Annotated[int | None, Parameter(converter=whole_number, n_tokens=1)]


def few_shot(
    *,
    weights: Names,
    data: Path,
    out: Path,
    shots: Numbers = (1, 3, 10),
    draws: Whole = 3,
    mode: Literal["linear", "nonlinear", "full"] = "linear",
    preset: Literal["tiny", "cpu", "gpu"] = "cpu",
    steps: Steps = None,
    learning_rate: float | None = None,
    test: Whole = 40,
    tolerance: float = 1.0,
    voxels: Whole = 30_000,
    decision: Literal["dice", "likeliest"] = "dice",
    seed: Whole = 0,
    device: str = "auto",
    setting: Annotated[
        tuple[str, ...], Parameter(name="--set", negative="", consume_multiple=True)
    ] = (),
    json: Flag = False,
) -> None:
    """Segmentation from a few labelled scans: Dice, HD95, NSD and volumes on test scans.

    Ctrl-C stops; the same command goes on from there, and further weights, shots, draws and
    modes are added to the same folder. table.csv, .md, .tex, .json and .png compare them, with
    paired 95 % intervals and Wilcoxon's test; differences that so many subjects do not allow to
    claim are marked.

    Parameters
    ----------
    weights
        Comma-separated: names of weights, runs or files of weights. With heads also random,
        filters and intensity, and variants such as +scales, +5dB, +zeroed and +intensity, see
        mrissl benchmark features; in full mode also scratch (the same network, drawn; its learning
        rate and length are chosen on a spare subject) and monai (MONAI's residual U-Net).
    data
        A folder with images and labels, whose files have the same names.
    out
        The folder of the comparison.
    shots
        Numbers of training scans, e.g. 1,3,10.
    draws
        How often training scans are drawn.
    mode
        linear or nonlinear: a head on frozen features; full: the whole network is finetuned.
    preset
        Of the finetuning: cpu, gpu or tiny.
    steps
        Of the finetuning; scratch begins with as many.
    learning_rate
        Of the finetuning; for scratch the middle one of three.
    test
        Test scans; one of each subject, never drawn from.
    tolerance
        Of NSD, in mm.
    voxels
        Of each training scan that a head is fitted to.
    decision
        How a head's scores become labels: see mrissl benchmark features.
    seed
        Of split, draws, voxels and training.
    device
        auto, cpu, cuda, cuda:1 ...
    setting
        KEY=VALUE for any other setting of the finetuning, e.g. optimisation.batch=4.
    json
        Print the table as JSON.
    """
    from dataclasses import asdict

    from napari_mrissl.cli.child import stopping_on_signals
    from napari_mrissl.evaluation import fewshot
    from napari_mrissl.evaluation.labelled_scans import labelled_scans
    from napari_mrissl.features import Cancelled

    settings = _settings(
        shots=shots, draws=draws, mode=mode, preset=preset, steps=steps, test=test,
        tolerance_mm=tolerance, voxels=voxels, decision=decision, seed=seed, device=device,
        changes=changes_of(setting), learning_rate=learning_rate,
    )  # fmt: skip
    # What is wrong with the words is said before scans are read.
    fewshot.check(weights, settings)
    scans = labelled_scans(data, Progress("reading labelled scans"))
    if scans.left_out:
        say(f"{scans.left_out} further scans of the same subjects, or copies, are left out")
    with resumable(), stopping_on_signals() as interrupted:
        try:
            rows = fewshot.compare(
                out, weights, scans, settings, tell=say, cancelled=interrupted.is_set
            )
        except Cancelled as reason:
            raise KeyboardInterrupt from reason
    if json:
        show_json({"rows": [asdict(row) for row in rows]})
        return
    from napari_mrissl.evaluation.score_tables import TABLE_FOR_PEOPLE

    say_file(out / TABLE_FOR_PEOPLE)


def _settings(**given: object) -> FewShotSettings:
    from pydantic import ValidationError

    from napari_mrissl.evaluation.fewshot import FewShotSettings

    try:
        return FewShotSettings.model_validate(given)
    except ValidationError as reasons:
        first = reasons.errors(include_url=False)[0]
        place = f"--{first['loc'][0]}".replace("_mm", "").replace("_", "-")
        raise MrisslError(f"{first['input']!r}: {first['msg']}", where=place) from reasons
