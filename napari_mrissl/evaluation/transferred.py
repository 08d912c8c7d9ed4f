"""A contender that trains nothing: the labelled scan itself, registered to each test scan."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.errors import MrisslError
from napari_mrissl.evaluation.contenders import REGISTERED, Learned, Lesson
from napari_mrissl.features.cancel import IsCancelled
from napari_mrissl.registration import RegistrationSettings
from napari_mrissl.segmentation.transfer import TRANSFER_SETTINGS, Transfer
from napari_mrissl.volumes import Volume

TRANSFER = "transfer"
"""The word for it, and the name of its row."""

_VERSION = 1


@dataclass(frozen=True, eq=False)
class Transferred:
    """The labels of one scan, brought to others by registration; see `contenders.Contender`.

    Attributes
    ----------
    settings
        Of the registration; the same for all scans, and chosen on none that is tested.
    cancelled
        Asked now and then.
    """

    settings: RegistrationSettings = TRANSFER_SETTINGS
    cancelled: IsCancelled | None = None
    name: str = TRANSFER
    mode: str = REGISTERED
    seed: int = 0
    known: frozenset[str] = field(default=frozenset())
    silent: bool = False
    needs_spare: bool = False

    @property
    def identity(self) -> str:
        """All settings."""
        chosen = self.settings.model_dump(mode="json", exclude={"device", "memory_gib"})
        return json.dumps({"registration": _VERSION, **chosen}, sort_keys=True)

    def learn(self, lesson: Lesson) -> Learned:
        """Take the one scan as it is.

        Raises
        ------
        MrisslError
            If there are several: which of their labels would count is not decided here.
        """
        if lesson.shots != 1:
            raise MrisslError(
                f"{lesson.shots} labelled scans", where=TRANSFER, expected="one, which is moved"
            )
        transfer = Transfer(*lesson.training[0].read(), self.settings)
        taken: list[float] = []
        how: dict[str, float] = {}

        def segment(volume: Volume) -> NDArray[np.integer]:
            began = time.perf_counter()
            labels = transfer.predict(volume, cancelled=self.cancelled).labels
            taken.append(time.perf_counter() - began)
            how["seconds_each"] = round(float(np.median(taken)), 3)
            return labels

        return Learned(segment, how)

    def clear(self, lesson: Lesson) -> None:
        """Nothing is left."""
