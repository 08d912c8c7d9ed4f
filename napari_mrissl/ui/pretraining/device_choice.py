"""A choice of the devices that a network can be trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from qtpy.QtCore import QSignalBlocker
from qtpy.QtWidgets import QComboBox, QWidget

from napari_mrissl.errors import printable

_AUTO = ("auto", "auto: the first GPU, or the CPU")


class DeviceChoice(QComboBox):
    """``auto`` and what torch finds; the chosen device's name is the current data."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.addItem(_AUTO[1], _AUTO[0])
        self.setToolTip("What the network is trained on: the devices that torch finds here")
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setMinimumContentsLength(12)

    def offer(self, devices: Sequence[Mapping[str, Any]]) -> None:
        """Offer the devices that there are, besides auto; the chosen one stays chosen."""
        chosen = self.currentData()
        blocker = QSignalBlocker(self)
        self.clear()
        self.addItem(_AUTO[1], _AUTO[0])
        for one in devices:
            self.addItem(_described(one), one["name"])
        found = self.findData(chosen)
        if found < 0:
            # Chosen for another machine: shown, and the run will say that it is not there.
            self.addItem(f"{chosen}: not found here", chosen)
            found = self.count() - 1
        self.setCurrentIndex(found)
        blocker.unblock()

    def show_chosen(self, name: str) -> None:
        """Choose a device without telling."""
        blocker = QSignalBlocker(self)
        if self.findData(name) < 0:
            self.addItem(printable(name), name)
        self.setCurrentIndex(self.findData(name))
        blocker.unblock()


def _described(device: Mapping[str, Any]) -> str:
    words = printable(str(device.get("title") or device["name"]))
    memory = device.get("memory_bytes")
    size = f", {memory / 2**30:.0f} GiB" if memory else ""
    return f"{device['name']}: {words}{size}" if words != device["name"] else words + size
