"""``mrissl trajectory``: make, describe, check, mend and export datasets of flights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from napari_mrissl.cli.arguments import Flag, Frame, Scan, Whole, within
from napari_mrissl.cli.files import check_dataset_folder, open_dataset, open_scan
from napari_mrissl.cli.terminal import Progress, say, show, show_json
from napari_mrissl.errors import MrisslError

if TYPE_CHECKING:
    from napari_mrissl.trajectories import Dataset, Report
    from napari_mrissl.volumes import Volume

Folder = Annotated[Path, Parameter(name="DIR")]


def generate(
    scan: Scan,
    /,
    *,
    out: Path,
    policy: Literal["scroll", "rotate", "zoom", "pan", "walk", "mixture"],
    frames: Whole,
    seed: Whole,
    task: str = "",
    hertz: float | None = None,
    frame: Frame = None,
) -> None:
    """Fly through a scan by a policy and add the flight to a dataset.

    Parameters
    ----------
    scan
        NIfTI, MGH, NRRD or MetaImage file, or a folder with one DICOM series.
    out
        Folder of the dataset, made if need be; the flight becomes its next episode.
    policy
        How to move.
    frames
        Poses in the flight.
    seed
        The same seed gives the same flight.
    task
        What the flight is for, in a line of text that is shared with the dataset.
    hertz
        Poses a second; without it the dataset's, for a new one 20.
    frame
        Which frame of a file with several, from 0; without it the first.
    """
    from napari_mrissl.slicing import policies
    from napari_mrissl.trajectories import flight_of, open_or_create, remember

    within("--frames", frames, 1, 100_000)
    within("--seed", seed, 0, 2**63 - 1)
    check_dataset_folder(out, hertz)
    volume = open_scan(scan, frame)
    poses = policies.generate(volume, policy, frames, seed)
    dataset = open_or_create(out, hertz)
    flight = flight_of(volume, poses, dataset.hertz, policy=policy, seed=seed)
    entry = dataset.append(flight, task=task, source="policy")
    remember(volume.identity, scan)
    dataset.reload()
    position = [one.uid for one in dataset.entries].index(entry.uid)
    say(f"episode {position} with {_counted(entry.frames, 'pose')} added")


def inspect(folder: Folder, /, *, json: Flag = False) -> None:
    """Describe a dataset: how much it holds, how it was made, where it went.

    Parameters
    ----------
    folder
        Folder of a dataset.
    json
        Print one JSON object, with all episodes.
    """
    facts = described(open_dataset(folder))
    if json:
        show_json(facts)
        return
    episodes, ranges = facts.pop("episodes"), facts.pop("ranges")
    facts["tasks"] = ", ".join(repr(task) for task in facts["tasks"] if task) or None
    lines: dict[str, object] = {"episodes": len(episodes)}
    lines |= {name: value for name, value in facts.items() if value is not None}
    for name, (low, high) in ranges.items():
        lines[name] = f"{low:.6g} to {high:.6g}"
    for position, episode in enumerate(episodes):
        how = [
            episode["source"],
            episode["policy"],
            episode["cuts"] and _counted(episode["cuts"], "cut"),
            episode["task"] and repr(episode["task"]),
        ]
        lines[f"episode {position}"] = (
            f"{_counted(episode['frames'], 'frame')}, {episode['duration_s']:.1f} s, "
            f"scan {episode['identity'][:12]}, {', '.join(word for word in how if word)}"
        )
    show(lines)


def validate(folder: Folder, /, *, json: Flag = False) -> None:
    """Check every file of a dataset against its checksums and its place.

    Ends with 0 if all is well, and with 2 if there is a problem.

    Parameters
    ----------
    folder
        Folder of a dataset.
    json
        Print one JSON object.
    """
    from napari_mrissl.trajectories import validate as validated

    report = validated(folder, progress=Progress("checking"))
    _conclude(
        report,
        folder,
        json=json,
        found="the dataset has {}",
        remedy="mrissl trajectory repair sets aside what is damaged and keeps the rest",
    )


def repair(folder: Folder, /, *, json: Flag = False) -> None:
    """Keep all of a dataset that is verified, and set aside the rest; nothing is deleted.

    Ends with 0 once the dataset can be used, and says what was done.

    Parameters
    ----------
    folder
        Folder of a dataset.
    json
        Print one JSON object.
    """
    from napari_mrissl.trajectories import repair as repaired

    report = repaired(folder, progress=Progress("repairing"))
    _conclude(
        report,
        folder,
        json=json,
        found="{} could not be mended",
        remedy="take the dataset from a copy",
    )


def clean(folder: Folder, /, *, json: Flag = False) -> None:
    """Make a dataset ready to be shared: only its episodes stay. This cannot be undone.

    Deletes undone episodes, earlier writings of episodes, what repair set aside, recordings
    that were cut off, and the manifest before, in which corrected task texts still stand.
    Refused while somebody records into the dataset.

    Parameters
    ----------
    folder
        Folder of a dataset.
    json
        Print one JSON object.
    """
    dataset = open_dataset(folder)
    gone = dataset.clean()
    if json:
        show_json({"episodes": len(dataset), "deleted": gone})
        return
    for name in gone:
        say(f"deleted {name}")
    say(f"{_counted(len(gone), 'file')} deleted, {_counted(len(dataset), 'episode')} kept")


def export(
    folder: Folder,
    /,
    *,
    to: Literal["bids", "hdf5", "lerobot", "minari", "webdataset"],
    out: Path,
    size: Whole = 256,
    scan: Annotated[Sequence[Path], Parameter(negative="")] = (),
) -> None:
    """Write a dataset in the layout of another program.

    Parameters
    ----------
    folder
        Folder of a dataset.
    to
        bids: a BIDS derivative of motion data, poses only. hdf5: one file in the columns of
        stable-worldmodel. lerobot: a LeRobot v3.0 folder. minari: a folder for
        MINARI_DATASETS_PATH. webdataset: tar shards of clips. Images have 8 bits; black and
        white of each scan are kept beside them.
    out
        The new folder; for hdf5 the new file, .h5 or .hdf5.
    size
        Pixels along a side of the images; bids has none.
    scan
        A scan that this machine does not remember; may be given several times.
    """
    from napari_mrissl.trajectories.exchange import formats
    from napari_mrissl.trajectories.exchange.stretches import LARGEST_SIZE
    from napari_mrissl.trajectories.frames import Scans

    within("--size", size, 1, LARGEST_SIZE)
    dataset = open_dataset(folder)
    given = Scans(_given(scan, dataset))
    formats.export(to, dataset, out, size, scans=given, progress=Progress("exporting"))
    say(f"{_counted(len(dataset), 'episode')} exported")


def import_(
    source: Annotated[Path, Parameter(name="SOURCE")],
    /,
    *,
    source_format: Annotated[Literal["bids", "hdf5"], Parameter(name="--from")],
    out: Path,
    scan: Annotated[Sequence[Path], Parameter(negative="")] = (),
) -> None:
    """Make a dataset of flights that another program, or an export, has written.

    Poses come back bit for bit; images are rendered again when they are needed.

    Parameters
    ----------
    source
        What to read.
    source_format
        bids: the folder of a BIDS dataset with motion data. hdf5: a file in the columns of
        stable-worldmodel, whose state is a pose.
    out
        The new folder.
    scan
        The scan that was flown over, where the source does not say; may be given several
        times.
    """
    from napari_mrissl.trajectories import remember
    from napari_mrissl.trajectories.exchange import formats

    scans = [open_scan(path) for path in scan]
    progress = Progress("importing")
    dataset = formats.load(source_format, source, out, scans=scans, progress=progress)
    for path, volume in zip(scan, scans, strict=True):
        remember(volume.identity, path)
    say(f"{_counted(len(dataset), 'episode')} imported")


def described(dataset: Dataset) -> dict[str, Any]:
    """JSON-ready facts about a dataset; what all episodes share stands beside the sums."""
    from napari_mrissl.geometry import POSE_COLUMNS

    columns = {
        "center_x_mm": POSE_COLUMNS.index("cx"),
        "center_y_mm": POSE_COLUMNS.index("cy"),
        "center_z_mm": POSE_COLUMNS.index("cz"),
        "fov_mm": POSE_COLUMNS.index("fov"),
    }
    episodes = [
        {
            "position": position,
            "episode_index": entry.episode_index,
            "frames": entry.frames,
            "duration_s": entry.duration_s,
            "cut_s": entry.cut_s,
            "cuts": len(entry.cuts),
            "task": entry.task,
            "source": entry.source,
            "policy": entry.policy,
            "seed": entry.seed,
            "identity": entry.identity,
            "shape": entry.volume["shape"],
            "spacing_mm": entry.volume["spacing_mm"],
            "columns": list(entry.columns),
            "frame_size": entry.frame_size,
            "bytes": entry.bytes,
            "software": entry.software,
        }
        for position, entry in enumerate(dataset.entries)
    ]
    poses = [entry.statistics["pose"] for entry in dataset.entries]
    shared = {
        name: episodes[0][name] if episodes and len({str(e[name]) for e in episodes}) == 1 else None
        for name in ("identity", "policy", "seed", "shape", "spacing_mm")
    }
    return {
        "frames": sum(entry.frames for entry in dataset.entries),
        "duration_s": sum(entry.duration_s for entry in dataset.entries),
        "hertz": dataset.hertz,
        "tasks": list(dataset.tasks),
        "bytes": sum(entry.bytes for entry in dataset.entries),
        **shared,
        "ranges": {
            name: [min(p["min"][k] for p in poses), max(p["max"][k] for p in poses)]
            for name, k in columns.items()
            if poses
        },
        "episodes": episodes,
    }


def _given(paths: Sequence[Path], dataset: Dataset) -> list[Volume]:
    """The scans that were given, in the frames that the episodes were flown over."""
    from napari_mrissl.trajectories import remember

    wanted = {entry.identity: entry.volume["frame"] for entry in dataset.entries}
    found = []
    for path in paths:
        first = open_scan(path)
        others = {frame for frame in wanted.values() if 0 < frame < first.frames}
        volumes = [first, *(open_scan(path, frame) for frame in sorted(others))]
        fitting = [volume for volume in volumes if volume.identity in wanted]
        if not fitting:
            raise MrisslError("no episode was flown over this scan", where=path)
        for volume in fitting:
            remember(volume.identity, path)
        found += fitting
    return found


def _conclude(report: Report, folder: Path, *, json: bool, found: str, remedy: str) -> None:
    """Show a report, and fail if a problem is left."""
    _show_report(report, json=json)
    if not report.ok:
        problems = _counted(len(report.problems), "problem")
        raise MrisslError(found.format(problems), where=folder, remedy=remedy)


def _show_report(report: Report, *, json: bool) -> None:
    facts: dict[str, Any] = {
        "episodes": report.episodes,
        "frames": report.frames,
        "unfinished": report.unfinished,
    }
    if json:
        show_json({"ok": report.ok, **facts, "problems": report.problems, "done": report.done})
        return
    facts["problems"] = len(report.problems)
    for name, sentences in (("done", report.done), ("problem", report.problems)):
        facts |= {f"{name} {n}": sentence for n, sentence in enumerate(sentences, 1)}
    show(facts)


def _counted(count: int, word: str) -> str:
    return f"{count} {word}{'' if count == 1 else 's'}"
