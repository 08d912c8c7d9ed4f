"""What the registration panel does off the GUI's thread."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from napari_mrissl.features.source import Estimate
from napari_mrissl.registration import Registration, RegistrationSettings
from napari_mrissl.registration.apart import register_apart
from napari_mrissl.registration.outputs import write_registration
from napari_mrissl.registration.planning import plan
from napari_mrissl.slicing import prepare
from napari_mrissl.ui.jobs import Control
from napari_mrissl.ui.registration.asked import Asked, Scans
from napari_mrissl.ui.registration.result import Result, result_of
from napari_mrissl.volumes import Volume

_REGISTERED = 0.9
"""Part of the work at which the transform is there."""


class Planned(NamedTuple):
    """What the deformable part will take; None without one.

    Attributes
    ----------
    needed
        Time and memory.
    shape, spacing_mm
        Of the grid on which features are compared.
    coarser
        Whether the allowed memory made it coarser than was asked for.
    """

    needed: Estimate
    shape: tuple[int, int, int]
    spacing_mm: float
    coarser: bool

    @property
    def sentence(self) -> str:
        """Time, memory and grid in words."""
        shape = " x ".join(map(str, self.shape))
        why = ", coarser as memory is short" if self.coarser else ""
        memory = self.needed.ram_bytes / 2**30
        least = 0.1
        taken = f"{memory:.1f}" if memory >= least else f"less than {least}"
        return (
            f"The field takes about {clock(self.needed.seconds)} on one core and "
            f"{taken} GiB; scans are compared at "
            f"{self.spacing_mm:.2g} mm, {shape}{why}."
        )


class Aligned(NamedTuple):
    """The linear alignment alone, while the field is looked for."""

    found: Registration
    scans: Scans


def clock(seconds: float) -> str:
    """A time in words."""
    if seconds < 90:
        return f"{max(seconds, 1):.0f} s"
    return f"{seconds / 60:.0f} min"


def planned(read: Callable[[], Volume], settings: RegistrationSettings) -> Planned | None:
    """What registering will take.

    Raises
    ------
    MrisslError
        If the allowed memory suffices for no grid.
    """
    if not settings.deformable:
        return None
    fixed = read()
    grid, needed = plan(fixed, settings)
    endless = settings.model_copy(update={"memory_gib": 1e6})
    asked = plan(fixed, endless)[0]
    return Planned(needed, grid.shape, float(grid.spacing.mean()), grid.shape != asked.shape)


def register(control: Control, asked: Asked, settings: RegistrationSettings) -> Result:
    """Read, register in a process of its own, move and measure; sends costs and `Aligned`."""
    control.progress(0.0, "Reading the scans")
    scans = asked.read()
    prepare()
    found = register_apart(
        scans.fixed,
        scans.moving,
        settings,
        fixed_mask=scans.extras.fixed_mask,
        moving_mask=scans.moving_mask,
        landmarks=scans.extras.landmarks,
        told=control.send,
        aligned=lambda found: control.send(Aligned(found, scans)),
        progress=lambda part, step: control.progress(
            _REGISTERED * part, step[:1].upper() + step[1:]
        ),
        cancelled=control.cancelled,
    )
    return result_of(
        found,
        scans,
        progress=lambda part, step: control.progress(_REGISTERED + (1 - _REGISTERED) * part, step),
        cancelled=control.cancelled,
    )


def keep_linear(control: Control, aligned: Aligned) -> Result:
    """The result of a registration that was stopped while the field was looked for."""
    return result_of(
        aligned.found,
        aligned.scans,
        whole=False,
        progress=control.progress,
        cancelled=control.cancelled,
    )


def save(control: Control, folder: Path, result: Result) -> Path:
    """Write the files of ``mrissl register``.

    Raises
    ------
    MrisslError
        If the folder is not empty, or the disk refuses.
    """
    scans = result.scans
    write_registration(
        folder,
        result.found,
        scans.fixed,
        scans.moving,
        scans.extras,
        progress=lambda part, step: control.progress(part, f"Writing {step}"),
        cancelled=control.cancelled,
    )
    return folder
