"""From raw events to frames at a steady rate: what was on screen at each time, idle time cut."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.errors import MrisslError
from napari_mrissl.geometry import Pose
from napari_mrissl.trajectories.entries import is_layer

IDLE_SECONDS = 2.0
"""Of a longer stretch in which nothing changes, this much is kept."""

OPTIONAL_COLUMNS = ("cursor", "window", "clicks", "layers")
_MOST_FRAMES = 5_000_000
_MOST_LAYERS = 63

Event = dict[str, Any]
Stamped = tuple[int, Event]
Click = tuple[float, float, float, int]


@dataclass(frozen=True, eq=False)
class Samples:
    """Frames at a steady rate.

    Attributes
    ----------
    poses
        (frames, 8) float64 in the order of `POSE_COLUMNS`.
    times_ns
        (frames,) int64, when each frame was on screen, in nanoseconds of the journal.
    cut_s
        Seconds that were left out: pauses, and idle stretches beyond `IDLE_SECONDS`.
    cursor, window
        (frames, 3) RAS mm and (frames, 2); NaN where there was none.
    clicks
        For each frame, those since the frame before, as (x, y, z, label).
    layers, layer_names
        (frames,) int64 with bit n set where the n-th name was visible.
    """

    poses: NDArray[np.float64]
    times_ns: NDArray[np.int64]
    cut_s: float
    cursor: NDArray[np.float64]
    window: NDArray[np.float64]
    clicks: list[list[Click]]
    layers: NDArray[np.int64]
    layer_names: tuple[str, ...]


def frame_times(count: int, hertz: float) -> NDArray[np.int64]:
    """When each of ``count`` frames is due, in nanoseconds from the first."""
    return np.round(np.arange(count) * (1e9 / hertz)).astype(np.int64)


def sample(
    events: Sequence[Stamped], hertz: float, idle_seconds: float | None = IDLE_SECONDS
) -> Samples:
    """Sample events at a steady rate from the first pose to the last event.

    The frame at a time shows the newest event not after it (held, not interpolated).
    Pauses are cut out; so is what an idle stretch has beyond ``idle_seconds`` (None: no
    limit). The last frame is the first one due at or after the end, so that the last
    event is in the episode.

    Parameters
    ----------
    events
        Time stamps in nanoseconds, never falling, each with one of ``pose``, ``cursor``,
        ``window``, ``click``, ``layers``, ``paused``, or something else to ignore.

    Raises
    ------
    MrisslError
        If there is no pose, or there would be more frames than anyone flies.
    """
    pose_times, poses = _of(events, "pose")
    if not poses:
        raise MrisslError("nothing was recorded", expected="one pose or more")
    starts, lengths = _kept(events, pose_times[0], idle_seconds)
    ends = np.cumsum(lengths)
    kept = int(ends[-1])
    shown = _shown_at(frame_times(_frames(kept, hertz), hertz), starts, ends - lengths, kept)
    total = int(events[-1][0]) - int(pose_times[0])
    layers, names = _bits(events, shown)
    return Samples(
        poses=np.array(poses, np.float64)[_newest(pose_times, shown)],
        times_ns=shown,
        cut_s=(total - kept) / 1e9,
        cursor=_held(events, "cursor", 3, shown),
        window=_held(events, "window", 2, shown),
        clicks=_clicks(events, shown),
        layers=layers,
        layer_names=names,
    )


def checked(events: Sequence[Stamped], where: Any = None) -> Sequence[Stamped]:
    """Events that came from a file, after a look at each.

    Raises
    ------
    MrisslError
        If one holds something that a recorder never writes.
    """
    for number, (_, event) in enumerate(events):
        try:
            good = _is_good(event)
        except (MrisslError, OverflowError, TypeError):
            good = False
        if not good:
            raise MrisslError(
                f"event {number} is not one of a recording", where=where, remedy="use a copy"
            )
    return events


def _is_good(event: Event) -> bool:
    if "pose" in event:
        Pose.from_row(_numbers(event["pose"], 8))
    if event.get("cursor") is not None:
        _numbers(event["cursor"], 3)
    if "window" in event:
        _numbers(event["window"], 2)
    if "click" in event:
        click = event["click"]
        _numbers(click, 4)
        if type(click[3]) is not int or abs(click[3]) >= 1 << 31:
            return False
    if "layers" in event:
        named = event["layers"]
        if not isinstance(named, dict):
            return False
        if not all(is_layer(name) and type(seen) is bool for name, seen in named.items()):
            return False
    return type(event.get("paused", False)) is bool and isinstance(event.get("task", ""), str)


def _numbers(value: object, count: int) -> list[float]:
    if (
        not isinstance(value, list)
        or len(value) != count
        or not all(type(n) in (int, float) for n in value)
        or not np.isfinite(np.array(value, np.float64)).all()
    ):
        raise MrisslError(f"not {count} numbers")
    return value


def _of(events: Sequence[Stamped], kind: str) -> tuple[NDArray[np.int64], list[Any]]:
    """Times and values of the events of a kind."""
    found = [(t, event[kind]) for t, event in events if kind in event]
    return np.array([t for t, _ in found], np.int64), [value for _, value in found]


def _kept(
    events: Sequence[Stamped], begin: int, idle_seconds: float | None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Starts and lengths of the stretches of time that are kept, in order."""
    idle_ns = None if idle_seconds is None else round(idle_seconds * 1e9)
    stretches: list[tuple[int, int]] = []
    latest: dict[str, Any] = {}
    since, paused = int(begin), False
    for t, event in events:
        t = max(int(t), since)
        if "paused" in event and event["paused"] != paused:
            if not paused:
                stretches.append((since, t))
            since, paused = t, bool(event["paused"])
        elif _changes(event, latest) and not paused and t > since:
            stretches.append((since, t))
            since = t
    if not paused:
        stretches.append((since, max(since, int(events[-1][0]))))
    starts = np.array([start for start, _ in stretches], np.int64)
    lengths = np.array([end - start for start, end in stretches], np.int64)
    return starts, lengths if idle_ns is None else np.minimum(lengths, idle_ns)


def _changes(event: Event, latest: dict[str, Any]) -> bool:
    """Whether an event shows something new; the same again is idleness."""
    new = "click" in event
    for kind in ("pose", "cursor", "window", "layers"):
        if kind in event and (kind not in latest or latest[kind] != event[kind]):
            latest[kind] = event[kind]
            new = True
    return new


def _frames(kept_ns: int, hertz: float) -> int:
    """How many frames there are until the first one due at or after the end."""
    estimate = kept_ns * hertz / 1e9
    if estimate > _MOST_FRAMES:
        raise MrisslError(
            f"{estimate:.3g} frames in one episode",
            expected=f"at most {_MOST_FRAMES}",
            remedy="record shorter episodes or at a lower rate",
        )
    first = max(0, int(estimate) - 2)
    due = np.round((first + np.arange(6)) * (1e9 / hertz)).astype(np.int64)
    return first + int(np.searchsorted(due, kept_ns, side="left")) + 1


def _shown_at(
    due: NDArray[np.int64], starts: NDArray[np.int64], offsets: NDArray[np.int64], kept: int
) -> NDArray[np.int64]:
    """Journal time of kept time; where two stretches meet, the later one begins."""
    due = np.minimum(due, kept)
    stretch = np.searchsorted(offsets, due, side="right") - 1
    shown: NDArray[np.int64] = starts[stretch] + due - offsets[stretch]
    return shown


def _newest(times: NDArray[np.int64], shown: NDArray[np.int64]) -> NDArray[np.intp]:
    return np.searchsorted(times, shown, side="right") - 1


def _held(
    events: Sequence[Stamped], kind: str, width: int, shown: NDArray[np.int64]
) -> NDArray[np.float64]:
    """The newest value of a kind at each time; NaN before the first and where it was None."""
    times, values = _of(events, kind)
    rows = np.full((len(values) + 1, width), np.nan)
    for row, value in zip(rows, values, strict=False):
        if value is not None:
            row[:] = value
    # The row after the last is all NaN, and so is what index -1 finds.
    held: NDArray[np.float64] = rows[_newest(times, shown)]
    return held


def _clicks(events: Sequence[Stamped], shown: NDArray[np.int64]) -> list[list[Click]]:
    times, values = _of(events, "click")
    frames: list[list[Click]] = [[] for _ in shown]
    for frame, (x, y, z, label) in zip(
        np.minimum(np.searchsorted(shown, times, side="left"), len(shown) - 1), values, strict=True
    ):
        frames[frame].append((float(x), float(y), float(z), int(label)))
    return frames


def _bits(
    events: Sequence[Stamped], shown: NDArray[np.int64]
) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    times, values = _of(events, "layers")
    names = tuple(dict.fromkeys(name for value in values for name in value))
    if len(names) > _MOST_LAYERS:
        raise MrisslError(f"{len(names)} layers", expected=f"at most {_MOST_LAYERS}")
    masks = [sum(1 << names.index(name) for name, seen in v.items() if seen) for v in values]
    found: NDArray[np.int64] = np.array([*masks, 0], np.int64)[_newest(times, shown)]
    return found, names


def actions_between(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """`relative_action` from each pose row to the next, (frames, 7); the last is zeros.

    All at once, because an episode has hundreds.
    """
    actions = np.zeros((len(rows), 7))
    if len(rows) < 2:
        return actions
    center, w, v, fov = rows[:, :3], rows[:, 3], rows[:, 4:7], rows[:, 7]
    length = np.linalg.norm(rows[:, 3:7], axis=1)
    w, v = w / length, v / length[:, None]
    # Conjugate of the start times the end: the rotation in the start's own frame.
    turned = w[:-1] * w[1:] + (v[:-1] * v[1:]).sum(1)
    axis = w[:-1, None] * v[1:] - w[1:, None] * v[:-1] - np.cross(v[:-1], v[1:])
    sign = np.where(turned < 0, -1.0, 1.0)
    sine = np.linalg.norm(axis, axis=1)
    angle = 2 * np.arctan2(sine, np.abs(turned))
    factor = np.divide(angle, sine, out=np.full_like(sine, 2.0), where=sine > 1e-12)
    shift = np.diff(center, axis=0)
    # The shift turned back into the start's frame.
    across = np.cross(v[:-1], shift)
    local = shift + 2 * (np.cross(v[:-1], across) - w[:-1, None] * across)
    actions[:-1, :3] = local / fov[:-1, None]
    actions[:-1, 3:6] = axis * (sign * factor)[:, None]
    actions[:-1, 6] = np.log(fov[1:] / fov[:-1])
    return actions
