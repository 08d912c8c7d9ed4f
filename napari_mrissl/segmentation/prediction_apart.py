"""A finetuned network's labels of scans in memory, from a process of its own.

Torch stays out of the caller's process, as in `napari_mrissl.features.apart`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.errors import MrisslError, printable
from napari_mrissl.features.apart import hand_over, run_child
from napari_mrissl.features.cache import scratch_folder
from napari_mrissl.features.cancel import IsCancelled, Progress, stop_if
from napari_mrissl.segmentation.prediction import PredictionSettings
from napari_mrissl.volumes import Volume

LABELS = "labels.npy"
_MODULE = "napari_mrissl.segmentation.prediction_child"

Received = Callable[[int, "NDArray[np.unsignedinteger[Any]] | None", str], object]


def predict_apart(
    model: Path,
    volumes: Sequence[Volume],
    received: Received,
    settings: PredictionSettings | None = None,
    progress: Progress | None = None,
    cancelled: IsCancelled | None = None,
) -> None:
    """Segment scans one after the other; one that fails does not stop the others.

    Parameters
    ----------
    model
        Folder of a finetuning run, or a file of its weights.
    volumes
        To segment; they need no file.
    received
        Called with a scan's number, its labels (S, A, R) and ``""``, or None and why not.
    settings
        How the network is applied.

    Raises
    ------
    Cancelled
        If `cancelled` answered True; what was received stays.
    MrisslError
        If the network cannot be had, or the process ends without a word.
    """
    chosen = (settings or PredictionSettings()).model_dump(mode="json")
    request = {"model": str(model.absolute()), "scans": len(volumes), "prediction": chosen}
    with scratch_folder() as folder:
        for number, volume in enumerate(volumes):
            stop_if(cancelled)
            place = folder / str(number)
            place.mkdir()
            hand_over(place, volume, request)

        def told(line: dict[str, Any]) -> None:
            if "scan" in line:
                number = int(line["scan"])
                why = printable(str(line.get("failed", "")))
                received(number, None if why else _labels(folder, number), why)
            elif progress is not None:
                progress(float(line["part"]), str(line.get("step", "")))

        run_child(
            _MODULE,
            folder,
            told,
            cancelled,
            work="segments scans",
            remedy="with little memory, segment smaller scans",
        )


def _labels(folder: Path, number: int) -> NDArray[np.unsignedinteger[Any]]:
    place = folder / str(number) / LABELS
    try:
        found: NDArray[np.unsignedinteger[Any]] = np.load(place, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise MrisslError("labels cannot be read back", remedy="check the disk") from error
    return found
