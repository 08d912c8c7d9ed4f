"""Making a shown segmentation again from what its layer recorded, and comparing."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QObject

from napari_mrissl.segmentation import Segmentation
from napari_mrissl.ui.segmenter import words, work
from napari_mrissl.ui.segmenter.controller import Controller
from napari_mrissl.ui.segmenter.session import ScanSession


class Replayer(QObject):
    """Replays the current scan's result; a click meanwhile cancels it."""

    def __init__(self, controller: Controller) -> None:
        super().__init__(controller)
        self._controller = controller

    def start(self) -> None:
        """Make the result again in the background, show it, and say what differs."""
        session = self._controller.session
        record = session.results.record() if session is not None else None
        if session is None or record is None:
            self._controller.say("error", "There is no segmentation whose making is known.")
            return
        shown = np.array(session.results.array())
        self._controller.segmenting.start(
            partial(work.replay_record, session.volume, record),
            title=f"Replaying {session.volume.name}",
            done=partial(self._show, session, shown),
        )

    def _show(self, session: ScanSession, shown: NDArray[Any], result: Segmentation) -> None:
        controller = self._controller
        differing = int(np.count_nonzero(result.labels != shown))
        session.results.show(result)
        controller.labels_shown.emit(session.results.labels)
        if differing:
            voxels = words.counted(differing, "voxel")
            controller.say("error", f"Replayed from the layer's record: {voxels} differ.")
        else:
            controller.say("ready", f"Replayed: all {shown.size:,} voxels are identical.")
        controller.finished.emit(result)
