"""What can be done to finetunings, one thing after the other, in the background."""

from __future__ import annotations

from pathlib import Path

from napari_mrissl.errors import printable
from napari_mrissl.ui.finetuning import work
from napari_mrissl.ui.pretraining.actions import RunActions


class FinetuneActions(RunActions):
    """Starts, pauses, stops and resumes finetunings; ``made`` tells of a `work.Begun`."""

    def begin(self, wanted: work.Wanted, folder: Path) -> None:
        """Make a run and train it."""
        self._do(
            lambda control: work.begin(control, wanted, folder),
            f"start of the finetuning {printable(folder.name)}",
            self.made.emit,
        )
