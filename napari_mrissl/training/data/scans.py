"""Scans on this machine as subjects of a run, decoded when needed."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.packs import PackedVolume
from napari_mrissl.pretext.subjects import Scan
from napari_mrissl.training.data.cache import GIB, DecodedCache
from napari_mrissl.training.data.known_packs import known
from napari_mrissl.training.data.places import check_known, read_known
from napari_mrissl.training.data.preprocessing import limits
from napari_mrissl.training.data.spill import forget_unused, mapped, spill
from napari_mrissl.training.settings import DataSettings, SubjectRecord
from napari_mrissl.volumes import Volume
from napari_mrissl.volumes.labels import labels_of


class ScanSubjects:
    """`Subjects` of records whose scans lie on this machine, or in packs.

    Scans that do not fit the cache are kept decoded on disk, see `spill`; those of packs are
    read in parts, again where they have left the cache.

    Parameters
    ----------
    records
        In the order of the run's settings.
    settings
        Of the run's data: intensity scale and size of the cache.
    share
        Part of the cache that these scans may take.

    Raises
    ------
    MrisslError
        If a scan is not known here; at once, not in the middle of a run.
    """

    def __init__(
        self, records: Sequence[SubjectRecord], settings: DataSettings, share: float = 1.0
    ) -> None:
        self.records = tuple(records)
        self._preprocessing = settings.preprocessing
        self._packs = known(settings.packs)
        self._cache = DecodedCache(int(share * settings.cache_gib * GIB), _keep_on_disk)
        forget_unused()
        for record in self.records:
            for identity in filter(None, (record.identity, record.labels)):
                if not any(identity in pack.manifest.by_identity for pack in self._packs):
                    check_known(identity, record.subject)

    def __len__(self) -> int:
        return len(self.records)

    def scan(self, number: int) -> Scan:
        """See `Subjects.scan`.

        Raises
        ------
        MrisslError
            If the file has changed, or cannot be read any more.
        """
        number = range(len(self.records))[number]
        return self._cache.get(number, partial(self._decoded, self.records[number]))

    def _decoded(self, record: SubjectRecord) -> Scan:
        volume = self._packed(record.identity) or mapped(record.identity)
        volume = volume or read_known(record.identity, record.subject)
        low, high = limits(volume, self._preprocessing)
        labels = (
            None
            if record.labels is None
            else self._labels_on(volume, record.labels, record.subject)
        )
        return Scan(volume, low, high, record.subject, record.identity, labels)

    def _labels_on(self, volume: Volume, identity: str, subject: str) -> NDArray[np.integer]:
        labels = self._packed(identity) or read_known(identity, subject)
        return labels_of(labels, volume, subject)

    def _packed(self, identity: str) -> Volume | None:
        """The volume of this identity from the first pack that has it; None where none has."""
        for pack in self._packs:
            volume = pack.volume(identity)
            if volume is not None:
                return volume
        return None


def _keep_on_disk(scan: Scan) -> None:
    # Scans with labels are few, and these would have to be kept as well; a pack is a disk's.
    if scan.labels is None and not isinstance(scan.volume, PackedVolume):
        spill(scan.volume)
