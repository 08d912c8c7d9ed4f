"""What a user means by data: paths of scans, or ``heads`` or ``ensembles`` of the engine."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from napari_mrissl.errors import MrisslError
from napari_mrissl.training.data.cohort import Paths, Progress, load
from napari_mrissl.training.settings import DataSettings

ENGINE: tuple[Literal["heads", "ensembles"], ...] = ("heads", "ensembles")


@dataclass(frozen=True)
class Chosen:
    """Data of a run to be.

    Attributes
    ----------
    settings
        Only what follows from the choice is set, so that presets keep their say.
    notes
        Sentences the user should see before the start.
    decoded_bytes
        Memory that all scans take; None for painted ones, whose size a preset may set.
    """

    settings: DataSettings
    notes: tuple[str, ...] = ()
    decoded_bytes: int | None = None


def choose(
    data: Sequence[str | Path],
    *,
    templates: str | Path | None = None,
    validation: Paths | None = None,
    exclude: Iterable[str | Path] = (),
    seed: int = 0,
    progress: Progress | None = None,
) -> Chosen:
    """The data settings of what was named.

    Parameters
    ----------
    data
        Paths, see `sources.find`; or the one word ``heads`` or ``ensembles`` (a folder of
        that name is ``./heads``).
    templates
        A folder with label maps for the engine; without it MNI152, or shapes made by rule.
    validation, exclude, seed, progress
        See `cohort.load`.

    Raises
    ------
    MrisslError
        If nothing is named, options do not go together, or scans cannot be used.
    """
    if not data:
        raise MrisslError("no data", expected="paths of scans, or heads, or ensembles")
    kind = next((word for word in ENGINE if list(data) == [word]), None)
    if kind is None:
        if templates is not None:
            raise MrisslError("label maps given with scans", where="--templates")
        found = load(data, validation=validation, exclude=exclude, seed=seed, progress=progress)
        return Chosen(found.settings(), found.notes, found.cache_bytes)
    if validation is not None or list(exclude):
        raise MrisslError(
            f"scans for validation or to be excluded with {kind}",
            remedy="painted scans are split by their label maps",
        )
    if templates is None:
        return Chosen(DataSettings(kind=kind))
    from napari_mrissl.training.data.label_maps import label_map_records

    return Chosen(DataSettings(kind=kind, subjects=label_map_records(templates, kind, progress)))
