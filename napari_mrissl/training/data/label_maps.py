"""A folder of label maps as the material of a run's painted scans, by identity and split."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from napari_mrissl.synthesis.head_templates import subjects_of_folder
from napari_mrissl.synthesis.label_maps import label_map_files
from napari_mrissl.training.data.cohort import Progress
from napari_mrissl.training.data.groups import grouped
from napari_mrissl.training.data.places import note_place
from napari_mrissl.training.settings import SubjectRecord
from napari_mrissl.volumes import read

_HELD_OUT = 0.25


def label_map_records(
    folder: str | Path,
    kind: Literal["heads", "ensembles"] = "heads",
    progress: Progress | None = None,
) -> tuple[SubjectRecord, ...]:
    """The label maps of a folder as records; this machine now knows where each lies.

    Heads are split as `head_templates.subjects_of_folder` does. For ensembles the last
    quarter is for validation; maps in one subfolder are taken for one subject's, and copies
    of a map stay together with it.

    Raises
    ------
    MrisslError
        If there are no label maps, or one cannot be read.
    """
    paths = [path for group in label_map_files(Path(folder)) for path in group]
    identities = []
    for number, path in enumerate(paths, 1):
        identity = read(path).identity
        note_place(identity, path)
        identities.append(identity)
        if progress is not None:
            progress(number / len(paths))
    if kind == "heads":
        names = [(subject.name, subject.split) for subject in subjects_of_folder(folder)]
        return tuple(
            SubjectRecord(
                identity=identity,
                subject=name,
                split="train" if split == "train" else "validation",
            )
            for identity, (name, split) in dict(zip(identities, names, strict=True)).items()
        )
    by_folder = len({path.parent for path in paths}) > 1
    groups = grouped(
        [
            (identity, path.parent if by_folder else path)
            for identity, path in zip(identities, paths, strict=True)
        ]
    )
    count = max(groups) + 1
    first_held_out = count - round(_HELD_OUT * count)
    return tuple(
        SubjectRecord(
            identity=identity,
            subject=f"shapes-{group + 1:03d}",
            split="train" if group < first_held_out else "validation",
        )
        for identity, group in dict(zip(identities, groups, strict=True)).items()
    )
