"""Flights out of an HDF5 file in stable-worldmodel's columns; nothing in it is trusted."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.errors import MrisslError
from napari_mrissl.trajectories.exchange.hdf5 import TOLD
from napari_mrissl.trajectories.exchange.incoming import Incoming, rate_of
from napari_mrissl.trajectories.exchange.optional import needed
from napari_mrissl.trajectories.sampling import MOST_FRAMES

_MOST_EPISODES = 1_000_000
_LONGEST_TOLD = 1 << 28


def flights(source: Path) -> tuple[int, Iterator[Incoming]]:
    """How many flights there are, and the flights.

    Poses are taken from ``state`` (frames, 8) bit for bit; a file of single precision gives
    these numbers in double precision.

    Raises
    ------
    MrisslError
        If the file is not as the layout says.
    """
    h5py = needed("h5py", "exports")
    if not source.is_file():
        raise MrisslError("is not there, or is no file", where=source, expected="an HDF5 file")
    try:
        with h5py.File(source, "r") as file:
            told = _told(file, source)
            lengths = _column(file, "ep_len", _MOST_EPISODES, (), "iu", source)
            offsets = _column(file, "ep_offset", _MOST_EPISODES, (), "iu", source)
            state = _column(file, "state", MOST_FRAMES, (8,), "f", source)
            hertz = told.get("hertz", file.attrs.get("fps"))
    except (OSError, KeyError, RuntimeError, TypeError, ValueError) as error:
        if isinstance(error, MrisslError):
            raise
        raise MrisslError(
            f"could not be read ({type(error).__name__})", where=source, expected="an HDF5 file"
        ) from error
    _check_places(lengths, offsets, len(state), source)
    return len(lengths), _flights(state, lengths, offsets, hertz, told, source)


def _flights(
    state: NDArray[Any],
    lengths: NDArray[Any],
    offsets: NDArray[Any],
    hertz: Any,
    told: Mapping[str, Any],
    source: Path,
) -> Iterator[Incoming]:
    episodes, volumes = told.get("episodes"), told.get("volumes")
    for number, (length, offset) in enumerate(zip(lengths, offsets, strict=True)):
        made = episodes[number] if isinstance(episodes, list) and number < len(episodes) else {}
        made = made if isinstance(made, dict) else {}
        facts = volumes.get(str(made.get("identity"))) if isinstance(volumes, dict) else {}
        yield Incoming(
            state[offset : offset + length].astype(np.float64),
            rate_of(hertz),
            made,
            facts if isinstance(facts, dict) else {},
            source,
        )


def _column(
    file: Any, name: str, most: int, shape: tuple[int, ...], kinds: str, where: Path
) -> NDArray[Any]:
    """All of a column that lies in the file itself.

    Raises
    ------
    MrisslError
        If it is not there, lies in another file, or is larger or otherwise than expected.
    """
    import h5py

    link = file.get(name, getlink=True)
    column = file[name] if isinstance(link, h5py.HardLink) else None
    if not isinstance(column, h5py.Dataset) or column.is_virtual or column.external:
        raise MrisslError(f"has no column {name}", where=where, expected="columns in the file")
    good = column.ndim == 1 + len(shape) and column.shape[1:] == shape
    if not good or column.dtype.kind not in kinds or len(column) > most:
        raise MrisslError(
            f"column {name} is {column.dtype} {column.shape}",
            where=where,
            expected=f"at most {most} rows of {shape or 'one number'}",
        )
    found: NDArray[Any] = column[()]
    return found


def _told(file: Any, where: Path) -> dict[str, Any]:
    """What our export says beside the columns; nothing in files of others."""
    if TOLD not in file.attrs:
        return {}
    if file.attrs.get_id(TOLD).get_storage_size() > _LONGEST_TOLD:
        raise MrisslError(f"attribute {TOLD} is too long", where=where)
    text = file.attrs[TOLD]
    told = json.loads(bytes(text) if isinstance(text, np.bytes_ | bytes) else str(text))
    return told if isinstance(told, dict) else {}


def _check_places(lengths: NDArray[Any], offsets: NDArray[Any], frames: int, where: Path) -> None:
    # As Python's own numbers: those of the file may wrap around.
    ends = [int(o) + int(n) for o, n in zip(offsets, lengths, strict=False)]
    if (
        len(lengths) != len(offsets)
        or any(int(n) < 1 for n in lengths)
        or any(int(o) < 0 for o in offsets)
        or any(end > frames for end in ends)
        or sum(map(int, lengths)) > frames
    ):
        raise MrisslError("ep_len and ep_offset do not fit the columns", where=where)
