"""The environment keeps Gymnasium's rules, and shows and measures what the benchmark does."""

import subprocess
import sys
import warnings

import numpy as np
import pytest
from slice_networks import PREPARED

from napari_mrissl.errors import MrisslError
from napari_mrissl.evaluation.navigation import cloning, plane_benchmark
from napari_mrissl.evaluation.navigation.demonstrations import LIMITS, clipped, start_of
from napari_mrissl.evaluation.navigation.standard_plane import Plane, apart
from napari_mrissl.evaluation.weights import scan_for
from napari_mrissl.geometry import Pose, apply_action, relative_action

gymnasium = pytest.importorskip("gymnasium")
from napari_mrissl.environments import SLICE_PLANE  # noqa: E402
from napari_mrissl.environments.slice_plane import SlicePlane  # noqa: E402

SIZE = 16


@pytest.fixture
def flown(heads):
    return SlicePlane(SIZE, scenes=heads)


def test_gymnasiums_own_check_passes_without_a_warning(heads):
    from gymnasium.utils.env_checker import check_env

    made = gymnasium.make(SLICE_PLANE, size=SIZE, scenes=heads, render_mode="rgb_array")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(made.unwrapped)


def test_it_is_made_by_its_name_and_from_its_own_description():
    made = gymnasium.make(SLICE_PLANE, size=SIZE, heads=2, seed=5)
    again = gymnasium.make(gymnasium.envs.registration.EnvSpec.from_json(made.spec.to_json()))
    one, other = (env.reset(seed=3) for env in (made, again))
    np.testing.assert_array_equal(one[0], other[0])
    assert one[1]["scene"] == other[1]["scene"] < 2


def test_slices_are_those_of_the_benchmark(flown, heads):
    seen, info = flown.reset(options={"scene": 1})
    scene = heads[1]()
    assert info["scene"] == 1
    np.testing.assert_array_equal(info["pose"], start_of(scene.volume).to_row())
    scan = scan_for(scene.volume, {"preprocessing": PREPARED})
    rng = np.random.default_rng(0)
    pose = start_of(scene.volume)
    for _ in range(10):
        expected = plane_benchmark._seen(scan, pose, SIZE)
        np.testing.assert_allclose(seen, expected, atol=2e-6)
        assert seen in flown.observation_space
        action = rng.normal(size=7) * LIMITS
        pose = apply_action(pose, clipped(action))
        seen, _, terminated, truncated, info = flown.step(action)
        assert not terminated
        assert not truncated
        np.testing.assert_allclose(info["pose"], pose.to_row(), atol=1e-10)


def test_rewards_are_the_way_that_was_made_good(flown, heads):
    _, info = flown.reset(seed=4)
    scene = heads[info["scene"]]()
    true = Plane.of_pose(scene.target)
    away = []
    rewards = []
    rng = np.random.default_rng(1)
    for _ in range(12):
        plane = Plane.of_pose(Pose.from_row(info["pose"]))
        mm, degrees = apart(plane, true, scene.middle)
        assert info["away_mm"] == pytest.approx(mm, abs=1e-9)
        assert info["away_degrees"] == pytest.approx(degrees, abs=1e-5)
        away.append(mm / 30 + degrees / 30)
        _, reward, _, _, info = flown.step(rng.normal(size=7) * LIMITS)
        rewards.append(reward)
    np.testing.assert_allclose(rewards[:-1], -np.diff(away), atol=1e-6)


def test_standing_still_twice_ends_a_flight_as_in_the_benchmark(flown):
    flown.reset(seed=0)
    moves = [*[LIMITS] * 2, 0.04 * LIMITS, LIMITS, 0.04 * LIMITS, 0 * LIMITS, LIMITS]
    ended = [flown.step(move)[2:4] for move in moves]
    assert ended == [(False, False)] * 5 + [(True, False), (False, False)]
    answers = iter(moves)
    poses = cloning.flown(
        lambda images: next(answers), lambda pose: np.zeros(0), flown.pose, len(moves)
    )
    assert len(poses) - 1 == 6


def test_a_flight_is_cut_off_after_its_steps(heads):
    env = SlicePlane(SIZE, steps=3, scenes=heads)
    env.reset(seed=0)
    assert [env.step(LIMITS)[2:4] for _ in range(3)] == [(False, False)] * 2 + [(False, True)]
    env.reset()
    # An end that was meant is no cut.
    env.step(LIMITS)
    env.step(0 * LIMITS)
    assert env.step(0 * LIMITS)[2:4] == (True, False)


def test_who_knows_the_way_gets_there(flown):
    _, info = flown.reset(seed=2)
    start = info["away_mm"] / 30 + info["away_degrees"] / 30
    total, done = 0.0, False
    while not done:
        action = relative_action(flown.pose, flown.scene.target)
        _, reward, terminated, truncated, info = flown.step(action)
        total, done = total + reward, terminated or truncated
    assert terminated
    assert info["away_mm"] < 0.1
    assert info["away_degrees"] < 0.5
    assert total == pytest.approx(start - info["away_mm"] / 30 - info["away_degrees"] / 30)


def test_a_picture_shows_the_three_slices(heads):
    env = SlicePlane(SIZE, scenes=heads, render_mode="rgb_array")
    seen, _ = env.reset(seed=0)
    picture = env.render()
    assert picture.shape == (SIZE, 3 * SIZE, 3)
    np.testing.assert_array_equal(picture[:, SIZE : 2 * SIZE, 1], np.rint(255 * seen[1, 0]))
    assert SlicePlane(SIZE, scenes=heads).render() is None


@pytest.mark.parametrize(
    ("parameters", "needle"),
    [
        ({"size": 0}, "size"), ({"size": 2.5}, "size"), ({"steps": 0}, "steps"),
        ({"heads": 0}, "no scene"), ({"percentiles": (50, 50)}, "percentiles"),
        ({"render_mode": "human"}, "rgb_array"),
    ],
)  # fmt: skip
def test_parameters_that_cannot_be_are_refused(parameters, needle):
    with pytest.raises(MrisslError, match=needle):
        SlicePlane(**parameters)


def test_wishes_that_cannot_be_met_are_refused(flown):
    with pytest.raises(MrisslError, match="reset first"):
        _ = flown.scene
    with pytest.raises(MrisslError, match="0 to 2"):
        flown.reset(options={"scene": 3})
    with pytest.raises(MrisslError, match="pose"):
        flown.reset(options={"pose": [1, 2]})
    flown.reset()
    for action in (np.zeros(6), np.full(7, np.nan), np.zeros((2, 7))):
        with pytest.raises(MrisslError, match="seven finite"):
            flown.step(action)


def test_without_gymnasium_the_remedy_is_said():
    script = (
        "import sys; sys.modules['gymnasium'] = None\n"
        "from napari_mrissl.errors import MrisslError\n"
        "try:\n    import napari_mrissl.environments\n"
        "except MrisslError as error:\n    print(error)\n"
    )
    said = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, encoding="utf-8", check=True
    ).stdout
    assert "gymnasium is not installed" in said
    assert "napari-mrissl[gym]" in said


def test_it_takes_no_torch():
    script = (
        "import gymnasium, sys, napari_mrissl.environments as e\n"
        "env = gymnasium.make(e.SLICE_PLANE, size=8, heads=1); env.reset()\n"
        "env.step(env.action_space.sample()); print('torch' in sys.modules)"
    )
    said = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, encoding="utf-8", check=True
    ).stdout
    assert said.split() == ["False"]
