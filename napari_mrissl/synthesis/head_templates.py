"""The anatomical label maps that painted heads are made from, split by subject."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_mrissl.errors import MrisslError
from napari_mrissl.geometry.affines import apply_affine
from napari_mrissl.synthesis.deformation import DeformationSettings, Sampler, draw_deformation
from napari_mrissl.synthesis.draws import generator
from napari_mrissl.synthesis.label_maps import (
    label_map_files,
    numbered_labels,
    read_label_map,
    stored_labels,
)
from napari_mrissl.synthesis.tissues import freesurfer_tissue
from napari_mrissl.volumes import Volume
from napari_mrissl.volumes.samples import mni152, mni152_tissues

Split = Literal["train", "test"]

MOST_STRUCTURES = 254
"""Grey values are painted by 8-bit numbers, one of which is fat under the skin."""

_NAMED = re.compile(r"training_seg_(\d\d)\.")
_FIRST_NAMED_TEST = 10
_TEST_SHARE = 0.25
_MNI_SUBJECTS = 10
_MNI_TEST = 2
_MNI_SIDE = 240
_MNI_TISSUES = {1: "grey matter", 2: "white matter", 3: "fluid"}
# Twice as much as between painted heads, since all these subjects begin as the same one.
_MNI_DEFORMATION = DeformationSettings(
    degrees=5, scale=0.12, shear=0.06, shift=0, elastic_std=(1.0, 3.5)
)
_DEPTH_STEP = 4


@dataclass(frozen=True, eq=False)
class HeadTemplate:
    """One subject's anatomy, cut to the head.

    Attributes
    ----------
    subject
        Its name within the pool; not the file's.
    split
        ``"train"`` or ``"test"``.
    identity
        SHA-256 of the label map.
    numbers
        (S, A, R) uint8: 0 for background, k for ``labels[k]``.
    labels
        The label numbers as given; ``labels[0]`` is 0.
    tissues
        What each is made of, None where that is not known.
    to_index
        (4, 4) from RAS mm to index in `numbers`.
    center, extent
        Of the head, in RAS mm; the largest side of its box in mm.
    depth, depth_step
        Distance to the nearest background in mm, on a grid coarser by that factor.
    image
        (S, A, R) uint8 grey values of a real scan, where there is one.
    """

    subject: str
    split: Split
    identity: str
    numbers: NDArray[np.uint8]
    labels: NDArray[np.int64]
    tissues: tuple[str | None, ...]
    to_index: NDArray[np.float64]
    center: NDArray[np.float64]
    extent: float
    depth: NDArray[np.float32]
    depth_step: int = _DEPTH_STEP
    image: NDArray[np.uint8] | None = None

    @property
    def nbytes(self) -> int:
        """Bytes in memory."""
        image = 0 if self.image is None else self.image.nbytes
        return self.numbers.nbytes + self.depth.nbytes + image


@dataclass(frozen=True)
class Subject:
    """A template that is read when it is first needed, and kept."""

    name: str
    split: Split
    load: Callable[[], HeadTemplate]


def subjects_of_folder(folder: str | Path) -> list[Subject]:
    """The label maps of a folder in the order of their names, in FreeSurfer's numbering.

    Of maps named ``training_seg_01`` and so on, 01 to 09 are for training and the others
    for tests; of other folders the last quarter is for tests. Subjects are numbered, never
    called by their files.

    Raises
    ------
    MrisslError
        If the folder holds no label maps.
    """
    paths = [path for group in label_map_files(Path(folder)) for path in group]
    first_test = len(paths) - round(_TEST_SHARE * len(paths))
    subjects = []
    for number, path in enumerate(paths, 1):
        named = _NAMED.match(path.name)
        if named:
            number = int(named[1])
        test = number >= _FIRST_NAMED_TEST if named else number > first_test
        name, split = f"head-{number:02d}", _split(test)
        subjects.append(Subject(name, split, cache(partial(_from_file, path, name, split))))
    return subjects


def subjects_of_mni152() -> list[Subject]:
    """Ten subjects made of the MNI152 template and its tissues by fixed random deformations.

    Two are for tests. A subject has the template's T1 values too. Skull and scalp are
    missing, since the template that is always at hand is without them.
    """
    subjects = []
    for number in range(1, _MNI_SUBJECTS + 1):
        name, split = f"mni152-{number:02d}", _split(number > _MNI_SUBJECTS - _MNI_TEST)
        subjects.append(Subject(name, split, cache(partial(_from_mni152, number, name, split))))
    return subjects


def head_template(
    volume: Volume,
    subject: str,
    split: Split,
    tissue_of: Callable[[int], str | None] = freesurfer_tissue,
    image: NDArray[np.uint8] | None = None,
    name: str | None = None,
) -> HeadTemplate:
    """A label map as a template.

    Parameters
    ----------
    volume
        The label map.
    subject, split
        See `HeadTemplate`.
    tissue_of
        The tissue of a label.
    image
        Grey values on the same grid.
    name
        What to call the map in an error; the volume's name if left out.

    Raises
    ------
    MrisslError
        If it is no label map, or one without labels or with more than 254.
    """
    name = name or volume.name
    labels, numbers = numbered_labels(stored_labels(volume), name)
    if not 0 < len(labels) <= MOST_STRUCTURES:
        raise MrisslError(
            f"{len(labels)} labels",
            where=name,
            expected=f"1 to {MOST_STRUCTURES} beside the background",
        )
    whole = ndimage.find_objects((numbers > 0).view(np.uint8))[0]
    cut = np.ascontiguousarray(numbers[whole], np.uint8)
    corner = np.array([axis.start for axis in whole])
    affine = volume.affine.copy()
    affine[:3, 3] = apply_affine(volume.affine, corner)
    labels = np.array([0, *labels], np.int64)
    return HeadTemplate(
        subject=subject,
        split=split,
        identity=volume.identity,
        numbers=cut,
        labels=labels,
        tissues=("background", *(tissue_of(int(label)) for label in labels[1:])),
        to_index=np.asarray(np.linalg.inv(affine), np.float64),
        center=apply_affine(affine, (np.array(cut.shape) - 1) / 2),
        extent=float(max(np.array(cut.shape) * volume.spacing)),
        depth=_depth(numbers > 0, whole, volume.spacing),
        image=None if image is None else np.ascontiguousarray(image[whole]),
    )


def _split(test: bool) -> Split:
    return "test" if test else "train"


def _depth(
    inside: NDArray[np.bool_], box: tuple[slice, ...], spacing: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Distance to the background, not to where the scan ends, which is no skin."""
    step = _DEPTH_STEP
    coarse = inside[tuple(slice(axis.start, axis.stop, step) for axis in box)]
    padded = np.pad(coarse, 1, mode="edge")
    for axis in range(3):
        for end, at_edge in (
            (0, box[axis].start == 0),
            (-1, box[axis].stop == inside.shape[axis]),
        ):
            if not at_edge:
                padded[(slice(None),) * axis + (end,)] = False
    distance = ndimage.distance_transform_edt(padded, sampling=spacing * step)
    depth: NDArray[np.float32] = distance[1:-1, 1:-1, 1:-1].astype(np.float32)
    return depth


def _from_file(path: Path, subject: str, split: Split) -> HeadTemplate:
    return head_template(read_label_map(path), subject, split, name=path.name)


def _from_mni152(number: int, subject: str, split: Split) -> HeadTemplate:
    t1, tissues = mni152(), mni152_tissues()
    affine = cubic_affine(t1.center, _MNI_SIDE, 1.0)
    rng = generator(0, number, "MNI152 subject")
    move = draw_deformation(rng, _MNI_DEFORMATION)
    sampler = Sampler(t1.to_index, affine, _MNI_SIDE, move)
    labels = sampler.nearest(tissues.data)
    image = np.rint(sampler.linear(t1.data)).astype(np.uint8)
    volume = cubic_volume(labels, affine, subject)
    return head_template(volume, subject, split, _MNI_TISSUES.get, image)


def cubic_affine(center: NDArray[np.float64], side: int, step: float) -> NDArray[np.float64]:
    """(4, 4) from index (s, a, r) of an upright cubic grid about a centre to RAS mm."""
    affine = np.zeros((4, 4))
    affine[[2, 1, 0], [0, 1, 2]] = step
    affine[:3, 3] = center - step * (side - 1) / 2
    affine[3, 3] = 1
    return affine


def cubic_volume(data: NDArray[Any], affine: NDArray[np.float64], name: str) -> Volume:
    """A volume of an (S, A, R) array, stored in the order R, A, S."""
    return Volume.from_stored(
        data.transpose(2, 1, 0), affine[:, [2, 1, 0, 3]], name=name, copy=False
    )
