"""``mrissl predict``: a finetuned network's label maps of many scans, on their own grids."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from napari_mrissl.cli.arguments import Flag, Whole
from napari_mrissl.cli.terminal import Progress, one_sentence, say, show, show_json
from napari_mrissl.errors import MrisslError

if TYPE_CHECKING:
    from napari_mrissl.segmentation.many_scans import Existing, Outcome
    from napari_mrissl.segmentation.prediction import PredictionSettings

_SEEN = "seen in training: no measure of the network"


def predict(
    run: Path,
    /,
    *scans: Annotated[Path, Parameter(name="SCAN")],
    out: Path,
    names: Literal["bids", "same"] = "bids",
    flips: Literal["none", "safe", "all"] = "safe",
    window: Whole = 0,
    overlap: float = 0.5,
    probabilities: Flag = False,
    device: str = "auto",
    missing: Flag = False,
    overwrite: Flag = False,
    json: Flag = False,
) -> None:
    """Segment scans with a finetuned network; a scan that cannot be read does not stop the others.

    Scans that the network was trained on, or that its weights were chosen by, are marked.
    Each label map is written whole or not at all; Ctrl-C keeps those that are done, and
    --missing goes on with the others.

    Parameters
    ----------
    run
        The folder of a run of mrissl finetune, or the file of its weights.
    scans
        Files, DICOM folders, folders of scans, a .txt list, a BIDS tree, or a table.
    out
        The folder for the results; it may be new.
    names
        bids makes BIDS derivatives: sub-.../anat/..._dseg.nii.gz with a table of labels and the
        facts beside it; same keeps the names of the scans' files, with the facts in a folder.
    flips
        Average over mirrored copies of the scan. safe uses copies mirrored front to back and top
        to bottom where the finetuning mirrored its own crops in that way, which it does only
        with --set spatial.mirror=safe and in no preset; without it, safe is the same as none.
        all also mirrors left to right, which may exchange structures of both sides.
    window
        Voxels along each side of the sliding window; 0 takes what suits network and memory.
    overlap
        Of neighbouring windows, as a share of their side, at most 0.9.
    probabilities
        Also write the probability of each class but the background.
    device
        auto, cpu, cuda, cuda:1 ...
    missing
        Leave out scans whose label maps are there already.
    overwrite
        Replace label maps that are there.
    json
        Print one JSON object.
    """
    from napari_mrissl.segmentation.finetuning import SavedSegmenter
    from napari_mrissl.segmentation.many_scans import facts_of, predict_scans, scans_of
    from napari_mrissl.training.known_scans import silent, trained_on

    if not scans:
        raise MrisslError("no scan given", where="SCAN", expected="files or folders")
    settings = _settings(flips, window, overlap, probabilities, device)
    existing = existing_of(missing=missing, overwrite=overwrite)
    segmenter = SavedSegmenter.load(run)
    model = facts_of(segmenter)
    places = scans_of(scans)
    untold = silent(run)
    if untold:
        say(
            "Not all is known that this network was trained on, as the weights it began from do "
            "not say it: scans that are not marked may have been seen."
        )
    counted = f"{len(places)} scan{'s' * (len(places) > 1)}"
    began = time.monotonic()

    def tell(outcome: Outcome) -> None:
        if outcome.error is not None:
            say(one_sentence(f"left out: {outcome.error}"))

    outcomes = predict_scans(
        segmenter,
        places,
        out,
        settings,
        names=names,
        existing=existing,
        model=model,
        colors=segmenter.colors,
        seen=trained_on(run),
        untold=untold,
        progress=Progress(f"segmenting {counted}"),
        tell=tell,
    )
    seconds = time.monotonic() - began
    if json:
        show_json(
            {
                "model": model,
                "settings": settings.model_dump(mode="json"),
                "classes": {str(label): name for label, name in segmenter.classes.items()},
                "seconds": round(seconds, 3),
                "training_unknown": untold,
                "scans": [plain_outcome(outcome) for outcome in outcomes],
            }
        )
    else:
        show(lines_of(outcomes, segmenter.classes, _SEEN))
    failed = sum(outcome.state == "failed" for outcome in outcomes)
    if failed:
        raise MrisslError(
            f"{failed} of {counted} could not be segmented", remedy="the lines above say why"
        )


def existing_of(*, missing: bool, overwrite: bool) -> Existing:
    """What two flags say of results that are there.

    Raises
    ------
    MrisslError
        If both are given.
    """
    if missing and overwrite:
        raise MrisslError("--missing and --overwrite", expected="one of them")
    return "skip" if missing else "replace" if overwrite else "refuse"


def _settings(
    flips: str, window: int, overlap: float, probabilities: bool, device: str
) -> PredictionSettings:
    from pydantic import ValidationError

    from napari_mrissl.segmentation.prediction import PredictionSettings

    content = {
        "flips": flips,
        "window": window,
        "overlap": overlap,
        "probabilities": probabilities,
        "device": device,
    }
    try:
        return PredictionSettings.model_validate(content)
    except ValidationError as reasons:
        first = reasons.errors(include_url=False)[0]
        raise MrisslError(
            f"{first['input']!r}: {first['msg']}", where=f"--{first['loc'][0]}"
        ) from reasons


def plain_outcome(outcome: Outcome) -> dict[str, Any]:
    """What became of a scan, JSON-ready."""
    return {
        "scan": outcome.scan,
        "state": outcome.state,
        "identity": outcome.identity,
        "labels": outcome.labels.as_posix() if outcome.labels is not None else None,
        "volumes_ml": {str(label): round(ml, 6) for label, ml in outcome.volumes_ml.items()},
        "seconds": round(outcome.seconds, 3),
        "error": outcome.error,
        "seen_in_training": outcome.seen,
    }


def lines_of(outcomes: list[Outcome], classes: dict[int, str], seen: str) -> dict[str, str]:
    """What became of scans, for people; with what is said of one that was known before."""
    lines = {}
    for number, outcome in enumerate(outcomes, 1):
        volumes = ", ".join(
            f"{classes[label]} {ml:.2f} ml" for label, ml in outcome.volumes_ml.items() if label
        )
        said = {"done": volumes, "skipped": "there already", "failed": "left out"}[outcome.state]
        if outcome.seen:
            said += f", {seen}"
        lines[f"{number} {outcome.scan}"] = said
    return lines
