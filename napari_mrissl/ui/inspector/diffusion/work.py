"""What the panel does off the GUI thread; only here is torch imported, in the job's thread."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.evaluation.weights import scan_for
from napari_mrissl.features.cancel import stop_if
from napari_mrissl.pretext.observable.views import Views
from napari_mrissl.pretext.subjects import Scan
from napari_mrissl.ui.inspector.loading import Network, network_of
from napari_mrissl.ui.jobs import Control
from napari_mrissl.volumes import Volume

if TYPE_CHECKING:
    from napari_mrissl.pretext.diffusion.inspection import Inspector, Patches
    from napari_mrissl.pretext.diffusion.looking import Look
    from napari_mrissl.pretext.diffusion.seams import Seams

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]


@dataclass(frozen=True)
class PatchChoice:
    """Which patch is looked at: drawn by a seed, about a point in scan mm (R, A, S), if given.

    The seed also is that of its noise.
    """

    seed: int = 0
    center_mm: tuple[float, float, float] | None = None


@dataclass(frozen=True, eq=False)
class Loaded:
    """A network and a scan prepared for it."""

    network: Network[Inspector]
    scan: Scan

    @property
    def inspector(self) -> Inspector:
        """The network."""
        return self.network.inspector


@dataclass(frozen=True, eq=False)
class Seen:
    """A patch, and what is seen behind its noise.

    Attributes
    ----------
    choice
        Of the patch.
    patches
        It is the first of them.
    look
        At it.
    floor
        Loss of the best denoiser of single voxels there; None where it is not known.
    """

    choice: PatchChoice
    patches: Patches
    look: Look
    floor: float | None

    @property
    def views(self) -> Views:
        """Where the patch is."""
        return self.patches.views[0]


@dataclass(frozen=True, eq=False)
class Guided:
    """A patch drawn out of one noise by what the network is told.

    Attributes
    ----------
    views
        Where the patch is.
    clean
        (Z, Y, X) what is there, 0 to 1.
    drawn
        (Z, Y, X) by guide.
    """

    views: Views
    clean: Singles
    drawn: dict[str, Singles]


def _opened(weights: Path) -> Inspector:
    # Torch comes with this import: it stays out of the start of the dock.
    from napari_mrissl.pretext.diffusion.inspection import Inspector

    return Inspector.open(weights)


def load(
    control: Control,
    folder: Path,
    known: Network[Inspector] | None,
    read: Callable[[], Volume] | None,
) -> tuple[Network[Inspector], Loaded | None]:
    """Load weights where they are not loaded yet, and prepare a scan for them."""
    network = network_of(control, folder, known, 0.05, _opened)
    if read is None:
        return network, None
    stop_if(control.cancelled)
    control.progress(0.5, "Preparing the scan")
    return network, Loaded(network, scan_for(read(), network.inspector.card))


def look(
    control: Control, loaded: Loaded, choice: PatchChoice, step: int, guide: str, seen: Seen | None
) -> Seen:
    """Look at a patch with the noise of a step; its patch may be known."""
    from napari_mrissl.pretext.diffusion import looking

    stop_if(control.cancelled)
    inspector = loaded.inspector
    if seen is not None and seen.choice == choice:
        patches = seen.patches
    else:
        patches = looking.patches_at(inspector, loaded.scan, choice.seed, choice.center_mm)
    stop_if(control.cancelled)
    found = looking.look(inspector, patches, step, guide)
    floor = None
    if inspector.card.get("moments") is not None:
        every = inspector.moments.voxelwise(inspector.schedule, inspector.settings.prediction)
        floor = float(every[step])
    return Seen(choice, patches, found, floor)


def walk(control: Control, loaded: Loaded, seen: Seen, guide: str, count: int) -> Singles:
    """(T, Z, Y, X) the patch on its way out of noise."""
    from napari_mrissl.pretext.diffusion import looking

    tell = _telling(control, 0.0, 1.0, f"Drawing a patch in {count} steps")
    states = looking.walk(loaded.inspector, seen.patches, guide, count, progress=tell)
    return looking.strip(seen.patches, states)


def compare(control: Control, loaded: Loaded, seen: Seen, count: int, strength: float) -> Guided:
    """The patch, drawn out of the same noise by every guide."""
    from napari_mrissl.pretext.diffusion import looking

    guides = loaded.inspector.guides
    drawn = {}
    for number, guide in enumerate(guides):
        tell = _telling(control, number / len(guides), 1 / len(guides), f"Drawing, told: {guide}")
        states = looking.walk(loaded.inspector, seen.patches, guide, count, strength, tell)
        drawn[guide] = looking.strip(seen.patches, states[-1:])[-1]
    return Guided(seen.views, seen.look.clean, drawn)


def seams(control: Control, loaded: Loaded, step: int, guide: str, parts: int) -> Seams:
    """The scan through overlapping patches."""
    from napari_mrissl.pretext.diffusion.seams import seams as found

    tell = _telling(control, 0.0, 1.0, "Looking at all patches of the scan")
    return found(loaded.inspector, loaded.scan, step, guide, 0, parts, tell)


def features(
    control: Control, loaded: Loaded, seen: Seen, ratio_db: float, level: int
) -> NDArray[np.uint8]:
    """(z, y, x, 3) principal components of a map of the decoder."""
    from napari_mrissl.pretext.diffusion import looking

    stop_if(control.cancelled)
    step = loaded.inspector.schedule.step_of(ratio_db)
    return looking.colours(loaded.inspector, seen.patches, step, level)


def _telling(control: Control, first: float, share: float, words: str) -> Callable[[float], None]:
    """Tells of a part of a job, and ends it when it is cancelled."""

    def tell(done: float) -> None:
        stop_if(control.cancelled)
        control.progress(first + share * done, words)

    return tell
