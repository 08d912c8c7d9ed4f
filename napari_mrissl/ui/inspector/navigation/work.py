"""What the panel does off the GUI thread; only here is torch imported, in the job's thread."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.evaluation.weights import weights_of
from napari_mrissl.features.cancel import stop_if
from napari_mrissl.features.projections import Projection, fit_projection
from napari_mrissl.features.similarity import Compared
from napari_mrissl.geometry import Pose, apply_affine
from napari_mrissl.pretext.navigation.moves import same_place
from napari_mrissl.pretext.navigation.search_settings import SearchSettings
from napari_mrissl.pretext.subjects import Scan
from napari_mrissl.ui.jobs import Control
from napari_mrissl.volumes import Volume

if TYPE_CHECKING:
    from napari_mrissl.pretext.navigation.open_network import OpenNetwork
    from napari_mrissl.pretext.navigation.pose_probe import PoseProbe
    from napari_mrissl.pretext.navigation.search import Found

_SAMPLED = 64
_SHORTEST = 1e-12
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
class Token:
    """A token that others are compared with, wherever the slice goes.

    Attributes
    ----------
    scan
        Name of the scan it is of.
    identity
        Of that scan.
    network
        Whose token it is: it says nothing to another network.
    pose
        Of its slice, on the side from which the network sees it.
    place
        Row and column in the slice's grid of tokens.
    latents
        (latent,), layer-normed.
    """

    scan: str
    identity: str
    network: Network
    pose: Pose
    place: tuple[int, int]
    latents: NDArray[np.float32]

    def is_of(self, loaded: Loaded) -> bool:
        """Whether it was taken from this scan."""
        return self.identity == loaded.scan.identity

    def mm_to(self, pose: Pose, place: tuple[int, int]) -> float:
        """How far a place in the grid of a slice of the same scan lies from it."""
        grid = self.network.opened.grid
        return float(
            np.linalg.norm(_point(pose, place, grid) - _point(self.pose, self.place, grid))
        )


@dataclass(frozen=True, eq=False)
class Alike:
    """How similar a slice's tokens are to one token.

    Attributes
    ----------
    name
        Of the scan; empty for the one that is looked at.
    pose
        Of the slice, on the side from which the network sees it.
    frame
        (N, N) in [0, 1].
    cosines
        (grid, grid).
    best
        Row and column of the most similar token.
    home
        Whether the token that was asked for is one of these, ``best`` then.
    """

    name: str
    pose: Pose
    frame: NDArray[np.float32]
    cosines: NDArray[np.float32]
    best: tuple[int, int]
    home: bool = False


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
    token: Token,
    others: Sequence[tuple[str, Callable[[], Volume]]],
) -> tuple[Alike, ...]:
    """Similarity of a token to all of a slice, and to the same slice of other scans.

    Channels are standardised as for the colours, by the present scan, for all scans alike.
    """
    opened = loaded.opened
    query = (token.latents - palette.mean) * palette.weight
    query = np.asarray(query / max(float(np.linalg.norm(query)), _SHORTEST), np.float32)
    own = _compared(seen.frame, seen.latents, palette, opened.grid)
    here = _alike("", seen.pose, seen.frame, own, query)
    if token.is_of(loaded) and same_place(token.pose, seen.pose):
        here = replace(here, best=token.place, home=True)
    found = [here]
    for name, read in others:
        stop_if(control.cancelled)
        scan = opened.scan(read())
        frame, latents = opened.frames(scan, [seen.pose])[0], opened.encode(scan, [seen.pose])[0]
        compared = _compared(frame, latents, palette, opened.grid)
        found.append(_alike(name, seen.pose, frame, compared, query))
    return tuple(found)


def token_of(loaded: Loaded, pose: Pose, place: tuple[float, float]) -> Token:
    """The token at a place of a slice, row and column as parts of its sides."""
    grid, scan = loaded.opened.grid, loaded.scan
    row, column = (min(grid - 1, int(part * grid)) for part in place)
    latents = loaded.opened.encode(scan, [pose])[0, row, column]
    return Token(scan.subject, scan.identity, loaded.network, pose, (row, column), latents)


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
    name: str, pose: Pose, frame: NDArray[np.float32], compared: Compared,
    query: NDArray[np.float32],
) -> Alike:  # fmt: skip
    cosines, match = compared.whole(query)
    return Alike(name, pose, frame, cosines[0], (match.voxel[1], match.voxel[2]))


def _point(pose: Pose, place: tuple[int, int], grid: int) -> NDArray[np.float64]:
    """World mm (3,) of a token's middle."""
    return apply_affine(pose.grid(grid), np.array([0.0, *place]))


def _channels(latents: NDArray[np.float32]) -> NDArray[np.float32]:
    """(latent, K, grid, grid) of latents (K, grid, grid, latent)."""
    return np.ascontiguousarray(np.moveaxis(latents, -1, 0))


def _tokens(frames: NDArray[np.float32], grid: int) -> Volume:
    """Mean grey values of patches as a volume (K, grid, grid): what is empty counts less."""
    count, size, _ = frames.shape
    patch = size // grid
    mean = frames.reshape(count, grid, patch, grid, patch).mean(axis=(2, 4))
    return Volume.from_stored(mean, _TOKEN_GRID, name="tokens")
