"""``mrissl evaluate``: predicted label maps against true ones."""

from __future__ import annotations

from pathlib import Path

from napari_mrissl.cli.arguments import Flag
from napari_mrissl.cli.terminal import Progress, say, show_json


def evaluate(
    *,
    pred: Path,
    truth: Path,
    against: Path | None = None,
    out: Path | None = None,
    tolerance: float = 1.0,
    file_names: Flag = False,
    json: Flag = False,
) -> None:
    """Dice, HD95, NSD and volumes of predicted label maps, with 95 % intervals over subjects.

    Files belong together by their names; endings such as _dseg and BIDS entities that say how a
    file was made do not count. Nothing is resampled: another grid is refused. Every label of the
    truth counts for every subject; where it is empty in one of both maps Dice and NSD are 0 and
    HD95 is the image's diagonal, where in both they are perfect.

    Parameters
    ----------
    pred
        A folder of predicted label maps.
    truth
        A folder of true ones.
    against
        A folder of other predictions of the same scans: differences are paired by subject.
    out
        A folder for table.csv, .md, .tex, .json and .png, and subjects.csv.
    tolerance
        Of NSD, in mm.
    file_names
        Say in subjects.csv what the files are called; leave it out where tables are shared.
    json
        Print one JSON object, with mean_dice; it holds no names of files.
    """
    from napari_mrissl.evaluation import reports
    from napari_mrissl.evaluation.segmentations import score_folders

    scored = score_folders(pred, truth, tolerance_mm=tolerance, progress=Progress("measuring"))
    other = None
    if against is not None:
        other = score_folders(
            against, truth, tolerance_mm=tolerance, progress=Progress("measuring the others")
        )
    report = reports.report(scored, other)
    if out is not None:
        report.write(out, names=file_names)
    if json:
        show_json(report.facts())
        return
    for line in reports.lines(report.rows):
        say(line)
    say(reports.about(scored))
    for name, dice in report.worst():
        say(f"least mean Dice: {name}, {dice:.3f}")
