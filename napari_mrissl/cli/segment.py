"""``mrissl segment``: prompts to a label map on the scan's own grid."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_mrissl.cli.arguments import Flag, Frame, Names, Scan
from napari_mrissl.cli.files import check_target, open_scan
from napari_mrissl.cli.terminal import Progress, show, show_json
from napari_mrissl.errors import MrisslError

if TYPE_CHECKING:
    from napari_mrissl.segmentation import Prompts, Segmentation, SegmentSettings
    from napari_mrissl.volumes import Volume


def segment(
    scan: Scan,
    /,
    *,
    prompts: Path,
    out: Path,
    features: Names = (),
    scales: Names = (),
    weights: str = "",
    classifier: str = "",
    frame: Frame = None,
    json: Flag = False,
    overwrite: Flag = False,
) -> None:
    """Segment a scan from clicks and scribbles, as the viewer does, voxel for voxel.

    Parameters
    ----------
    scan
        NIfTI, MGH, NRRD or MetaImage file, or a folder with one DICOM series.
    prompts
        CSV with the header x,y,z,label (RAS mm, label >= 1), or the viewer's JSON.
    out
        The label map on the scan's stored grid, e.g. .nii.gz.
    features
        Groups of the filter bank, e.g. intensity,gaussian,mind; the usual ones if not given.
    scales
        Sigmas of the filters in mm, e.g. 1,2,4; the usual ones if not given.
    weights
        Features of this network, by name, run or file; with --features or --scales, besides
        the filter bank.
    classifier
        A classifier by name; the fast one if not given.
    frame
        Which frame of a file with several, from 0; without it the first.
    json
        Print one JSON object.
    overwrite
        Replace a file that is there.
    """
    from napari_mrissl import segmentation
    from napari_mrissl.volumes import WRITABLE_SUFFIXES, write_labels

    settings = _settings(features, scales, weights, classifier)
    check_target(out, WRITABLE_SUFFIXES, overwrite=overwrite, source=scan)
    wanted = segmentation.read_prompts(prompts)
    volume = open_scan(scan, frame)
    if wanted.volume_identity not in (None, volume.identity):
        raise MrisslError(
            "the prompts were placed on another scan",
            where=prompts,
            expected="prompts of this scan",
        )
    start = time.perf_counter()
    result = segmentation.segment(volume, wanted, settings, Progress("segmenting"))
    seconds = time.perf_counter() - start
    write_labels(out, result.labels, volume, overwrite=overwrite)
    facts = summary(volume, wanted, settings, result, seconds)
    if json:
        show_json(facts)
        return
    show(
        {
            f"{row['label']} {row['name']}": f"{row['voxels']} voxels, {row['volume_ml']:.1f} ml"
            for row in facts["labels"]
        }
    )


def summary(
    volume: Volume,
    prompts: Prompts,
    settings: SegmentSettings,
    result: Segmentation,
    seconds: float,
) -> dict[str, Any]:
    """JSON-ready facts about a segmentation, without the name of any file or folder."""
    import numpy as np

    from napari_mrissl import __version__
    from napari_mrissl.segmentation.prompts import labelled_voxels

    counts = np.bincount(result.labels.reshape(-1), minlength=256)
    voxel_ml = abs(float(np.linalg.det(volume.affine[:3, :3]))) / 1000
    return {
        "software": f"napari-mrissl {__version__}",
        "identity": volume.identity,
        "seconds": round(seconds, 3),
        "prompts": len(prompts.points),
        "prompts_outside": labelled_voxels(volume, prompts).outside,
        "labels": [
            {
                "label": kind.label,
                "name": kind.name,
                "voxels": int(counts[kind.label]),
                "volume_ml": round(int(counts[kind.label]) * voxel_ml, 6),
            }
            for kind in prompts.classes
        ],
        "settings": settings.model_dump(mode="json"),
    }


def _settings(
    features: tuple[str, ...], scales: tuple[str, ...], weights: str, classifier: str
) -> SegmentSettings:
    from pydantic import ValidationError

    from napari_mrissl.segmentation import SegmentSettings
    from napari_mrissl.segmentation.classifiers import CLASSIFIERS

    if classifier and classifier not in CLASSIFIERS:
        known = ", ".join(CLASSIFIERS)
        raise MrisslError(f"{classifier!r}", where="--classifier", expected=f"one of {known}")
    chosen: dict[str, Any] = {"classifier": classifier} if classifier else {}
    given = {"groups": features, "scales_mm": scales}
    filters = {name: words for name, words in given.items() if words}
    network: dict[str, Any] = {}
    if weights:
        from napari_mrissl.features.of_weights import settings_of

        network = settings_of(weights).model_dump(mode="json")
    if weights and filters:
        chosen["features"] = {"kind": "combined", "filters": filters, "network": network}
    elif weights:
        chosen["features"] = network
    elif filters:
        chosen["features"] = filters
    try:
        return SegmentSettings.model_validate(chosen)
    except ValidationError as reasons:
        first = reasons.errors(include_url=False)[0]
        cause = first.get("ctx", {}).get("error")
        if isinstance(cause, MrisslError):
            raise cause from reasons
        place = {"groups": "--features", "scales_mm": "--scales", "weights": "--weights"}
        named = next((place[str(p)] for p in first["loc"] if p in place), "settings")
        raise MrisslError(f"{first['input']!r}: {first['msg']}", where=named) from reasons
