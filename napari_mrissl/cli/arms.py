"""What commands that train several runs at equal budgets ask for alike."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from napari_mrissl.cli.pretrain import Optional, Several, changes_of, data_of

if TYPE_CHECKING:
    from napari_mrissl.training.settings import DataSettings


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Arms:
    """Data and settings of all arms.

    Parameters
    ----------
    data
        As for `mrissl pretrain`: scans, or one of the words heads and ensembles.
    batch
        Samples of a step.
    seed
        The same for all arms.
    device
        auto, cpu, cuda, cuda:1 ...
    setting
        KEY=VALUE for any other setting of the runs that know it, e.g. crop.side=32 or
        backbone.width=64.
    templates
        A folder of label maps for the data engine.
    validation
        Scans of other subjects to measure on.
    """

    data: Several = ()
    batch: Optional = None
    seed: Optional = None
    device: str | None = None
    setting: Annotated[
        tuple[str, ...], Parameter(name="--set", negative="", consume_multiple=True)
    ] = ()
    templates: Path | None = None
    validation: Several = ()

    def changes(self, steps: int | None) -> dict[str, Any]:
        """Settings by key, with a number of steps."""
        return changes_of(
            self.setting, steps=steps, batch=self.batch, seed=self.seed, device=self.device
        )

    def read(self, seed: int) -> DataSettings | dict[str, Any]:
        """The data, which may take minutes: settings are checked before."""
        return data_of(self.data, self.templates, self.validation, (), seed)


ALIKE = Arms()
"""Nothing chosen."""
