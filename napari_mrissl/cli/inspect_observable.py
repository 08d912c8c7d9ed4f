"""``mrissl inspect gap``, ``routes`` and ``chunks``: the observable tasks on a scan."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_mrissl.cli.arguments import Scan, Whole, within
from napari_mrissl.cli.examination import Examination, Run, beside_chance, known_to, whether_known
from napari_mrissl.cli.terminal import Progress, show, show_json

if TYPE_CHECKING:
    from napari_mrissl.evaluation.observable import Part


def gap(
    run: Run,
    scan: Scan,
    /,
    *,
    asked: Examination,
    views: Whole = 8,
    rows: Whole = 32,
    sets: Whole = 16,
    shuffled: Path | None = None,
) -> None:
    """Measure how far apart a network finds views of a scan: the gap matrix, beside chance.

    Writes report.json, the matrix of random views and that of equidistant ones along S as CSV,
    and both as maps: true, predicted, error. Beside each number is what the best constant
    answer is worth (chance); controls are the same network untrained (mean and best of several
    draws of its weights), and grey values alone.

    Parameters
    ----------
    run
        The folder of a run of the method observable, or a file of its weights.
    scan
        NIfTI, MGH, NRRD or MetaImage file, or a folder with one DICOM series; best of a
        person that the network was not trained on.
    views
        Random views of the matrix that is drawn.
    rows
        Equidistant views along S of the other matrix.
    sets
        Of five random views each, that the numbers are measured on.
    shuffled
        A run of the same settings, trained with shuffled targets, as one more control.
    """
    within("--views", views, 2, 64)
    within("--rows", rows, 2, 256)
    _examine("gap", run, scan, asked, {"views": views, "rows": rows}, sets, shuffled)


def routes(
    run: Run,
    scan: Scan,
    /,
    *,
    asked: Examination,
    views: Whole = 5,
    sets: Whole = 16,
    shuffled: Path | None = None,
) -> None:
    """Measure where predicted vectors lead from view to view, beside chance.

    Writes report.json, the vectors and all routes over five views as CSV, and pictures: true
    paths and predicted ones. Of the edge head also how far closed routes miss their start; of
    the potential head that is 0 whatever it learned.

    Parameters
    ----------
    run
        The folder of a run of the method observable, or a file of its weights.
    scan
        NIfTI, MGH, NRRD or MetaImage file, or a folder with one DICOM series; best of a
        person that the network was not trained on.
    views
        Random views of the matrix that is drawn; routes visit the first five.
    sets
        Of five random views each, that the numbers are measured on.
    shuffled
        A run of the same settings, trained with shuffled targets, as one more control.
    """
    within("--views", views, 2, 64)
    _examine("routes", run, scan, asked, {"views": views}, sets, shuffled)


def chunks(
    run: Run,
    scan: Scan,
    /,
    *,
    asked: Examination,
    views: Whole = 5,
    sets: Whole = 16,
    shuffled: Path | None = None,
) -> None:
    """Measure whether a network finds the parts of two views that face each other, beside chance.

    Writes report.json, the cosines of the four chunks of each pair of views as CSV, and
    pictures. Controls are the same network untrained (mean and best of several draws of its
    weights), and correlations of grey values.

    Parameters
    ----------
    run
        The folder of a run of the method observable, or a file of its weights.
    scan
        NIfTI, MGH, NRRD or MetaImage file, or a folder with one DICOM series; best of a
        person that the network was not trained on.
    views
        Random views whose pairs are drawn.
    sets
        Of five random views each, that the numbers are measured on.
    shuffled
        A run of the same settings, trained with shuffled targets, as one more control.
    """
    within("--views", views, 2, 64)
    _examine("chunks", run, scan, asked, {"views": views}, sets, shuffled)


def _examine(
    part: Part,
    run: Path,
    scan: Path,
    asked: Examination,
    sizes: dict[str, int],
    sets: int,
    shuffled: Path | None,
) -> None:
    from napari_mrissl.evaluation.observable import examine
    from napari_mrissl.evaluation.observable_files import write
    from napari_mrissl.evaluation.weights import weights_of

    within("--sets", sets, 1, 10_000)
    asked.begin(run, shuffled)
    from napari_mrissl.pretext.observable.inspection import Inspector

    device = asked.found_device()
    network = Inspector.open(weights_of(run), device)
    control = Inspector.open(weights_of(shuffled), device) if shuffled is not None else None
    prepared = asked.read(scan, network.card)
    report = examine(
        network, prepared, part, **sizes, sets=sets, seed=asked.seed, shuffled=control,
        progress=Progress("inspecting"),
    )  # fmt: skip
    report.numbers.update(known_to(run, prepared))
    write(report, asked.out)
    if asked.json:
        show_json(report.numbers)
        return
    show(_lines(report.numbers))


def _lines(numbers: dict[str, Any]) -> dict[str, object]:
    lines = {"sets of views": numbers["sets"]} | beside_chance(numbers)
    for control, values in numbers["controls"].items():
        for name in ("mae_mm", "chunk_accuracy", "chunk_accuracy_separate"):
            if values.get(name) is not None:
                lines[f"{name} of {control}".replace("_", " ")] = f"{values[name]:.4g}"
    return lines | whether_known(numbers)
