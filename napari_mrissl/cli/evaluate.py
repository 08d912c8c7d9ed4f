"""``mrissl evaluate``: predicted label maps against true ones."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from napari_mrissl.cli.arguments import Flag
from napari_mrissl.cli.terminal import Progress, say, show_json


def evaluate(
    *,
    pred: Path,
    truth: Path,
    against: Path | None = None,
    run: Annotated[tuple[Path, ...], Parameter(negative="")] = (),
    out: Path | None = None,
    tolerance: float = 1.0,
    complete: Flag = False,
    file_names: Flag = False,
    json: Flag = False,
) -> None:
    """Dice, HD95, NSD and volumes of predicted label maps, with 95 % intervals over subjects.

    Scans of one subject, told by BIDS names such as sub-02_ses-1, are averaged first.
    Scans that mrissl predict says its network saw in training are left out, with others of
    their subjects. Files belong together by their names; endings such as _dseg and BIDS entities
    that say how a file was made do not count. Nothing is resampled: another grid is refused.
    Every label of the truth counts for every subject; where it is empty in one of both maps Dice
    and NSD are 0 and HD95 is the image's diagonal, where in both they are perfect.
    A true label map without a prediction is in no mean, and said; with --complete it is refused.

    Parameters
    ----------
    pred
        A folder of predicted label maps.
    truth
        A folder of true ones.
    run
        The run that made the predictions, or the file of its weights: scans it saw in training,
        and others of their subjects, are left out. They are told by their true label maps, or
        by the facts that mrissl predict wrote. With --against it may be given once more.
    against
        A folder of other predictions of the same scans: differences are paired by subject.
    out
        A folder for table.csv, .md, .tex, .json and .png, and subjects.csv.
    tolerance
        Of NSD, in mm.
    complete
        Refuse predictions of only some of the true label maps.
    file_names
        Say in subjects.csv, and of label maps without a prediction in the JSON (unpredicted_files),
        what the files are called; leave it out where these are shared.
    json
        Print one JSON object, with mean_dice; without --file-names it holds no names of files.
    """
    from napari_mrissl.evaluation import reports
    from napari_mrissl.evaluation.seen_scans import seen_by, seen_of, untold
    from napari_mrissl.evaluation.segmentations import score_folders

    folders = [pred] if against is None else [pred, against]
    seen = seen_of(folders, truth, seen_by(run))
    scored, *others = (
        score_folders(
            folder,
            truth,
            tolerance_mm=tolerance,
            progress=Progress(f"measuring{more}"),
            seen=seen,
            complete=complete,
        )
        for folder, more in zip(folders, ("", " the others"), strict=False)
    )
    other = others[0] if others else None
    report = reports.report(scored, other, untold=untold(folders, truth, run))
    if out is not None:
        report.write(out, names=file_names)
    if json:
        if missing := reports.missing(scored):
            say(missing)
        show_json(report.facts(names=file_names))
        return
    for line in reports.lines(report.rows):
        say(line)
    say(report.about())
    if missing := reports.missing(scored):
        say(missing)
    for name, dice in report.worst():
        say(f"least mean Dice: {name}, {dice:.3f}")
