"""``mrissl inspect coordinates`` and ``diffusion``: body coordinates, and what they guide."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from napari_mrissl.cli.arguments import Scan, Whole, within
from napari_mrissl.cli.examination import Examination, Run, beside_chance, known_to, whether_known
from napari_mrissl.cli.terminal import Progress, show, show_json

_NOTHING: Mapping[str, object] = MappingProxyType({})


def coordinates(
    run: Run,
    scan: Scan,
    /,
    *,
    asked: Examination,
    points: Whole = 2000,
    other: Path | None = None,
) -> None:
    """Measure how body coordinates rise through a scan, beside chance.

    Writes report.json, points.csv and a picture: for right, anterior and superior the rank
    correlation of a coordinate with the place along its axis, the error in mm, and how far from
    a point the one lies that has its coordinates in the same scan with other grey values. The
    control is the same network untrained.

    Parameters
    ----------
    run
        The folder of a run of the method coordinates, or a file of its weights.
    scan
        NIfTI, MGH, NRRD or MetaImage file, or a folder with one DICOM series; best of a
        person that the network was not trained on.
    points
        Of the body, that are measured.
    other
        Another scan, in which each point is found again by its coordinates. How far that is
        from where an affine alignment of both scans puts it is said beside a random place of
        the other body (chance), the same place in the world (header) and the untrained network.
    """
    from napari_mrissl.evaluation import body_coordinates as reports
    from napari_mrissl.evaluation.weights import weights_of

    within("--points", points, 10, 20_000)
    asked.begin(run)
    from napari_mrissl.pretext.coordinates.inspection import Inspector

    network = Inspector.open(weights_of(run), asked.found_device())
    prepared = asked.read(scan, network.card)
    second = None if other is None else asked.read(other, network.card)
    report = reports.examine(network, prepared, points, asked.seed, Progress("inspecting"))
    report.numbers.update(known_to(run, prepared))
    try:
        if second is not None:
            from napari_mrissl.evaluation.same_places import compare

            progress = Progress("comparing")
            found = compare(network, prepared, report.points_mm, second, asked.seed, progress)
            report.numbers.update(found)
    finally:
        # What is known of the one scan is kept where the other cannot be compared.
        reports.write(report, asked.out)
    _say(report.numbers, asked, _across(report.numbers))


def diffusion(
    run: Run, scan: Scan, /, *, asked: Examination, patches: Whole = 16, steps: Whole = 20
) -> None:
    """Measure how well noise is found at five signal-to-noise ratios, and what guidance does.

    Writes report.json and a picture. Beside each loss are the best that a denoiser can do that
    takes each voxel by itself (chance), and the best linear filter of the power spectrum that
    patches of the training had (wiener). Guidance: losses with true coordinates, none, such of
    another place, and those of another patch, by the same noise; and patches that are drawn out
    of that noise.

    Parameters
    ----------
    run
        The folder of a run of the method diffusion, or a file of its weights.
    scan
        NIfTI, MGH, NRRD or MetaImage file, or a folder with one DICOM series; best of a
        person that the network was not trained on.
    patches
        That are measured.
    steps
        Of DDIM, for the patches that are drawn.
    """
    from napari_mrissl.evaluation import diffusion as reports
    from napari_mrissl.evaluation.weights import weights_of

    within("--patches", patches, 2, 1000)
    within("--steps", steps, 2, 250)
    asked.begin(run)
    from napari_mrissl.pretext.diffusion.inspection import Inspector

    network = Inspector.open(weights_of(run), asked.found_device())
    prepared = asked.read(scan, network.card)
    progress = Progress("inspecting")
    report = reports.examine(network, prepared, patches, steps, asked.seed, progress)
    report.numbers.update(known_to(run, prepared))
    reports.write(report, asked.out)
    _say(report.numbers, asked)


def _say(
    numbers: dict[str, Any], asked: Examination, more: Mapping[str, object] = _NOTHING
) -> None:
    if asked.json:
        show_json(numbers)
        return
    show(beside_chance(numbers) | dict(more) | whether_known(numbers))


def _across(numbers: dict[str, Any]) -> dict[str, object]:
    """Lines of what finding points in another scan is compared with, if that was asked for."""
    if "across_points" not in numbers:
        return {}
    outside = numbers["across_outside"]
    return {
        "across: the same place in the world": f"median {numbers['header_across_median_mm']:.4g}, "
        f"p90 {numbers['header_across_p90_mm']:.4g} mm",
        "across: untrained": f"median {numbers['untrained_across_median_mm']:.4g} mm",
        "across: points": f"{numbers['across_points']} ({outside} more are not in the other body)",
        "across: reference": "an affine alignment of both scans, which errs too",
    }
