"""What both tasks on slices share: flights as samples, and frames as what a network sees."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from functools import partial
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from napari_mrissl.networks.settings import TokenizerShape
from napari_mrissl.pretext.info import TaskSettings
from napari_mrissl.pretext.navigation.flights import Flights, FlownPoses, frames_of
from napari_mrissl.pretext.navigation.on_device import DeviceScans
from napari_mrissl.pretext.navigation.settings import FlightSettings
from napari_mrissl.pretext.subjects import Subjects
from napari_mrissl.pretext.task import Sample, SampleKey, Task

CHANCE_SAMPLES = 64
"""How many flights the worth of an answer that learned nothing is measured on."""

NOT_A_STEP = -1

S = TypeVar("S", bound=TaskSettings)
_GIB = 1 << 30


class SliceTask(Task[S]):
    """A task whose samples hold ``frames`` (T, N, N) of one flight, and ``valid``.

    Where frames are cut on the device they come without, with ``poses`` (T, 8) and the name of
    the ``scan`` instead. `prepare` makes ``image`` (B, T, 2, N, N) of either.
    """

    def __init__(self, settings: S) -> None:
        super().__init__(settings)
        self.flights = Flights(self.flight_settings)
        self._places: dict[int, tuple[Subjects, int]] = {}
        self._scans = DeviceScans(int(self.flight_settings.device_gib * _GIB))

    @property
    @abstractmethod
    def flight_settings(self) -> FlightSettings:
        """Where slices are taken from."""

    @property
    @abstractmethod
    def slices(self) -> TokenizerShape:
        """Of the tokenizer."""

    def sample_of(self, flight: FlownPoses, subjects: Subjects, **more: NDArray[Any]) -> Sample:
        """A flight as a sample, with more arrays."""
        arrays: dict[str, NDArray[Any]] = dict(more)
        if self.flight_settings.on_device:
            name = int(flight.scan.identity[-15:], 16)
            self._places[name] = (subjects, flight.number)
            arrays |= {"poses": flight.rows.astype(np.float32), "scan": np.array(name)}
        else:
            arrays["frames"], arrays["valid"] = frames_of(flight, self.slices.size)
        record = {"kind": flight.kind, "poses": flight.rows.round(6).tolist()}
        return Sample(arrays, flight.scan.subject, record)

    def prepare(
        self, batch: dict[str, torch.Tensor], keys: Sequence[SampleKey]
    ) -> dict[str, torch.Tensor]:
        """Add ``image``: grey values and validity side by side, cut now if they are not yet."""
        if "frames" not in batch:
            names = [int(name) for name in batch["scan"]]
            scans = [partial(places.scan, number) for places, number in map(self._place, names)]
            batch["frames"], batch["valid"] = self._scans.frames(
                scans,
                names,
                batch["poses"],
                self.slices.size,
                [self.flights.recolouring(key) for key in keys],
            )
        frames = batch["frames"]
        batch["image"] = torch.stack([frames, batch["valid"].to(frames.dtype)], dim=2)
        return batch

    def _place(self, name: int) -> tuple[Subjects, int]:
        return self._places[name]

    def chance_batch(self, subjects: Subjects, seed: int, first: int, count: int) -> Any:
        """A prepared batch of samples that no step trains on, on the CPU."""
        keys = [SampleKey(seed, NOT_A_STEP, first + number) for number in range(count)]
        samples = [self.sample(subjects, key).arrays for key in keys]
        stacked = {
            name: torch.from_numpy(np.stack([one[name] for one in samples])) for name in samples[0]
        }
        return self.prepare(stacked, keys)
