"""``mrissl trajectory replay`` and ``render``: the frames of recorded flights again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from napari_mrissl.cli.arguments import Flag, Frame, Whole, within
from napari_mrissl.cli.files import check_target, open_dataset, open_scan
from napari_mrissl.cli.terminal import Progress, say, show
from napari_mrissl.errors import MrisslError

if TYPE_CHECKING:
    from napari_mrissl.slicing import Slices
    from napari_mrissl.trajectories import Dataset
    from napari_mrissl.volumes import Volume

Folder = Annotated[Path, Parameter(name="DIR")]
LARGEST_SIZE = 2048


def replay(
    folder: Folder,
    /,
    *,
    scan: Path | None = None,
    out: Path | None = None,
    episode: Frame = None,
    size: Whole = 256,
    overwrite: Flag = False,
) -> None:
    """Render a flight again, over the scan it was flown over; without --out only figures.

    Parameters
    ----------
    folder
        Folder of a dataset.
    scan
        The scan, where this machine does not remember it or it was moved.
    out
        .gif to look at, .npy with all values, or .npz with poses and actions too; without
        it, only figures are shown.
    episode
        Which flight, by its number; without it the first.
    size
        Pixels along a side.
    overwrite
        Replace a file that is there.
    """
    from napari_mrissl.trajectories import movies

    within("--size", size, 1, LARGEST_SIZE)
    if out is not None:
        check_target(out, movies.MOVIE_SUFFIXES, overwrite=overwrite, source=scan)
    source = _Source(open_dataset(folder), folder, size, scan)
    number = source.position(episode)
    if out is None:
        show(movies.figures(source.slices(number)))
    else:
        source.write(number, out, overwrite=overwrite)
        say(f"{source.dataset.entries[number].frames} frames of {size} x {size} written")


def render(
    folder: Folder,
    /,
    *,
    out: Path,
    episode: Frame = None,
    size: Whole = 256,
    scan: Path | None = None,
    overwrite: Flag = False,
) -> None:
    """Render frames again at any size, in full: float32 values as the scan has them.

    Parameters
    ----------
    folder
        Folder of a dataset.
    out
        .npz with frames, validity, poses, actions and times; .npy with the frames alone;
        .gif to look at (8 bits); or the name of a new folder, which gets an .npz for
        every episode.
    episode
        Which flight, by its number; without it the first, or all into a folder.
    size
        Pixels along a side.
    scan
        The scan, where this machine does not remember it or it was moved.
    overwrite
        Replace a file that is there.
    """
    if out.suffix:
        replay(folder, scan=scan, out=out, episode=episode, size=size, overwrite=overwrite)
        return
    from napari_mrissl.trajectories.new_folder import check_new_folder, new_folder

    within("--size", size, 1, LARGEST_SIZE)
    check_new_folder(out)
    source = _Source(open_dataset(folder), folder, size, scan)
    entries = source.dataset.entries
    first = source.position(episode)
    chosen = range(len(entries)) if episode is None else [first]
    with new_folder(out) as partial:
        for number in chosen:
            source.write(number, partial / f"episode_{entries[number].episode_index:06d}.npz")
    say(f"{len(chosen)} episodes of {size} x {size} written")


class _Source:
    """Frames of a dataset: out of its scans, or those stored where a scan is not known."""

    def __init__(self, dataset: Dataset, folder: Path, size: int, scan: Path | None) -> None:
        self.dataset = dataset
        self.folder = folder
        self.size = size
        self.scan = scan
        self._open: Volume | None = None

    def position(self, episode: int | None) -> int:
        """Where the episode of a number stands; without one the first."""
        numbers = [entry.episode_index for entry in self.dataset.entries]
        if not numbers:
            raise MrisslError("the dataset has no episode", where=self.folder)
        if episode is None:
            return 0
        if episode not in numbers:
            raise MrisslError(
                f"{episode}", where="--episode", expected=f"one from {numbers[0]} to {numbers[-1]}"
            )
        return numbers.index(episode)

    def slices(self, number: int) -> Iterator[Slices]:
        """The slices of an episode, a few at a time."""
        from napari_mrissl.trajectories import movies
        from napari_mrissl.trajectories.frames import Episodes, Frames, Scans

        progress = Progress(f"rendering episode {self.dataset.entries[number].episode_index}")
        volume = self._volume(number)
        if volume is not None:
            return movies.slices_along(volume, self.dataset.flight(number), self.size, progress)
        frames = Frames(Episodes(self.dataset), self.size, Scans())
        return frames.along(number, progress)

    def write(self, number: int, out: Path, *, overwrite: bool = False) -> None:
        """Write an episode's slices into a file."""
        from napari_mrissl.trajectories import movies

        flight = self.dataset.flight(number)
        parts = self.slices(number)
        movies.write_slices(
            out, flight, self.size, parts, lambda: self._window(number), overwrite=overwrite
        )

    def _window(self, number: int) -> tuple[float, float]:
        from napari_mrissl.trajectories.frames import Episodes, Frames, Scans

        volume = self._volume(number)
        if volume is not None:
            return volume.display_window()
        return Frames(Episodes(self.dataset), self.size, Scans()).value_range(number)

    def _volume(self, number: int) -> Volume | None:
        """The scan of an episode; None where it is not known but its frames were stored."""
        from napari_mrissl.trajectories import locate, remember

        entry = self.dataset.entries[number]
        if self._open is not None and self._open.identity == entry.identity:
            return self._open
        found = self.scan or locate(entry.identity)
        if found is None and entry.frame_size == self.size:
            return None
        if found is None:
            raise MrisslError(
                "the scan of this flight is not known on this machine",
                where=self.folder,
                expected=f"the scan with identity {entry.identity}",
                remedy="give it with --scan",
            )
        self._open = open_scan(found, entry.volume["frame"] or None)
        if self._open.identity == entry.identity:
            remember(entry.identity, found)
        return self._open
