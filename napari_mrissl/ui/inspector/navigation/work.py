"""What the panel does off the GUI thread; only here is torch imported, in the job's thread."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.evaluation.weights import weights_of
from napari_mrissl.features.cancel import stop_if
from napari_mrissl.features.projections import Projection, fit_projection
from napari_mrissl.features.similarity import Compared
from napari_mrissl.geometry import Pose
from napari_mrissl.pretext.navigation.search_settings import SearchSettings
from napari_mrissl.pretext.subjects import Scan
from napari_mrissl.ui.jobs import Control
from napari_mrissl.volumes import Volume

if TYPE_CHECKING:
    from napari_mrissl.pretext.navigation.open_network import OpenNetwork
    from napari_mrissl.pretext.navigation.pose_probe import PoseProbe
    from napari_mrissl.pretext.navigation.search import Found

_SAMPLED = 64
# Tokens as voxels: slices, rows, columns.
_TOKEN_GRID = np.eye(4)[[2, 1, 0, 3]]


@dataclass(frozen=True, eq=False)
class Network:
    """A loaded network and where it came from."""

    folder: Path
    opened: OpenNetwork


@dataclass(frozen=True, eq=False)
class Loaded:
    """A network, and a scan prepared for it."""

    network: Network
    scan: Scan

    @property
    def opened(self) -> OpenNetwork:
        """The network."""
        return self.network.opened


@dataclass(frozen=True, eq=False)
class Seen:
    """A true slice and its tokens.

    Attributes
    ----------
    pose
        On the side from which the network sees it.
    frame
        (N, N) in [0, 1].
    latents
        (grid, grid, latent), layer-normed.
    colours
        (grid, grid, 3) of the scan's projection, or None while there is none.
    read
        The pose that a probe reads from the latents.
    """

    pose: Pose
    frame: NDArray[np.float32]
    latents: NDArray[np.float32]
    colours: NDArray[np.uint8] | None
    read: Pose | None


@dataclass(frozen=True, eq=False)
class Alike:
    """How similar a slice's tokens are to one token.

    Attributes
    ----------
    name
        Of the scan.
    frame
        (N, N) in [0, 1].
    cosines
        (grid, grid).
    best
        Row and column of the most similar token.
    """

    name: str
    frame: NDArray[np.float32]
    cosines: NDArray[np.float32]
    best: tuple[int, int]


def load(
    control: Control, folder: Path, known: Network | None, read: Callable[[], Volume] | None
) -> tuple[Network, Loaded | None]:
    """Load weights where they are not loaded yet, and read and prepare a scan for them."""
    network = known
    if network is None or network.folder != folder:
        control.progress(0.1, "Loading the weights")
        # Torch comes with this import: it stays out of the start of the dock.
        from napari_mrissl.pretext.navigation.open_network import OpenNetwork

        network = Network(folder, OpenNetwork.open(weights_of(folder)))
    if read is None:
        return network, None
    stop_if(control.cancelled)
    control.progress(0.6, "Preparing the scan")
    return network, Loaded(network, network.opened.scan(read()))


def look(
    control: Control, loaded: Loaded, pose: Pose, palette: Projection | None,
    probe: PoseProbe | None,
) -> Seen:  # fmt: skip
    """The true slice at a pose and what its latents say."""
    stop_if(control.cancelled)
    frame = loaded.opened.frames(loaded.scan, [pose])[0]
    latents = loaded.opened.encode(loaded.scan, [pose])[0]
    colours = None if palette is None else palette.colours(_channels(latents[None]))[0]
    return Seen(pose, frame, latents, colours, None if probe is None else probe.read(latents))


def palette_of(control: Control, loaded: Loaded) -> Projection:
    """Colours of tokens for a whole scan, from slices where training flights begin.

    The same for every slice, so that a place keeps its colour while the slice moves.
    """
    opened = loaded.opened
    poses = opened.places(loaded.scan, _SAMPLED, 0)
    latents = opened.encode(loaded.scan, poses, control.cancelled)
    frames = opened.frames(loaded.scan, poses)
    return fit_projection([(_tokens(frames, opened.grid), _channels(latents))])


def alike(
    control: Control,
    loaded: Loaded,
    seen: Seen,
    palette: Projection,
    token: tuple[int, int],
    others: Sequence[tuple[str, Callable[[], Volume]]],
) -> tuple[Alike, ...]:
    """Similarity of one token of a slice to all of it, and of the same slice of other scans.

    Channels are standardised as for the colours, by the present scan, for all scans alike.
    """
    opened = loaded.opened
    own = _compared(seen.frame, seen.latents, palette, opened.grid)
    query = own.at((0, *token))
    found = [_alike("", seen.frame, own, query)]
    for name, read in others:
        stop_if(control.cancelled)
        scan = opened.scan(read())
        frame, latents = opened.frames(scan, [seen.pose])[0], opened.encode(scan, [seen.pose])[0]
        found.append(_alike(name, frame, _compared(frame, latents, palette, opened.grid), query))
    return tuple(found)


def fit_probe(control: Control, loaded: Loaded) -> PoseProbe:
    """Fit a pose probe on slices of the scan."""
    from napari_mrissl.pretext.navigation.pose_probe import PoseProbe

    return PoseProbe.fit(
        loaded.opened,
        loaded.scan,
        cancelled=control.cancelled,
        progress=lambda part: control.progress(part, "Fitting the pose probe"),
    )


def picture_of_goal(
    control: Control, loaded: Loaded, volume: Volume, pose: Pose
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """A goal's slice (N, N) and its latents."""
    stop_if(control.cancelled)
    scan = loaded.opened.scan(volume)
    return loaded.opened.frames(scan, [pose])[0], loaded.opened.encode(scan, [pose])[0]


def find(
    control: Control,
    loaded: Loaded,
    start: Pose,
    goal: NDArray[np.float32],
    settings: SearchSettings,
) -> tuple[Found, NDArray[np.float32]]:
    """Search the slice of the scan that is most like a goal; and that slice (N, N)."""
    from napari_mrissl.pretext.navigation.search import search

    mind = loaded.opened.imagination
    assert mind is not None  # noqa: S101 - the button is off without
    found = search(
        mind,
        loaded.scan,
        start,
        goal,
        settings,
        control.cancelled,
        lambda part: control.progress(part, "Searching in imagination"),
    )
    return found, loaded.opened.frames(loaded.scan, [found.pose])[0]


def _compared(
    frame: NDArray[np.float32], latents: NDArray[np.float32], palette: Projection, grid: int
) -> Compared:
    centred = (_channels(latents[None]) - palette.mean[:, None, None, None]) * palette.weight[
        :, None, None, None
    ]
    return Compared.of(centred.astype(np.float32), _tokens(frame[None], grid))


def _alike(
    name: str, frame: NDArray[np.float32], compared: Compared, query: NDArray[np.float32]
) -> Alike:
    cosines, match = compared.whole(query)
    return Alike(name, frame, cosines[0], (match.voxel[1], match.voxel[2]))


def _channels(latents: NDArray[np.float32]) -> NDArray[np.float32]:
    """(latent, K, grid, grid) of latents (K, grid, grid, latent)."""
    return np.ascontiguousarray(np.moveaxis(latents, -1, 0))


def _tokens(frames: NDArray[np.float32], grid: int) -> Volume:
    """Mean grey values of patches as a volume (K, grid, grid): what is empty counts less."""
    count, size, _ = frames.shape
    patch = size // grid
    mean = frames.reshape(count, grid, patch, grid, patch).mean(axis=(2, 4))
    return Volume.from_stored(mean, _TOKEN_GRID, name="tokens")
