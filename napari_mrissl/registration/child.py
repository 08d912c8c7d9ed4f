"""The process that registers beside the viewer: ``python -m napari_mrissl.registration.child``.

It answers in lines of JSON, and stops when its standard input ends: with its parent, at the latest.
"""

from __future__ import annotations

import os
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_mrissl.errors import MrisslError
from napari_mrissl.features.apart import handed_over
from napari_mrissl.features.cancel import Cancelled
from napari_mrissl.features.child import answer, wait_for_end
from napari_mrissl.registration.apart import FIXED, LANDMARKS, MASK, MOVING, NODES
from napari_mrissl.registration.registering import Mask, Registration, register
from napari_mrissl.registration.settings import RegistrationSettings
from napari_mrissl.volumes import Volume

_NICE = 5


def main(folder: Path) -> int:
    """Register what a folder holds; 0, 2 with one sentence, or 3 when stopped."""
    stopped = threading.Event()
    threading.Thread(target=wait_for_end, args=(stopped,), daemon=True).start()
    if hasattr(os, "nice"):  # the viewer is drawn first
        os.nice(_NICE)
    try:
        fixed, fixed_mask, settings = _scan(folder, FIXED)
        moving, moving_mask, _ = _scan(folder, MOVING)
        found = register(
            fixed,
            moving,
            RegistrationSettings.model_validate(settings),
            fixed_mask=fixed_mask,
            moving_mask=moving_mask,
            landmarks=_given(folder / LANDMARKS),
            told=lambda cost: answer({"cost": list(cost)}),
            aligned_as=lambda linear, initial: answer(
                {"linear": linear.tolist(), "initial": initial.tolist()}
            ),
            progress=lambda part, step: answer({"part": part, "step": step}),
            cancelled=stopped.is_set,
        )
        np.save(folder / NODES, found.transform.nodes, allow_pickle=False)
    except Cancelled:
        return 3
    except MrisslError as reason:
        answer({"error": str(reason)})
        return 2
    except MemoryError:
        answer({"error": "memory does not suffice; choose a coarser grid or fewer channels"})
        return 2
    except OSError as reason:
        answer({"error": f"the field could not be written ({reason.strerror})"})
        return 2
    answer({"found": _facts(found)})
    answer({"done": True})
    return 0


def _scan(folder: Path, name: str) -> tuple[Volume, Mask | None, dict[str, Any]]:
    volume, settings = handed_over(folder / name)
    mask = _given(folder / name / MASK)
    # Names stay with the caller; errors say which of the two.
    return replace(volume, name=f"{name} scan"), mask, settings


def _given(path: Path) -> Any:
    return np.load(path, allow_pickle=False) if path.exists() else None


def _facts(found: Registration) -> dict[str, object]:
    return {
        "linear": found.linear.tolist(),
        "initial": found.initial.tolist(),
        "affine": found.transform.grid.affine.tolist(),
        "spacing_mm": found.spacing_mm,
        "costs": [list(cost) for cost in found.costs],
        "seconds": found.seconds,
    }


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
