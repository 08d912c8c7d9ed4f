"""``mrissl match``: places of two scans that correspond by their features."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from napari_mrissl.cli.arguments import Flag, Vector, Whole
from napari_mrissl.cli.files import open_scan
from napari_mrissl.cli.terminal import Progress, one_sentence, say, show, show_json
from napari_mrissl.errors import MrisslError


def match(
    fixed: Annotated[Path, Parameter(name="FIXED")],
    moving: Annotated[Path, Parameter(name="MOVING")],
    /,
    *,
    out: Path,
    features: Literal["network", "mind"] = "network",
    weights: str = "default",
    scales: Literal["decoder", "output"] = "decoder",
    spacing: float = 0.0,
    count: Whole = 200,
    mutual: float = 3.0,
    apart: float = 10.0,
    least_confidence: float = 0.0,
    memory: float = 128.0,
    fixed_mask: Path | None = None,
    mask: Path | None = None,
    at: Vector | None = None,
    landmarks: Path | None = None,
    overwrite: Flag = False,
    json: Flag = False,
) -> None:
    """Find landmarks of two scans: places of which each is the other's match by features.

    landmarks.csv is what mrissl register --landmarks reads, so that --initial landmarks begins
    with them; match.json holds all figures. Beside each landmark stand the cosine of both
    features, the ratio of their distance to that of the best voxel elsewhere, how far the way
    back ends from where it began, and the confidence: 1 less the ratio.

    Parameters
    ----------
    fixed
        One scan.
    moving
        The other.
    out
        The folder for the results; new or empty.
    features
        What is compared.
    weights
        Of the network: a name, a run, a file, or random.
    scales
        Of a plain U-Net: features of all scales of its decoder, or its output alone.
    spacing
        Of the grid that both scans are brought to, in mm; 0 takes the coarser scan's.
    count
        Landmarks wanted, at most.
    mutual
        How far from where it began the way back may end, in mm.
    apart
        From how many mm on another voxel is a rival of the match.
    least_confidence
        Leave out landmarks below.
    memory
        MiB for the similarities that are compared at one time.
    fixed_mask
        Where landmarks of the fixed scan are looked for.
    mask
        The same for the moving scan.
    at
        A place of the fixed scan in RAS mm whose match is wanted too.
    landmarks
        A table of places known to correspond: the error of their matches is measured, beside
        that of voxels of the body drawn at random.
    overwrite
        Replace files that are in the folder.
    json
        Print one JSON object.
    """
    from napari_mrissl.features.settings import remarks_on
    from napari_mrissl.registration.landmarks import read_landmarks
    from napari_mrissl.registration.match_files import match_scans
    from napari_mrissl.registration.outputs import check_folder

    settings = _settings(
        features=features, weights=weights, decoder=scales == "decoder", spacing_mm=spacing,
        count=count, mutual_mm=mutual, apart_mm=apart, least_confidence=least_confidence,
        memory_mib=memory,
    )  # fmt: skip
    chosen = settings.feature_settings()
    known = None if landmarks is None else read_landmarks(landmarks)
    check_folder(out, overwrite=overwrite)
    scans = [open_scan(path) for path in (fixed, moving)]
    masks = [_mask(path, scan) for path, scan in zip((fixed_mask, mask), scans, strict=True)]
    for scan in scans:
        for remark in remarks_on(scan, chosen):
            say(one_sentence(f"{scan.name}: {remark}"))
    facts = match_scans(
        out,
        scans[0],
        scans[1],
        settings,
        fixed_mask=masks[0],
        moving_mask=masks[1],
        places=() if at is None else [at],
        known=known,
        overwrite=overwrite,
        progress=Progress("matching"),
    )
    if json:
        show_json(facts)
    else:
        show(_lines(facts))


def _settings(**given: object) -> Any:
    from pydantic import ValidationError

    from napari_mrissl.registration.match_settings import MatchSettings

    try:
        return MatchSettings.model_validate(given)
    except ValidationError as reasons:
        first = reasons.errors(include_url=False)[0]
        field = str(first["loc"][0]).removesuffix("_mm").removesuffix("_mib").replace("_", "-")
        raise MrisslError(f"{first['input']!r}: {first['msg']}", where=f"--{field}") from reasons


def _mask(path: Path | None, scan: Any) -> Any:
    from napari_mrissl.volumes import read
    from napari_mrissl.volumes.labels import labels_of

    return None if path is None else labels_of(read(path), scan, path) != 0


def _lines(facts: dict[str, Any]) -> dict[str, object]:
    lines: dict[str, object] = {
        "landmarks": facts["landmarks"],
        "confidence": f"{facts['mean_confidence']:.2f} on average",
        "way back": f"{facts['mean_back_mm']:.2f} mm on average",
    }
    for one in facts.get("matches", ()):
        place = ", ".join(f"{value:.1f}" for value in one["place"])
        lines["match"] = (
            f"{place} mm, cosine {one['similarity']:.3f}, confidence {one['confidence']:.2f}, "
            f"way back {one['back_mm']:.1f} mm"
        )
    if "errors" in facts:
        found = facts["errors"]
        lines["error"] = f"{found['mean_mm']:.2f} mm on average, median {found['median_mm']:.2f} mm"
        lines["error by chance"] = (
            f"{found['chance_mean_mm']:.2f} mm on average, "
            f"median {found['chance_median_mm']:.2f} mm"
        )
    return lines
