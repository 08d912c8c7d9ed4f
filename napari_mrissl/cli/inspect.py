"""``mrissl inspect``: what a pretrained network knows of a scan, beside what knows nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from napari_mrissl.cli.arguments import Flag, Frame, Scan, Whole, within
from napari_mrissl.cli.files import open_scan
from napari_mrissl.cli.terminal import Progress, show, show_json

Run = Annotated[Path, Parameter(name="RUN")]

_MOST_CROPS = 100_000


def vectorpose(
    run: Run,
    scan: Scan,
    /,
    *,
    out: Path,
    crops: Whole = 64,
    seed: Whole = 0,
    shuffled: Path | None = None,
    device: str = "cpu",
    frame: Frame = None,
    json: Flag = False,
) -> None:
    """Measure position, scale and orientation that a VectorPOSE network reads from crops.

    Writes report.json, crops.csv and figures into a new folder: position error in mm, scale
    ratio, orientation, errors of r, theta and phi, each beside that of the best constant
    answer (chance).

    Parameters
    ----------
    run
        The folder of a run, or a file of its weights.
    scan
        NIfTI, MGH, NRRD or MetaImage file, or a folder with one DICOM series; best of a
        person that the network was not trained on.
    out
        The new folder of the report.
    crops
        How many random crops are measured.
    seed
        Of the crops; the same seed gives the same report.
    shuffled
        A run trained with shuffled targets, as one more control.
    device
        auto, cpu, cuda, cuda:1 ...
    frame
        Which frame of a file with several, from 0; without it the first.
    json
        Print one JSON object: what report.json holds.
    """
    from napari_mrissl.evaluation import vectorpose as reports
    from napari_mrissl.evaluation.weights import card_of, scan_for, weights_of
    from napari_mrissl.trajectories.new_folder import check_new_folder

    within("--crops", crops, 1, _MOST_CROPS)
    within("--seed", seed, 0, 2**31 - 1)
    check_new_folder(out)
    # Small files first: a wrong run is refused before a large scan is read.
    for source in (run, shuffled):
        if source is not None:
            card_of(source)
    from napari_mrissl.pretext.vectorpose.inspection import Inspector
    from napari_mrissl.training.collective import device_of

    found = str(device_of(device))
    network = Inspector.open(weights_of(run), found)
    control = Inspector.open(weights_of(shuffled), found) if shuffled is not None else None
    prepared = scan_for(open_scan(scan, frame), network.card)
    report = reports.examine(network, prepared, crops, seed, control, Progress("inspecting"))
    reports.write(report, out)
    if json:
        show_json(report.numbers)
        return
    show(_lines(report.numbers))


def navigation(
    run: Run,
    scan: Scan,
    /,
    *,
    out: Path,
    slices: Whole = 256,
    flights: Whole = 4,
    seed: Whole = 0,
    device: str = "cpu",
    frame: Frame = None,
    json: Flag = False,
) -> None:
    """Measure what a tokenizer, or dynamics on it, knows of a scan, beside chance.

    Writes report.json and figures into a new folder: reconstructions of whole slices and of
    those with three quarters hidden; the place and turn of a slice that a linear probe reads
    from its features (fitted on other slices of the same scan); and of dynamics the errors of
    imagined flights after 1, 4 and 8 steps, and whether actions are heeded.

    Parameters
    ----------
    run
        The folder of a run of the method tokenizer or dynamics, or a file of its weights.
    scan
        NIfTI, MGH, NRRD or MetaImage file, or a folder with one DICOM series; best of a
        person that the network was not trained on.
    out
        The new folder of the report.
    slices
        That the probe is fitted on, and as many others that it is measured on.
    flights
        Of each kind.
    seed
        Of slices and flights; the same seed gives the same report.
    device
        auto, cpu, cuda, cuda:1 ...
    frame
        Which frame of a file with several, from 0; without it the first.
    json
        Print one JSON object: what report.json holds.
    """
    from napari_mrissl.evaluation.weights import card_of, scan_for, weights_of
    from napari_mrissl.networks.slice_cards import slice_network
    from napari_mrissl.trajectories.new_folder import check_new_folder

    within("--slices", slices, 20, 100_000)
    within("--flights", flights, 2, 1000)
    within("--seed", seed, 0, 2**31 - 1)
    check_new_folder(out)
    # Small files first: a wrong run is refused before a large scan is read.
    card = card_of(run)
    slice_network(card)
    from napari_mrissl.evaluation.navigation import inspection
    from napari_mrissl.training.collective import device_of

    prepared = scan_for(open_scan(scan, frame), card)
    report = inspection.examine(
        weights_of(run), prepared, slices, flights, seed, str(device_of(device)),
        Progress("inspecting"),
    )  # fmt: skip
    inspection.write(report, out)
    if json:
        show_json(report.numbers)
        return
    lines: dict[str, object] = {"slices": slices}
    for name, value in report.numbers.items():
        if f"chance_{name}" in report.numbers:
            lines[name.replace("_", " ")] = _beside(value, report.numbers[f"chance_{name}"])
    show(lines)


def _lines(numbers: dict[str, Any]) -> dict[str, object]:
    lines: dict[str, object] = {"crops": numbers["crops"]}
    for name, value in numbers.items():
        if f"chance_{name}" in numbers:
            lines[name.replace("_", " ")] = _beside(value, numbers[f"chance_{name}"])
    restored = numbers.get("restoration", {})
    for name, value in restored.items():
        if f"chance_{name}" in restored:
            lines[f"restoration {name.replace('_', ' ')}"] = _beside(
                value, restored[f"chance_{name}"]
            )
    return lines


def _beside(value: float | None, chance: float | None) -> str:
    said = ["none" if one is None else f"{one:.4g}" for one in (value, chance)]
    return f"{said[0]} (chance {said[1]})"
