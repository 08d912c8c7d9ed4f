"""Flights through a volume: record, store as datasets, replay, and where volumes lie."""

from napari_mrissl.trajectories.checking import Report, validate
from napari_mrissl.trajectories.dataset import Dataset, open_or_create
from napari_mrissl.trajectories.entries import Entry
from napari_mrissl.trajectories.flight import (
    Flight,
    flight_info,
    flight_of,
    pose_at,
)
from napari_mrissl.trajectories.journal import (
    Journal,
    read_journal,
    read_records,
    recoverable_records,
)
from napari_mrissl.trajectories.journal_lines import Record
from napari_mrissl.trajectories.recorder import Recorder
from napari_mrissl.trajectories.repair import repair
from napari_mrissl.trajectories.scan_index import locate, remember
from napari_mrissl.trajectories.splines import spline
from napari_mrissl.trajectories.unfinished import Unfinished

__all__ = [
    "Dataset",
    "Entry",
    "Flight",
    "Journal",
    "Record",
    "Recorder",
    "Report",
    "Unfinished",
    "flight_info",
    "flight_of",
    "locate",
    "open_or_create",
    "pose_at",
    "read_journal",
    "read_records",
    "recoverable_records",
    "remember",
    "repair",
    "spline",
    "validate",
]
