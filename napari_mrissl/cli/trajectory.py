"""``mrissl trajectory``: make, describe and replay flights."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from napari_mrissl.cli.arguments import Flag, Frame, Scan, Whole, within
from napari_mrissl.cli.files import check_flight_folder, check_target, open_scan
from napari_mrissl.cli.terminal import Progress, say, show, show_json
from napari_mrissl.errors import MrisslError

if TYPE_CHECKING:
    from napari_mrissl.trajectories import Flight


def generate(
    scan: Scan,
    /,
    *,
    out: Path,
    policy: Literal["scroll", "rotate", "zoom", "pan", "walk", "mixture"],
    frames: Whole,
    seed: Whole,
    frame: Frame = None,
    overwrite: Flag = False,
) -> None:
    """Fly through a scan by a policy and keep the flight.

    Parameters
    ----------
    scan
        NIfTI, MGH, NRRD or MetaImage file, or a folder with one DICOM series.
    out
        Folder for the flight.
    policy
        How to move.
    frames
        Poses in the flight.
    seed
        The same seed gives the same flight.
    frame
        Which frame of a file with several, from 0; without it the first.
    overwrite
        Replace a flight that is there.
    """
    from napari_mrissl.slicing import policies
    from napari_mrissl.trajectories import flight_of, remember, write_flight

    within("--frames", frames, 1, 100_000)
    within("--seed", seed, 0, 2**63 - 1)
    check_flight_folder(out, overwrite=overwrite)
    volume = open_scan(scan, frame)
    poses = policies.generate(volume, policy, frames, seed)
    write_flight(out, flight_of(volume, poses, policy=policy, seed=seed), overwrite=overwrite)
    remember(volume.identity, scan)
    say(f"{len(poses)} poses written")


def inspect(flight: Path, /, *, json: Flag = False) -> None:
    """Describe a flight.

    Parameters
    ----------
    flight
        Folder of a flight.
    json
        Print one JSON object.
    """
    from napari_mrissl.trajectories import read_flight

    facts = described(read_flight(flight))
    if json:
        show_json(facts)
        return
    ranges = facts.pop("ranges")
    lines = {name: value for name, value in facts.items() if value is not None}
    for name, (low, high) in ranges.items():
        lines[name] = f"{low:.6g} to {high:.6g}"
    show(lines)


def replay(
    flight: Path,
    /,
    *,
    scan: Path | None = None,
    out: Path | None = None,
    size: Whole = 256,
    overwrite: Flag = False,
) -> None:
    """Render a flight again, over the scan it was flown over.

    Parameters
    ----------
    flight
        Folder of a flight.
    scan
        The scan, where this machine does not remember it or it was moved.
    out
        .gif to look at, or .npy with all values; without it, only figures are shown.
    size
        Pixels along a side.
    overwrite
        Replace a file that is there.
    """
    from napari_mrissl.trajectories import locate, movies, read_flight, remember

    within("--size", size, 1, 2048)
    if out is not None:
        check_target(out, movies.MOVIE_SUFFIXES, overwrite=overwrite, source=scan)
    recorded = read_flight(flight)
    found = scan or locate(recorded.identity)
    if found is None:
        raise MrisslError(
            "the scan of this flight is not known on this machine",
            where=flight,
            expected=f"the scan with identity {recorded.identity}",
            remedy="give it with --scan",
        )
    volume = open_scan(found, recorded.info.get("frame") or None)
    progress = Progress("rendering")
    if out is not None:
        movies.write_movie(out, volume, recorded, size, overwrite=overwrite, progress=progress)
        say(f"{len(recorded.poses)} frames of {size} x {size} written")
    else:
        show(movies.figures(movies.slices_along(volume, recorded, size, progress)))
    remember(volume.identity, found)


def described(flight: Flight) -> dict[str, Any]:
    """JSON-ready facts about a flight: how it was made, how long, where it went."""
    import numpy as np

    from napari_mrissl.geometry import POSE_COLUMNS

    columns = {
        "center_x_mm": POSE_COLUMNS.index("cx"),
        "center_y_mm": POSE_COLUMNS.index("cy"),
        "center_z_mm": POSE_COLUMNS.index("cz"),
        "fov_mm": POSE_COLUMNS.index("fov"),
    }
    rows = np.array([pose.to_row() for pose in flight.poses]).reshape(-1, len(POSE_COLUMNS))
    return {
        "frames": len(flight),
        "duration_s": flight.duration_s,
        "identity": flight.identity,
        "policy": flight.info.get("policy"),
        "seed": flight.info.get("seed"),
        "shape": flight.info["shape"],
        "spacing_mm": flight.info["spacing_mm"],
        "ranges": {
            name: [float(rows[:, column].min()), float(rows[:, column].max())]
            for name, column in columns.items()
            if len(rows)
        },
    }
