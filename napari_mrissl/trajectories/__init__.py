"""Flights through a volume: journal, record, replay, and where volumes lie."""

from napari_mrissl.trajectories.flight import (
    Flight,
    flight_info,
    flight_of,
    has_flight,
    pose_at,
    read_flight,
    write_flight,
)
from napari_mrissl.trajectories.journal import Journal, Record, read_journal, read_records
from napari_mrissl.trajectories.recorder import FlightRecorder
from napari_mrissl.trajectories.scan_index import locate, remember

__all__ = [
    "Flight",
    "FlightRecorder",
    "Journal",
    "Record",
    "flight_info",
    "flight_of",
    "has_flight",
    "locate",
    "pose_at",
    "read_flight",
    "read_journal",
    "read_records",
    "remember",
    "write_flight",
]
