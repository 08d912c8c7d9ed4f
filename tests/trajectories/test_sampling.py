"""Sampling: every frame is what was on screen at its time, found by counting time tick by tick."""

import numpy as np
import pytest

from napari_mrissl.errors import MrisslError
from napari_mrissl.geometry import Pose, relative_action
from napari_mrissl.trajectories.sampling import actions_between, checked, frame_times, sample

TICK = 1_000_000  # one millisecond
IDLE = 2000  # ticks


def row(number):
    """A valid pose that can be told from all others."""
    return [float(number), 0.5, -3.0, 1.0, 0.0, 0.0, 0.0, 100.0 + number]


def recording(rng, count=60):
    """Random events on a grid of ticks, with pauses, idleness and repetitions."""
    events, t, paused = [], 0, False
    for number in range(count):
        t += int(rng.choice([0, 1, 7, 50, 333, 1999, 2000, 2001, 4321]))
        kind = rng.choice(["pose", "pose", "same", "cursor", "none", "window", "click", "layers",
                           "pause", "other"])  # fmt: skip
        if kind == "pause":
            paused = not paused
            events.append((t * TICK, {"paused": paused}))
        elif kind == "click" and not paused:
            events.append((t * TICK, {"click": [1.0, 2.0, float(number), int(number % 3)]}))
        elif kind == "same" and any("pose" in event for _, event in events):
            last = next(e["pose"] for _, e in reversed(events) if "pose" in e)
            events.append((t * TICK, {"pose": list(last)}))
        else:
            events.append(
                (
                    t * TICK,
                    {
                        "pose": {"pose": row(number)},
                        "cursor": {"cursor": [0.0, 1.0, float(number)]},
                        "none": {"cursor": None},
                        "window": {"window": [0.0, float(number)]},
                        "layers": {"layers": {"labels:1": bool(number % 2), "image:ab": True}},
                    }.get(str(kind), {"task": "look"}),
                )
            )
    events.append(((t + int(rng.integers(0, 3000))) * TICK, {"ended": True}))
    return events


def by_counting(events, step):
    """The frames, by walking through every tick; ``step`` ticks from frame to frame."""
    begin = next(t for t, e in events if "pose" in e) // TICK
    end = events[-1][0] // TICK
    shown, seen, changed, paused, at = {}, {}, begin, False, 0
    pending, frames, kept, last, was_kept = [], [], 0, {}, False

    def frame(state):
        clicks, pending[:] = list(pending), []
        frames.append({**state, "clicks": clicks})

    for tick in range(min(begin, events[0][0] // TICK), end + 1):
        while at < len(events) and events[at][0] // TICK == tick:
            event = events[at][1]
            at += 1
            if "paused" in event:
                changed = tick if paused and not event["paused"] else changed
                paused = event["paused"]
            if "click" in event:
                x, y, z, label = event["click"]
                pending.append((x, y, z, label))
                changed = tick
            for kind in ("pose", "cursor", "window", "layers"):
                if kind in event:
                    if kind not in shown or shown[kind] != event[kind]:
                        changed = tick
                    shown[kind] = seen[kind] = event[kind]
        if tick >= begin and (was_kept or not paused):
            last = dict(seen)  # as when recording stopped for good, should it be now
        idle = tick - max(changed, begin) >= IDLE
        was_kept = begin <= tick < end and not paused and not idle
        if was_kept:
            if kept % step == 0:
                frame(seen)
            kept += 1
    frame(last)
    return frames, (end - begin - kept) / 1000


@pytest.mark.parametrize("seed", range(8))
def test_each_frame_is_what_was_on_screen(seed):
    events = recording(np.random.default_rng(seed))
    hertz = [20.0, 100.0, 4.0][seed % 3]
    expected, cut = by_counting(events, round(1000 / hertz))
    found = sample(events, hertz)
    assert len(found.poses) == len(expected)
    assert found.cut_s == pytest.approx(cut, abs=1e-12)
    assert found.poses.tolist() == [frame["pose"] for frame in expected]
    assert found.clicks == [frame["clicks"] for frame in expected]
    nothing = [np.nan] * 3
    np.testing.assert_array_equal(
        found.cursor, [frame.get("cursor") or nothing for frame in expected]
    )
    np.testing.assert_array_equal(
        found.window, [frame.get("window", nothing[:2]) for frame in expected]
    )
    for bits, frame in zip(found.layers, expected, strict=True):
        names = {name for n, name in enumerate(found.layer_names) if bits >> n & 1}
        assert names == {name for name, seen in frame.get("layers", {}).items() if seen}


def test_a_steady_flight_is_sampled_as_it_is():
    for hertz in (20.0, 30.0, 24.0, 7.3, 59.94, 1000.0):
        times = frame_times(500, hertz)
        events = [(int(t), {"pose": row(n)}) for n, t in enumerate(times)]
        found = sample(events, hertz, idle_seconds=None)
        assert found.poses[:, 0].tolist() == list(range(500))
        np.testing.assert_array_equal(found.times_ns, times)


def test_a_clock_that_stands_still_gives_the_last_state_and_every_click():
    events = [(5, {"pose": row(n)}) for n in range(50)]
    events[20:20] = [(5, {"click": [0.0, 0.0, float(n), 1]}) for n in range(4)]
    found = sample(events, 20.0)
    assert found.poses.tolist() == [row(49)]
    assert [click[2] for click in found.clicks[0]] == [0, 1, 2, 3]
    assert found.cut_s == 0


def test_the_last_event_is_always_in_the_episode():
    for late in (1, 49_999_999, 50_000_000, 50_000_001):
        click = (1.0, 2.0, 3.0, 7)
        events = [(0, {"pose": row(0)}), (late, {"click": list(click)}), (late, {"pose": row(9)})]
        found = sample(events, 20.0)
        assert found.poses[-1].tolist() == row(9)
        assert [one for clicks in found.clicks for one in clicks] == [click]


def test_years_of_idleness_cost_no_memory():
    events = [(0, {"pose": row(0)}), (1 << 62, {"pose": row(1)})]
    found = sample(events, 20.0)
    assert len(found.poses) == 41
    assert found.cut_s == pytest.approx((1 << 62) / 1e9 - 2)
    with pytest.raises(MrisslError, match="frames in one episode"):
        sample(events, 20.0, idle_seconds=None)


def test_nothing_recorded_is_told():
    for events in ([], [(0, {"cursor": None})], [(0, {"paused": True})]):
        with pytest.raises(MrisslError, match="nothing was recorded"):
            sample(events, 20.0)


def test_actions_are_those_between_the_frames(poses):
    rng = np.random.default_rng(3)
    far = [Pose.from_normal_up(*rng.normal(size=(3, 3)), fov) for fov in rng.uniform(1, 300, 200)]
    flight = [*poses, poses[-1], *far]
    rows = np.array([pose.to_row() for pose in flight])
    found = actions_between(rows)
    assert found[-1].tolist() == [0] * 7
    for start, end, action in zip(flight, flight[1:], found, strict=False):
        np.testing.assert_allclose(action, relative_action(start, end), rtol=0, atol=1e-9)
    assert actions_between(rows[:1]).tolist() == [[0] * 7]


@pytest.mark.parametrize(
    "event",
    [
        {"pose": row(0)[:7]},
        {"pose": [*row(0)[:7], 0.0]},
        {"pose": [*row(0)[:7], True]},
        {"pose": [10**400, *row(0)[1:]]},
        {"pose": None},
        {"pose": "12345678"},
        {"cursor": [1, 2]},
        {"cursor": "abc"},
        {"window": None},
        {"window": [0, float("inf")]},
        {"click": [1, 2, 3]},
        {"click": [1, 2, 3, 0.5]},
        {"click": [1, 2, 3, 1 << 40]},
        {"layers": ["labels:1"]},
        {"layers": {"labels:1": 1}},
        {"layers": {"/home/somebody/scan.nii": True}},
        {"paused": "yes"},
        {"task": 5},
    ],
)
def test_events_that_no_recorder_writes_are_refused(event):
    with pytest.raises(MrisslError, match="event 1 is not one of a recording"):
        checked([(0, {"pose": row(0)}), (1, event)])
    checked([(0, {"pose": row(0), "ended": True})])
