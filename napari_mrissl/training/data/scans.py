"""Scans on this machine as subjects of a run, decoded when needed."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.pretext.subjects import Scan
from napari_mrissl.training.data.cache import GIB, DecodedCache
from napari_mrissl.training.data.places import check_known, read_known
from napari_mrissl.training.data.preprocessing import limits
from napari_mrissl.training.data.spill import forget_unused, mapped, spill
from napari_mrissl.training.settings import DataSettings, SubjectRecord
from napari_mrissl.volumes import Volume
from napari_mrissl.volumes.labels import labels_of


class ScanSubjects:
    """`Subjects` of records whose scans lie on this machine.

    Scans that do not fit the cache are kept decoded on disk, see `spill`.

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
        self._cache = DecodedCache(int(share * settings.cache_gib * GIB), _keep_on_disk)
        forget_unused()
        for record in self.records:
            check_known(record.identity, record.subject)
            if record.labels is not None:
                check_known(record.labels, record.subject)

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
        volume = mapped(record.identity) or read_known(record.identity, record.subject)
        low, high = limits(volume, self._preprocessing)
        labels = (
            None if record.labels is None else _labels_on(volume, record.labels, record.subject)
        )
        return Scan(volume, low, high, record.subject, record.identity, labels)


def _keep_on_disk(scan: Scan) -> None:
    # Scans with labels are few, and these would have to be kept as well.
    if scan.labels is None:
        spill(scan.volume)


def _labels_on(volume: Volume, identity: str, subject: str) -> NDArray[np.integer]:
    return labels_of(read_known(identity, subject), volume, subject)
