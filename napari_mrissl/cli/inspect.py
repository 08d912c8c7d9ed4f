"""``mrissl inspect``: what a pretrained network knows of a scan, beside what knows nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from napari_mrissl.cli.arguments import Scan, Whole, within
from napari_mrissl.cli.examination import Examination, Run, beside_chance, known_to, whether_known
from napari_mrissl.cli.terminal import Progress, show, show_json

_MOST_CROPS = 100_000


def vectorpose(
    run: Run,
    scan: Scan,
    /,
    *,
    asked: Examination,
    crops: Whole = 64,
    shuffled: Path | None = None,
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
    crops
        How many random crops are measured.
    shuffled
        A run trained with shuffled targets, as one more control.
    """
    from napari_mrissl.evaluation import vectorpose as reports
    from napari_mrissl.evaluation.weights import weights_of

    within("--crops", crops, 1, _MOST_CROPS)
    asked.begin(run, shuffled)
    from napari_mrissl.pretext.vectorpose.inspection import Inspector

    device = asked.found_device()
    network = Inspector.open(weights_of(run), device)
    control = Inspector.open(weights_of(shuffled), device) if shuffled is not None else None
    prepared = asked.read(scan, network.card)
    report = reports.examine(network, prepared, crops, asked.seed, control, Progress("inspecting"))
    report.numbers.update(known_to(run, prepared))
    reports.write(report, asked.out)
    if asked.json:
        show_json(report.numbers)
        return
    show(_lines(report.numbers))


def navigation(
    run: Run,
    scan: Scan,
    /,
    *,
    asked: Examination,
    slices: Whole = 256,
    flights: Whole = 4,
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
    slices
        That the probe is fitted on, and as many others that it is measured on.
    flights
        Of each kind.
    """
    from napari_mrissl.evaluation.weights import weights_of
    from napari_mrissl.networks.slice_cards import slice_network

    within("--slices", slices, 20, 100_000)
    within("--flights", flights, 2, 1000)
    card = asked.begin(run)
    slice_network(card)
    from napari_mrissl.evaluation.navigation import inspection

    prepared = asked.read(scan, card)
    report = inspection.examine(
        weights_of(run), prepared, slices, flights, asked.seed, asked.found_device(),
        Progress("inspecting"),
    )  # fmt: skip
    report.numbers.update(known_to(run, prepared))
    inspection.write(report, asked.out)
    if asked.json:
        show_json(report.numbers)
        return
    lines = {"slices": slices} | beside_chance(report.numbers)
    show(lines | whether_known(report.numbers))


def _lines(numbers: dict[str, Any]) -> dict[str, object]:
    restored = beside_chance(numbers.get("restoration", {}), "restoration ")
    lines = {"crops": numbers["crops"]} | beside_chance(numbers) | restored
    return lines | whether_known(numbers)
