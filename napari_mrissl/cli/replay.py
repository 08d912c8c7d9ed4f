"""``mrissl trajectory replay`` and ``render``: the frames of recorded flights again."""

from __future__ import annotations

import mimetypes
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
    from napari_mrissl.trajectories.frames import Frames, Scans

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
        Which flight, by its number from 0 as ``info`` lists it; without it the first.
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
    number = source.checked(episode)
    if out is None:
        show(movies.figures(source.slices(number)))
    else:
        source.write(number, out, overwrite=overwrite)
        count = source.dataset.entries[number].frames
        frames = "1 frame" if count == 1 else f"{count} frames"
        say(f"{frames} of {size} x {size} written")


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
        Which flight, by its number from 0 as ``info`` lists it; without it the first, or
        all into a folder.
    size
        Pixels along a side.
    scan
        The scan, where this machine does not remember it or it was moved.
    overwrite
        Replace a file that is there.
    """
    if _is_file(out):
        replay(folder, scan=scan, out=out, episode=episode, size=size, overwrite=overwrite)
        return
    from napari_mrissl.trajectories.new_folder import check_new_folder, new_folder

    within("--size", size, 1, LARGEST_SIZE)
    check_new_folder(out)
    source = _Source(open_dataset(folder), folder, size, scan)
    first = source.checked(episode)
    chosen = range(len(source.dataset)) if episode is None else [first]
    with new_folder(out) as partial:
        for number in chosen:
            source.write(number, partial / f"episode_{number:06d}.npz")
    episodes = "1 episode" if len(chosen) == 1 else f"{len(chosen)} episodes"
    say(f"{episodes} of {size} x {size} written")


def _is_file(out: Path) -> bool:
    """Whether this is the name of a file; ``frames_v1.2`` is that of a folder."""
    from napari_mrissl.trajectories import movies

    # Other kinds of files are refused as such, not made into folders.
    known = mimetypes.MimeTypes().guess_type(f"x{out.suffix.lower()}") != (None, None)
    return known or out.suffix.lower() in movies.MOVIE_SUFFIXES


class _Source:
    """Frames of a dataset: out of its scans, or those stored where a scan is not known."""

    def __init__(self, dataset: Dataset, folder: Path, size: int, scan: Path | None) -> None:
        self.dataset = dataset
        self.folder = folder
        self.size = size
        self.scan = scan
        self._open: tuple[str, Scans] | None = None

    def checked(self, episode: int | None) -> int:
        """The number of an episode that is there; without one the first."""
        if not len(self.dataset):
            raise MrisslError("the dataset has no episode", where=self.folder)
        number = 0 if episode is None else episode
        within("--episode", number, 0, len(self.dataset) - 1)
        return number

    def slices(self, number: int) -> Iterator[Slices]:
        """The slices of an episode, a few at a time."""
        from napari_mrissl.trajectories.frames import Scans

        scans = Scans()
        if self.scan is not None or self.dataset.entries[number].frame_size != self.size:
            scans = self._scans(number) or scans
        return self._frames(scans).along(number, Progress(f"rendering episode {number}"))

    def write(self, number: int, out: Path, *, overwrite: bool = False) -> None:
        """Write an episode's slices into a file."""
        from napari_mrissl.trajectories import movies

        flight = self.dataset.flight(number)
        parts = self.slices(number)
        movies.write_slices(
            out, flight, self.size, parts, lambda: self._window(number), overwrite=overwrite
        )

    def _frames(self, scans: Scans) -> Frames:
        from napari_mrissl.trajectories.frames import Episodes, Frames

        return Frames(Episodes(self.dataset), self.size, scans)

    def _window(self, number: int) -> tuple[float, float]:
        from napari_mrissl.trajectories.frames import Scans

        scans = self._scans(number)
        if scans is not None:
            return scans.volume(self.dataset.entries[number].volume).display_window()
        return self._frames(Scans()).value_range(number)

    def _scans(self, number: int) -> Scans | None:
        """The scan of an episode, read with progress; None where it is not known."""
        from napari_mrissl.trajectories import locate, remember
        from napari_mrissl.trajectories.frames import Scans

        entry = self.dataset.entries[number]
        if self._open is not None and self._open[0] == entry.identity:
            return self._open[1]
        found = self.scan or locate(entry.identity)
        if found is None:
            return None
        volume = open_scan(found, entry.volume["frame"] or None)
        if volume.identity != entry.identity:
            raise MrisslError(
                "the flight was flown over another scan",
                where=found,
                expected=f"the scan with identity {entry.identity}",
            )
        remember(entry.identity, found)
        self._open = entry.identity, Scans([volume])
        return self._open[1]
