"""Policies: same seed same flight, always in the foreground, steps are actions in range."""

import itertools

import numpy as np
import pytest

from napari_mrissl.errors import MrisslError
from napari_mrissl.geometry import apply_action, relative_action
from napari_mrissl.slicing.foreground import Foreground, otsu_threshold
from napari_mrissl.slicing.policies import POLICIES, PolicySettings, generate
from napari_mrissl.volumes import Volume


@pytest.fixture(scope="module")
def ball():
    """A bright ellipsoid off the middle of a dark, oblique, anisotropic grid."""
    k, j, i = np.mgrid[:40, :48, :30]
    inside = ((k - 22) / 12) ** 2 + ((j - 20) / 14) ** 2 + ((i - 14) / 9) ** 2 < 1
    noise = np.random.default_rng(0).normal(scale=8, size=inside.shape)
    affine = np.array([[1.1, 0.2, 0, -20], [-0.2, 1.1, 0, 9], [0, 0, 2.0, 3], [0, 0, 0, 1]])
    return Volume.from_stored((100 * inside + 20 + noise).astype(np.float32), affine)


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("seed", [0, 1, 2, 3])
def test_flights_stay_in_the_foreground(policy, seed, ball):
    foreground = Foreground.of(ball)
    poses = generate(ball, policy, 60, seed)
    assert len(poses) == 60
    for pose in poses:
        assert foreground.contains(pose.center)
        assert foreground.fraction(pose) >= 0.1
    assert poses == generate(ball, policy, 60, seed)
    assert poses != generate(ball, policy, 60, seed + 10)


@pytest.mark.parametrize("policy", POLICIES)
def test_poses_relate_by_actions(policy, ball):
    poses = generate(ball, policy, 40, 5)
    for start, end in itertools.pairwise(poses):
        again = apply_action(start, relative_action(start, end))
        assert np.abs(again.to_row() - end.to_row()).max() < 1e-5


def steps(ball, policy, seed):
    poses = generate(ball, policy, 24, seed)
    return np.array([relative_action(a, b) for a, b in itertools.pairwise(poses)])


@pytest.mark.parametrize("seed", range(8))
def test_each_kind_moves_as_it_should(seed, ball):
    def alone(actions, *dimensions):
        rest = np.delete(actions, dimensions, axis=1)
        return np.abs(rest).max() < 1e-7

    scroll = steps(ball, "scroll", seed)
    assert alone(scroll, 2)
    assert np.ptp(np.abs(scroll[:, 2])) < 1e-9 or (scroll[:, 2] == 0).any()
    rotate = steps(ball, "rotate", seed)
    assert alone(rotate, 3, 4)
    angles = np.degrees(np.linalg.norm(rotate[:, 3:6], axis=1))
    assert ((angles > 2 - 1e-6) & (angles < 8 + 1e-6) | (angles < 1e-6)).all()
    zoom = steps(ball, "zoom", seed)
    assert alone(zoom, 6)
    assert abs(zoom[0, 6]) * len(zoom) <= np.log(2) + 1e-9
    pan = steps(ball, "pan", seed)
    assert alone(pan, 0, 1)
    ways = np.linalg.norm(pan[:, :2], axis=1)
    assert ((ways > 0.02 - 1e-9) & (ways < 0.06 + 1e-9) | (ways < 1e-9)).all()
    walk = steps(ball, "walk", seed)
    assert (np.abs(walk).max(0) > 1e-4).all()


def test_a_scroll_starts_near_a_standard_plane(ball):
    for seed in range(20):
        normal = generate(ball, "scroll", 1, seed)[0].normal
        assert np.degrees(np.arccos(np.abs(normal).max())) <= 15 + 1e-6


def test_a_scroll_covers_what_it_should(ball):
    for seed in range(20):
        poses = generate(ball, "scroll", 33, seed)
        way = relative_action(poses[0], poses[1])[2] * poses[0].fov * 32
        sides = np.abs(poses[0].normal @ ball.affine[:3, :3]) * ball.shape
        assert 0.2 - 1e-6 <= abs(way) / sides.sum() <= 1 + 1e-6


def test_start_orientations_are_tilted_or_any():
    voxels = np.ones((20, 20, 20), np.uint8)
    volume = Volume.from_stored(voxels, np.eye(4))
    tilts = [
        np.degrees(np.arccos(np.abs(generate(volume, "pan", 1, seed)[0].normal).max()))
        for seed in range(150)
    ]
    assert np.mean(np.array(tilts) <= 30 + 1e-6) > 0.75
    assert max(tilts) > 30
    always = PolicySettings(any_orientation=0.0)
    for seed in range(20):
        normal = generate(volume, "pan", 1, seed, always)[0].normal
        assert np.degrees(np.arccos(np.abs(normal).max())) <= 30 + 1e-6


def test_fov_is_part_of_the_largest_side(ball):
    largest = ball.extent.max()
    fovs = [generate(ball, "walk", 1, seed)[0].fov / largest for seed in range(40)]
    assert 0.5 <= min(fovs) < 0.7
    assert 0.9 < max(fovs) <= 1.25


def test_mixture_weights_choose_kinds(ball):
    only = PolicySettings(weights={"zoom": 1.0, "pan": 0.0})
    poses = generate(ball, "mixture", 40, 0, only)
    actions = np.array([relative_action(a, b) for a, b in itertools.pairwise(poses)])
    assert np.abs(actions[:, :6]).max() < 1e-7


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("content", ["one voxel", "constant", "nan around", "thin"])
def test_every_volume_ends(policy, content):
    voxels = np.zeros((16, 16, 16), np.float32)
    if content == "one voxel":
        voxels[0, 0, 0] = 1
    elif content == "nan around":
        voxels[:] = np.nan
        voxels[4:9, 4:9, 4:9] = 5
    elif content == "thin":
        voxels = np.random.default_rng(0).random((16, 1, 16)).astype(np.float32)
    poses = generate(Volume.from_stored(voxels, np.eye(4)), policy, 30, 0)
    assert len(poses) == 30


def test_a_volume_of_nothing_is_refused():
    volume = Volume.from_stored(np.full((4, 4, 4), np.nan, np.float32), np.eye(4))
    with pytest.raises(MrisslError, match="no finite voxel"):
        generate(volume, "scroll", 5, 0)


@pytest.mark.parametrize(
    ("policy", "frames", "seed"),
    [("fly", 5, 0), ("scroll", 0, 0), ("scroll", 2.5, 0), ("scroll", 5, -1), ("scroll", True, 0)],
)
def test_unusable_arguments_are_named(policy, frames, seed, ball):
    with pytest.raises(MrisslError):
        generate(ball, policy, frames, seed)


def test_otsu_is_what_scikit_image_says(ball):
    from skimage.filters import threshold_otsu

    values = ball.data.astype(np.float64).ravel()
    step = np.ptp(values) / 256
    assert abs(otsu_threshold(values) - threshold_otsu(values)) <= 1.01 * step


def test_foreground_is_where_the_ball_is(ball):
    foreground = Foreground.of(ball)
    truth = ball.data > 70
    assert abs(foreground.mask.mean() - truth.mean()) < 0.02
    places = np.argwhere(truth) @ ball.affine[:3, :3].T + ball.affine[:3, 3]
    assert np.abs(foreground.box[0] - places.min(0)).max() < 5
    assert np.abs(foreground.box[1] - places.max(0)).max() < 5


def test_progress_is_told_and_may_end_the_flight(ball):
    told = []
    poses = generate(ball, "walk", 5, 3, progress=told.append)
    np.testing.assert_allclose(told, [0.4, 0.6, 0.8, 1.0])
    assert poses == generate(ball, "walk", 5, 3)

    def enough(part):
        if part > 0.5:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        generate(ball, "walk", 5, 3, progress=enough)


@pytest.mark.parametrize("kind", ["scroll", "rotate", "zoom", "pan", "walk"])
def test_a_flight_that_turns_has_a_new_velocity_of_its_kind_at_every_frame(ball, kind):
    even, turning = (
        [relative_action(a, b) for a, b in itertools.pairwise(
            generate(ball, kind, 12, 3, PolicySettings(turns=turns)))]
        for turns in (0.0, 1.0)
    )  # fmt: skip
    used = {"scroll": [2], "rotate": [3, 4], "zoom": [6], "pan": [0, 1], "walk": range(7)}[kind]
    sizes = [np.round(np.linalg.norm(action[list(used)]), 9) for action in turning]
    # A frame that would leave the foreground stays for once.
    assert len(set(sizes)) >= 8
    if kind != "walk":
        assert len({np.round(np.linalg.norm(one[list(used)]), 6) for one in even} - {0.0}) == 1
    idle = [column for column in range(7) if column not in used]
    assert np.abs(np.array(turning)[:, idle]).max(initial=0) < 1e-6


def test_mixtures_that_turn_keep_the_kinds_of_their_stretches(ball):
    chosen = PolicySettings(turns=0.5, weights={"zoom": 1.0})
    flown = generate(ball, "mixture", 40, 0, chosen)
    assert len({np.round(pose.fov, 6) for pose in flown}) > 20
    assert all(np.allclose(pose.center, flown[0].center) for pose in flown)
