"""``mrissl inspect gap``, ``routes`` and ``chunks``: the observable tasks on a scan."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from napari_mrissl.cli.arguments import Flag, Frame, Scan, Whole, within
from napari_mrissl.cli.files import open_scan
from napari_mrissl.cli.terminal import Progress, show, show_json

if TYPE_CHECKING:
    from napari_mrissl.evaluation.observable import Part

Run = Annotated[Path, Parameter(name="RUN")]


def gap(
    run: Run,
    scan: Scan,
    /,
    *,
    out: Path,
    views: Whole = 8,
    rows: Whole = 32,
    sets: Whole = 16,
    seed: Whole = 0,
    shuffled: Path | None = None,
    device: str = "cpu",
    frame: Frame = None,
    json: Flag = False,
) -> None:
    """Measure how far apart a network finds views of a scan: the gap matrix, beside chance.

    Writes report.json, the matrix of random views and that of equidistant ones along S as CSV,
    and both as maps: true, predicted, error. Beside each number is what the best constant
    answer is worth (chance); controls are the same network untrained, and grey values alone.

    Parameters
    ----------
    run
        The folder of a run of the method observable, or a file of its weights.
    scan
        NIfTI, MGH, NRRD or MetaImage file, or a folder with one DICOM series; best of a
        person that the network was not trained on.
    out
        The new folder of the report.
    views
        Random views of the matrix that is drawn.
    rows
        Equidistant views along S of the other matrix.
    sets
        Of five random views each, that the numbers are measured on.
    seed
        Of the views; the same seed gives the same report.
    shuffled
        A run trained with shuffled targets, as one more control.
    device
        auto, cpu, cuda, cuda:1 ...
    frame
        Which frame of a file with several, from 0; without it the first.
    json
        Print one JSON object: what report.json holds.
    """
    within("--views", views, 2, 64)
    within("--rows", rows, 2, 256)
    sizes = {"views": views, "rows": rows}
    _examine("gap", run, scan, out, sizes, sets, seed, shuffled, device, frame, json)


def routes(
    run: Run,
    scan: Scan,
    /,
    *,
    out: Path,
    views: Whole = 5,
    sets: Whole = 16,
    seed: Whole = 0,
    shuffled: Path | None = None,
    device: str = "cpu",
    frame: Frame = None,
    json: Flag = False,
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
    out
        The new folder of the report.
    views
        Random views of the matrix that is drawn; routes visit the first five.
    sets
        Of five random views each, that the numbers are measured on.
    seed
        Of the views; the same seed gives the same report.
    shuffled
        A run trained with shuffled targets, as one more control.
    device
        auto, cpu, cuda, cuda:1 ...
    frame
        Which frame of a file with several, from 0; without it the first.
    json
        Print one JSON object: what report.json holds.
    """
    within("--views", views, 2, 64)
    _examine("routes", run, scan, out, {"views": views}, sets, seed, shuffled, device, frame, json)


def chunks(
    run: Run,
    scan: Scan,
    /,
    *,
    out: Path,
    views: Whole = 5,
    sets: Whole = 16,
    seed: Whole = 0,
    shuffled: Path | None = None,
    device: str = "cpu",
    frame: Frame = None,
    json: Flag = False,
) -> None:
    """Measure whether a network finds the parts of two views that face each other, beside chance.

    Writes report.json, the cosines of the four chunks of each pair of views as CSV, and
    pictures. Controls are the same network untrained, and correlations of grey values.

    Parameters
    ----------
    run
        The folder of a run of the method observable, or a file of its weights.
    scan
        NIfTI, MGH, NRRD or MetaImage file, or a folder with one DICOM series; best of a
        person that the network was not trained on.
    out
        The new folder of the report.
    views
        Random views whose pairs are drawn.
    sets
        Of five random views each, that the numbers are measured on.
    seed
        Of the views; the same seed gives the same report.
    shuffled
        A run trained with shuffled targets, as one more control.
    device
        auto, cpu, cuda, cuda:1 ...
    frame
        Which frame of a file with several, from 0; without it the first.
    json
        Print one JSON object: what report.json holds.
    """
    within("--views", views, 2, 64)
    _examine("chunks", run, scan, out, {"views": views}, sets, seed, shuffled, device, frame, json)


def _examine(
    part: Part,
    run: Path,
    scan: Path,
    out: Path,
    sizes: dict[str, int],
    sets: int,
    seed: int,
    shuffled: Path | None,
    device: str,
    frame: int | None,
    json: bool,
) -> None:
    from napari_mrissl.evaluation.observable import examine
    from napari_mrissl.evaluation.observable_files import write
    from napari_mrissl.evaluation.weights import card_of, scan_for, weights_of
    from napari_mrissl.trajectories.new_folder import check_new_folder

    within("--sets", sets, 1, 10_000)
    within("--seed", seed, 0, 2**31 - 1)
    check_new_folder(out)
    # Small files first: a wrong run is refused before a large scan is read.
    for source in (run, shuffled):
        if source is not None:
            card_of(source)
    from napari_mrissl.pretext.observable.inspection import Inspector
    from napari_mrissl.training.collective import device_of

    found = str(device_of(device))
    network = Inspector.open(weights_of(run), found)
    control = Inspector.open(weights_of(shuffled), found) if shuffled is not None else None
    prepared = scan_for(open_scan(scan, frame), network.card)
    report = examine(
        network, prepared, part, **sizes, sets=sets, seed=seed, shuffled=control,
        progress=Progress("inspecting"),
    )  # fmt: skip
    write(report, out)
    if json:
        show_json(report.numbers)
        return
    show(_lines(report.numbers))


def _lines(numbers: dict[str, Any]) -> dict[str, object]:
    lines: dict[str, object] = {"sets of views": numbers["sets"]}
    for name, value in numbers.items():
        if f"chance_{name}" in numbers:
            lines[name.replace("_", " ")] = _beside(value, numbers[f"chance_{name}"])
    for control, values in numbers["controls"].items():
        for name in ("mae_mm", "chunk_accuracy"):
            if values.get(name) is not None:
                lines[f"{name} of {control}".replace("_", " ")] = f"{values[name]:.4g}"
    return lines


def _beside(value: float | None, chance: float | None) -> str:
    said = ["none" if one is None else f"{one:.4g}" for one in (value, chance)]
    return f"{said[0]} (chance {said[1]})"
