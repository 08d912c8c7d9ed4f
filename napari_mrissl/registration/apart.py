"""Registration in a process of its own, so that torch and SimpleITK never enter the viewer's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.errors import MrisslError
from napari_mrissl.features.apart import hand_over, run_child
from napari_mrissl.features.cache import scratch_folder
from napari_mrissl.features.cancel import IsCancelled, Progress
from napari_mrissl.registration.costs import Cost
from napari_mrissl.registration.grids import Grid
from napari_mrissl.registration.registering import Mask, Registration, check_mask
from napari_mrissl.registration.settings import RegistrationSettings
from napari_mrissl.registration.transform import Transform
from napari_mrissl.volumes import Volume

FIXED, MOVING = "fixed", "moving"
MASK, NODES, LANDMARKS = "mask.npy", "nodes.npy", "landmarks.npy"
_MODULE = "napari_mrissl.registration.child"


def register_apart(
    fixed: Volume,
    moving: Volume,
    settings: RegistrationSettings | None = None,
    *,
    fixed_mask: Mask | None = None,
    moving_mask: Mask | None = None,
    landmarks: NDArray[np.float64] | None = None,
    told: Callable[[Cost], object] = lambda cost: None,
    aligned: Callable[[Registration], object] = lambda found: None,
    progress: Progress | None = None,
    cancelled: IsCancelled | None = None,
) -> Registration:
    """As `register`, in a child process.

    Parameters
    ----------
    fixed, moving, settings, fixed_mask, moving_mask, landmarks, told, progress, cancelled
        As for `register`.
    aligned
        Is told what the linear alignment alone comes to, once a field is to follow.

    Raises
    ------
    Cancelled
        If `cancelled` answered True; the process is gone then, and nothing is left on disk.
    MrisslError
        As `register`, or if the process ends without an answer.
    """
    settings = settings or RegistrationSettings()
    scans = {FIXED: (fixed, fixed_mask), MOVING: (moving, moving_mask)}
    for volume, mask in scans.values():
        check_mask(mask, volume)
    found: dict[str, Any] = {}

    def tell(line: dict[str, Any]) -> None:
        if "cost" in line:
            told(Cost(*line["cost"]))
        elif "linear" in line:
            linear, initial = (np.array(line[key], np.float64) for key in ("linear", "initial"))
            aligned(Registration(Transform.of_linear(linear), initial, settings))
        elif "found" in line:
            found.update(line["found"])
        elif progress is not None and "part" in line:
            progress(float(line["part"]), str(line.get("step", "")))

    with scratch_folder() as folder:
        for name, (volume, mask) in scans.items():
            place = folder / name
            place.mkdir()
            hand_over(place, volume, settings.model_dump(mode="json"))
            if mask is not None:
                np.save(place / MASK, mask, allow_pickle=False)
        if landmarks is not None:
            np.save(folder / LANDMARKS, landmarks, allow_pickle=False)
        run_child(
            _MODULE,
            folder,
            tell,
            cancelled,
            work="registers scans",
            remedy="with little memory, choose a coarser grid",
        )
        return _read_back(folder, found, settings)


def _read_back(folder: Path, found: dict[str, Any], settings: RegistrationSettings) -> Registration:
    try:
        nodes = np.load(folder / NODES, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise MrisslError("the field cannot be read back", remedy="check the disk") from error
    s, a, r, _ = nodes.shape
    grid = Grid((s, a, r), np.array(found["affine"], np.float64))
    return Registration(
        Transform(np.array(found["linear"], np.float64), grid, nodes),
        np.array(found["initial"], np.float64),
        settings,
        found["spacing_mm"],
        tuple(Cost(*cost) for cost in found["costs"]),
        dict(found["seconds"]),
    )
