"""Export of flights as WebDataset shards: tar files of clips, to be streamed.

Written from the published convention: members of a tar that share a name up to the first dot
are one sample, what follows the dot names its part and says how it is decoded.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.trajectories.exchange.stretches import Stretch, Stretches
from napari_mrissl.volumes.atomic import write_text

CLIP = 64
SHARD_BYTES = 256 << 20
SHARD = "flights-{:06d}.tar"

Sample = dict[str, bytes]


def write(stretches: Stretches, partial: Path) -> None:
    """Fill the folder.

    A sample is a clip of at most 64 frames of one flight without a cut: ``pixels.npy``
    (T, N, N) uint8, ``state.npy`` (T, 8) float64, the poses, ``action.npy`` (T, 7) float32,
    each to the next frame, zeros where the flight ends, and ``json`` with task, scan, black
    and white, and where in its episode it lies. Shards ``flights-000000.tar`` and on have at
    most 256 MB each; ``index.json`` lists them with how many samples each has.
    """
    with _Shards(partial) as shards:
        for stretch in stretches:
            for key, sample in _samples(stretches, stretch):
                shards.add(key, sample)
    index = {
        "__kind__": "wids-shard-index-v1",
        "wids_version": 1,
        "name": "flights",
        "shardlist": [{"url": name, "nsamples": count} for name, count in shards.counts],
    }
    write_text(partial / "index.json", json.dumps(index, indent=2) + "\n")


def _samples(stretches: Stretches, stretch: Stretch) -> Iterator[tuple[str, Sample]]:
    """Clips of a stretch, each with its key."""
    black, white = stretches.window(stretch)
    told = stretches.told()
    volume = told["volumes"][stretch.entry.identity]
    pictures = _in_clips(stretches.pictures(stretch), len(stretch))
    actions = stretch.actions.astype(np.float32)
    for clip, pixels in enumerate(pictures):
        rows = slice(clip * CLIP, clip * CLIP + len(pixels))
        facts = {
            **stretch.made,
            "stretch": stretch.number,
            "clip": clip,
            "first_frame": rows.start,
            "hertz": stretches.hertz,
            "black": black,
            "white": white,
            "value": told["value"],
            "volume": {name: volume[name] for name in ("frame", "shape", "spacing_mm", "affine")},
            "software": told["software"],
        }
        yield (
            f"{stretch.number:06d}-{clip:06d}",
            {
                "action.npy": _npy(actions[rows]),
                "json": json.dumps(facts, allow_nan=False).encode(),
                "pixels.npy": _npy(pixels),
                "state.npy": _npy(stretch.poses[rows]),
            },
        )


def _in_clips(parts: Iterator[NDArray[np.uint8]], count: int) -> Iterator[NDArray[np.uint8]]:
    kept: list[NDArray[np.uint8]] = []
    for part in parts:
        kept.append(part)
        held = sum(map(len, kept))
        while held >= CLIP:
            whole = np.concatenate(kept)
            yield whole[:CLIP]
            kept = [whole[CLIP:]]
            held -= CLIP
    if rest := count % CLIP:
        yield np.concatenate(kept)[:rest]


class _Shards:
    """Tar files that follow one another, each begun once the one before is full."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.counts: list[list[Any]] = []
        self._tar: tarfile.TarFile | None = None
        self._bytes = 0

    def __enter__(self) -> _Shards:
        return self

    def __exit__(self, *_: object) -> None:
        if self._tar is not None:
            self._tar.close()

    def add(self, key: str, sample: Sample) -> None:
        """Write all parts of a sample, which lie in one shard."""
        weight = sum(map(len, sample.values()))
        if self._tar is None or (self._bytes and self._bytes + weight > SHARD_BYTES):
            if self._tar is not None:
                self._tar.close()
            name = SHARD.format(len(self.counts))
            self._tar = tarfile.TarFile(self.folder / name, "w", format=tarfile.USTAR_FORMAT)
            self.counts.append([name, 0])
            self._bytes = 0
        for part, content in sample.items():
            # Owner, group and time stay as a new entry has them: nobody, and none.
            member = tarfile.TarInfo(f"{key}.{part}")
            member.size = len(content)
            self._tar.addfile(member, io.BytesIO(content))
        self.counts[-1][1] += 1
        self._bytes += weight


def _npy(array: NDArray[Any]) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array(file, np.ascontiguousarray(array), allow_pickle=False)
    return file.getvalue()
