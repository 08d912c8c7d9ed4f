"""Real pairs of scans to be registered, with what is known of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.transform import Rotation

from napari_mrissl.geometry.affines import apply_affine
from napari_mrissl.registration import PRESETS, RegistrationSettings, Transform, register
from napari_mrissl.volumes import Volume, read
from napari_mrissl.volumes.samples import mni152, mni152_tissues

MOVE_MM, TURN_DEGREES = 10.0, 10.0
HEAD_MM = 1.5
"""Grid on which features of heads are compared."""

REMARKS = (
    (
        f"PD to T1: the moving one is displaced by {MOVE_MM:g} mm and {TURN_DEGREES:g} degrees in "
        "random directions. The headers do not agree (they are 9 degrees and 9 mm apart by "
        "mutual information and by eye), so TRE is the distance from where the rigid alignment "
        "of the scan that was not displaced puts it: how repeatable it is, not how true."
    ),
    (
        "MNI152 to T1: there are no tissue maps of the T1, so grey and white matter are three Otsu "
        "classes inside a brain found by threshold and morphology: a rough reference."
    ),
    "MR to CT: two persons, so no alignment is right everywhere; labels are paired by name.",
)

ORGANS = {
    "spleen": (1, 1), "kidney right": (2, 2), "kidney left": (3, 3), "gallbladder": (4, 4),
    "liver": (5, 5), "stomach": (6, 6), "pancreas": (7, 7), "small bowel": (18, 13),
    "duodenum": (19, 14), "colon": (20, 15), "aorta": (52, 23), "inferior vena cava": (63, 24),
    "portal and splenic vein": (64, 25), "spinal cord": (79, 21), "autochthon left": (86, 46),
    "autochthon right": (87, 47), "iliopsoas left": (88, 48), "iliopsoas right": (89, 49),
    "vertebrae": ((30, 31, 32, 33), 19),
}  # fmt: skip
"""Numbers of a structure in the label sets of the CT and of the MR, from the files' headers; the
adrenals, of fewer than 200 voxels, and the lungs, of 6 in the MR, are left out."""


@dataclass(frozen=True, eq=False)
class Pair:
    """Two scans.

    Attributes
    ----------
    name, settings
        What it is called, and how it is registered.
    fixed, moving, fixed_mask, moving_mask, fixed_labels, moving_labels
        As for `register` and `label_scores`; `names` says what the labels are.
    truth
        (N, 3) places in the fixed body and where they are expected in the moving scan, RAS mm.
    """

    name: str
    settings: RegistrationSettings
    fixed: Volume
    moving: Volume
    fixed_mask: NDArray[np.bool_] | None = None
    moving_mask: NDArray[np.bool_] | None = None
    fixed_labels: NDArray[np.uint8] | None = None
    moving_labels: NDArray[np.uint8] | None = None
    names: dict[int, str] | None = None
    truth: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None

    def through(self, linear: Transform) -> Pair:
        """The moving scan's header taken back by a linear map onto the fixed one."""
        affine = np.linalg.inv(linear.linear) @ self.moving.affine
        return replace(self, moving=_on(self.moving, affine))


def _on(volume: Volume, affine: NDArray[np.float64]) -> Volume:
    # Values as they are; only where they lie changes.
    values = (volume.slope * volume.data.astype(np.float32) + volume.intercept).astype(np.float32)
    return Volume.from_stored(values, affine, name=volume.name)


def same_person(root: Path, seed: int) -> Pair:
    """The PD moved by a random rigid displacement, to the T1."""
    fixed, moving = (read(root / f"brain/chris_{kind}.nii.gz") for kind in ("t1", "PD"))
    rng = np.random.default_rng(seed)
    turn, shift = (v / np.linalg.norm(v) for v in rng.normal(size=(2, 3)))
    move = np.eye(4)
    move[:3, :3] = Rotation.from_rotvec(np.radians(TURN_DEGREES) * turn).as_matrix()
    move[:3, 3] = moving.center + MOVE_MM * shift - move[:3, :3] @ moving.center
    high = fixed.value_range()[1]
    places = apply_affine(fixed.affine, np.argwhere(fixed.data[::4, ::4, ::4] > 0.15 * high) * 4)
    inside = apply_affine(np.linalg.inv(moving.affine), places)
    kept = places[np.all((inside >= 0) & (inside <= np.array(moving.shape) - 1), axis=1)]
    settings = PRESETS["same person"].model_copy(update={"spacing_mm": HEAD_MM})
    rigid = settings.model_copy(update={"deformable": False})
    still = register(fixed, moving, rigid).transform(kept)
    return Pair(
        f"PD to T1, seed {seed}",
        settings,
        fixed,
        _on(moving, move @ moving.affine),
        truth=(kept, apply_affine(move, still)),
    )


def _largest(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    parts, count = ndimage.label(mask)
    sizes = np.bincount(parts.ravel())[1:]
    return parts == 1 + int(sizes.argmax()) if count else mask


def _brain(t1: Volume) -> tuple[NDArray[np.bool_], NDArray[np.uint8]]:
    """A mask of the brain, and grey (1) and white (2) matter in it, by grey values alone."""
    import SimpleITK as sitk

    values = t1.data.astype(np.float32)
    head = values > 0.25 * t1.value_range()[1]
    distance = ndimage.distance_transform_edt(head, t1.spacing)
    core = _largest(distance > 5)
    mask = ndimage.distance_transform_edt(~core, t1.spacing) < 6
    classes = sitk.OtsuMultipleThresholds(sitk.GetImageFromArray(np.where(mask, values, 0)), 3)
    found = sitk.GetArrayFromImage(classes)
    labels = np.where(mask & head, np.select([found == 2, found == 3], [1, 2], 0), 0)
    return mask, labels.astype(np.uint8)


PAIRS = ("same-person", "template", "bodies")


def pairs_of(root: Path, names: list[str], seeds: int) -> Iterator[Pair]:
    """The wanted pairs (of `PAIRS`), the same person's once a seed."""
    for name in names:
        if name == "same-person":
            yield from (same_person(root, seed) for seed in range(seeds))
        else:
            yield (template if name == "template" else bodies)(root)


def template(root: Path) -> Pair:
    """The MNI152 template to the T1."""
    fixed, moving = read(root / "brain/chris_t1.nii.gz"), mni152(1)
    mask, labels = _brain(fixed)
    tissues = mni152_tissues(1).data
    return Pair(
        "MNI152 to T1",
        PRESETS["MR to MR"].model_copy(update={"initial": "centres", "spacing_mm": HEAD_MM}),
        fixed,
        moving,
        fixed_mask=mask,
        moving_mask=tissues > 0,
        fixed_labels=labels,
        moving_labels=tissues,
        names={1: "grey matter", 2: "white matter"},
    )


def bodies(root: Path) -> Pair:
    """The MR of one person to the CT of another."""
    scans = {kind: read(root / f"body/example_{kind}.nii.gz") for kind in ("ct", "mr")}
    given = {kind: read(root / f"body/example_{kind}_labels.nii.gz").data for kind in scans}
    labels = {}
    for which, kind in enumerate(("ct", "mr")):
        labels[kind] = np.zeros(given[kind].shape, np.uint8)
        for number, organs in enumerate(ORGANS.values(), 1):
            labels[kind][np.isin(given[kind], organs[which])] = number
    low = {"ct": -200.0, "mr": 0.1 * scans["mr"].value_range()[1]}
    masks = {}
    for kind, scan in scans.items():
        values = scan.slope * scan.data.astype(np.float32) + scan.intercept
        filled = ndimage.binary_opening(values > low[kind])
        masks[kind] = np.stack([ndimage.binary_fill_holes(part) for part in _largest(filled)])
    return Pair(
        "MR to CT",
        PRESETS["MR to CT"],
        scans["ct"],
        scans["mr"],
        fixed_mask=masks["ct"],
        moving_mask=masks["mr"],
        fixed_labels=labels["ct"],
        moving_labels=labels["mr"],
        names=dict(enumerate(ORGANS, 1)),
    )
