"""``mrissl transfer``: one labelled scan registered to others, whose labels it gives."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from napari_mrissl.cli.arguments import Flag
from napari_mrissl.cli.files import open_scan
from napari_mrissl.cli.predict import existing_of, lines_of, plain_outcome
from napari_mrissl.cli.register import Range, settings_from
from napari_mrissl.cli.terminal import Progress, one_sentence, say, show, show_json
from napari_mrissl.errors import MrisslError

if TYPE_CHECKING:
    from napari_mrissl.segmentation.many_scans import Outcome

_SEEN = "the labelled scan itself: no measure of the transfer"


def transfer(
    labelled: Annotated[Path, Parameter(name="LABELLED")],
    labels: Annotated[Path, Parameter(name="LABELS")],
    /,
    *scans: Annotated[Path, Parameter(name="SCAN")],
    out: Path,
    names: Literal["bids", "same"] = "bids",
    initial: Literal["header", "centres", "moments"] = "centres",
    linear: Literal["none", "rigid", "affine"] = "affine",
    features: Literal["mind", "network", "both", "intensity"] = "mind",
    weights: str | None = None,
    smoothness: float | None = None,
    spacing: float | None = None,
    memory: float | None = None,
    labelled_window: Range = None,
    window: Range = None,
    mask: Path | None = None,
    device: str | None = None,
    missing: Flag = False,
    overwrite: Flag = False,
    json: Flag = False,
) -> None:
    """Give scans the labels of one labelled scan, which is registered to each; nothing is trained.

    A starting point for correction, or for mrissl finetune. A scan that cannot be read or
    registered does not stop the others. Each label map is written whole or not at all; Ctrl-C
    keeps those that are done, and --missing goes on with the others.

    Parameters
    ----------
    labelled
        The labelled scan.
    labels
        Its label map, on its grid.
    scans
        Files, DICOM folders, folders of scans, a .txt list, a BIDS tree, or a table.
    out
        The folder for the results; it may be new.
    names
        Of the results, see mrissl predict.
    initial
        Begin with the headers, the middles of both grids, or centres of mass and axes.
    linear
        What follows by mutual information: none, rigid or affine.
    features
        What the deformable part compares.
    weights
        Of the network: a name, a run, a file, or random.
    smoothness
        Of the field; larger is smoother.
    spacing
        Of the grid on which features are compared in mm; 0 takes each scan's.
    memory
        GiB that the deformable part may take.
    labelled_window
        Two values that the labelled scan is clipped to, e.g. -450 450 for a CT.
    window
        The same for the scans.
    mask
        Of the labelled scan: nothing outside is compared.
    device
        auto, cpu, cuda, cuda:1 ...
    missing
        Leave out scans whose label maps are there already.
    overwrite
        Replace label maps that are there.
    json
        Print one JSON object.
    """
    from napari_mrissl.segmentation.many_scans import label_scans, scans_of
    from napari_mrissl.segmentation.transfer import TRANSFER_SETTINGS, Transfer
    from napari_mrissl.volumes import read
    from napari_mrissl.volumes.labels import labels_of

    if not scans:
        raise MrisslError("no scan given", where="SCAN", expected="files or folders")
    settings = settings_from(
        TRANSFER_SETTINGS,
        {
            "initial": initial,
            "linear": linear,
            "features": features,
            "weights": weights,
            "smoothness": smoothness,
            "spacing_mm": spacing,
            "memory_gib": memory,
            "fixed_window": window,
            "moving_window": labelled_window,
            "device": device,
        },
    )
    existing = existing_of(missing=missing, overwrite=overwrite)
    places = scans_of(scans)
    volume = open_scan(labelled)
    chosen = Transfer(
        volume,
        labels_of(read(labels), volume, labels),
        settings,
        mask=None if mask is None else labels_of(read(mask), volume, mask) != 0,
    )
    counted = f"{len(places)} scan{'s' * (len(places) > 1)}"

    def tell(outcome: Outcome) -> None:
        if outcome.error is not None:
            say(one_sentence(f"left out: {outcome.error}"))

    outcomes = label_scans(
        chosen,
        places,
        out,
        names=names,
        existing=existing,
        model=chosen.facts,
        seen=chosen.known,
        progress=Progress(f"labelling {counted}"),
        tell=tell,
    )
    if json:
        show_json(
            {
                "labelled": volume.identity,
                "settings": settings.model_dump(mode="json"),
                "classes": {str(label): name for label, name in chosen.classes.items()},
                "scans": [plain_outcome(outcome) for outcome in outcomes],
            }
        )
    else:
        show(lines_of(outcomes, chosen.classes, _SEEN))
    failed = sum(outcome.state == "failed" for outcome in outcomes)
    if failed:
        raise MrisslError(
            f"{failed} of {counted} could not be labelled", remedy="the lines above say why"
        )
