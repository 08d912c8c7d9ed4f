"""The process that segments beside the viewer: ``python -m ...segmentation.prediction_child``.

It answers in lines of JSON, and stops when its standard input ends: with its parent, at the latest.
"""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np

from napari_mrissl.errors import MrisslError
from napari_mrissl.features.apart import handed_over
from napari_mrissl.features.cancel import Cancelled, stop_if
from napari_mrissl.features.child import answer, wait_for_end
from napari_mrissl.segmentation.finetuning.saved import SavedSegmenter
from napari_mrissl.segmentation.prediction import PredictionSettings, Predictor
from napari_mrissl.segmentation.prediction_apart import LABELS

_NICE = 5


def main(folder: Path) -> int:
    """Segment what a folder holds; 0, 2 with one sentence, or 3 when stopped."""
    stopped = threading.Event()
    threading.Thread(target=wait_for_end, args=(stopped,), daemon=True).start()
    if hasattr(os, "nice"):  # the viewer is drawn first
        os.nice(_NICE)
    try:
        _, request = handed_over(folder / "0")
        settings = PredictionSettings.model_validate(request["prediction"])
        answer({"part": 0.0, "step": "loading the network"})
        predictor = Predictor(SavedSegmenter.load(Path(request["model"])), settings)
        predictor.prepare()
        for number in range(int(request["scans"])):
            stop_if(stopped.is_set)
            _segment(predictor, folder, number, int(request["scans"]), stopped)
    except Cancelled:
        return 3
    except MrisslError as reason:
        answer({"error": str(reason)})
        return 2
    answer({"done": True})
    return 0


def _segment(
    predictor: Predictor, folder: Path, number: int, count: int, stopped: threading.Event
) -> None:
    def tell(part: float, step: str) -> None:
        answer({"part": (number + part) / count, "step": f"scan {number + 1} of {count}: {step}"})

    said: dict[str, Any] = {"scan": number}
    try:
        volume, _ = handed_over(folder / str(number))
        found = predictor.predict(volume, tell, stopped.is_set)
        np.save(folder / str(number) / LABELS, found.labels, allow_pickle=False)
    except MrisslError as reason:
        said["failed"] = str(reason)
    except MemoryError:
        said["failed"] = "memory does not suffice for this scan"
    except OSError as reason:
        said["failed"] = f"its labels could not be written ({reason.strerror})"
    answer(said)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
