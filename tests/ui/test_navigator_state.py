"""The navigator's model, without Qt: moves, history, limits, anatomy, gestures, colours."""

import numpy as np
import pytest

from napari_mrissl.geometry import Pose, apply_action
from napari_mrissl.ui.navigator import anatomy, gestures
from napari_mrissl.ui.navigator.colors import PlaneTexture, color_table
from napari_mrissl.ui.navigator.history import BURST_PAUSE
from napari_mrissl.ui.navigator.main_view import hit, pushed, turned
from napari_mrissl.ui.navigator.plane import cut, within
from napari_mrissl.ui.navigator.state import NavigatorState
from napari_mrissl.volumes.volume import Volume

RNG = np.random.default_rng(0)


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def volume():
    affine = np.diag([2.0, 3.0, 4.0, 1.0])
    affine[:3, 3] = (-20, -30, -40)
    return Volume.from_stored(RNG.random((20, 20, 20), np.float32), affine)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def state(volume, clock):
    state = NavigatorState(clock)
    state.set_volume(volume)
    return state


def random_pose(fov=50.0):
    normal, up = RNG.normal(size=(2, 3))
    return Pose.from_normal_up(RNG.normal(size=3) * 5, normal, up, fov)


def test_starts_in_the_middle_and_shows_the_whole_scan(state, volume):
    np.testing.assert_allclose(state.pose.center, volume.center)
    assert state.pose.fov == pytest.approx(volume.extent.max())
    np.testing.assert_allclose(state.pose.rotation, np.eye(3))


def test_a_burst_is_one_step_and_a_rest_ends_it(state, clock):
    start = state.pose
    for _ in range(5):
        clock.now += BURST_PAUSE / 2
        state.move([0, 0, 0.01, 0, 0, 0, 0], burst="wheel")
    after_burst = state.pose
    clock.now += 2 * BURST_PAUSE
    state.move([0, 0, 0.01, 0, 0, 0, 0], burst="wheel")
    end = state.pose
    state.undo()
    assert state.pose == after_burst
    state.undo()
    assert state.pose == start
    assert not state.can_undo
    state.redo()
    state.redo()
    assert state.pose == end
    assert not state.can_redo


def test_released_mouse_and_other_kinds_of_move_end_a_burst(state):
    poses = [state.pose]
    for burst in ("drag", "drag", "wheel", None, None):
        state.move([0.01, 0, 0, 0, 0, 0, 0], burst=burst)
        poses.append(state.pose)
        state.end_burst()
    for pose in reversed(poses[:-1]):
        state.undo()
        assert state.pose == pose


def test_a_new_move_forgets_what_was_taken_back(state):
    state.move([0.01, 0, 0, 0, 0, 0, 0])
    state.undo()
    state.move([0, 0.01, 0, 0, 0, 0, 0])
    assert not state.can_redo


def test_the_centre_stays_in_the_scan_and_the_fov_useful(state, volume):
    state.go_to([1e4, 0, 0])
    np.testing.assert_allclose(state.pose.center, [19, 0, 0], atol=1e-9)
    state.set_pose(Pose(state.pose.center, np.eye(3), 1e-3))
    assert state.pose.fov == 4 * volume.spacing.min()
    state.set_pose(Pose(state.pose.center, np.eye(3), 1e6))
    assert state.pose.fov == 3 * volume.extent.max()


def test_another_scan_keeps_the_pose_where_it_can(state):
    state.move([0, 0, 0, 0.2, 0, 0, -1])
    pose = state.pose
    same_place = Volume.from_stored(np.zeros((40, 40, 40), np.uint8), np.diag([2.0, 2, 2, 1]))
    shifted = same_place.affine.copy()
    shifted[:3, 3] = -40
    state.set_volume(Volume.from_stored(np.zeros((40, 40, 40), np.uint8), shifted))
    assert state.pose == pose
    far = np.eye(4)
    far[:3, 3] = 500
    elsewhere = Volume.from_stored(np.zeros((8, 8, 8), np.uint8), far)
    state.set_volume(elsewhere)
    np.testing.assert_allclose(state.pose.center, elsewhere.center)
    assert not state.can_undo
    state.set_volume(None)
    assert state.volume is None


def test_signals_tell_every_change_once(state):
    heard = []
    state.pose_changed.connect(heard.append)
    state.move([0.01, 0, 0, 0, 0, 0, 0])
    state.set_pose(state.pose)
    state.undo()
    assert len(heard) == 2


@pytest.mark.parametrize("convention", anatomy.CONVENTIONS)
@pytest.mark.parametrize(
    ("plane", "up", "right"),
    [("axial", "A", "R"), ("coronal", "S", "R"), ("sagittal", "S", "A")],
)
def test_planes_show_the_patient_upright(convention, plane, up, right):
    rotation = anatomy.plane_rotation(plane, convention)
    assert np.linalg.det(rotation) == pytest.approx(1)
    flip = {"R": "L", "A": "P"}
    assert anatomy.letters(rotation[:, 1]) == up
    expected = right if convention == "neurological" else flip[right]
    assert anatomy.letters(rotation[:, 0]) == expected


def test_convention_mirrors_the_same_plane_and_is_stated(state):
    assert anatomy.stated_convention(state.pose) == "Neurological: R is right"
    before = state.pose
    state.set_convention("radiological")
    assert anatomy.stated_convention(state.pose) == "Radiological: R is left"
    np.testing.assert_allclose(state.pose.right, -before.right)
    np.testing.assert_allclose(state.pose.up, before.up)
    state.undo()
    assert state.pose == before
    state.go_to_plane("sagittal")
    assert "Seen from" in anatomy.stated_convention(state.pose)


@pytest.mark.parametrize(
    ("direction", "expected"),
    [([1, 0, 0], "R"), ([-1, 0.1, 0], "L"), ([1, 0.9, 0], "RA"), ([0.3, -1, -0.5], "PIR")],
)
def test_letters_name_the_strongest_direction_first(direction, expected):
    assert anatomy.letters(direction) == expected


def test_tilt_angles_round_trip():
    base = anatomy.plane_rotation("coronal", "radiological")
    for _ in range(50):
        pose = random_pose()
        angles = anatomy.tilt_angles(pose, base)
        np.testing.assert_allclose(
            anatomy.rotation_of_tilts(angles, base), pose.rotation, atol=1e-9
        )
    for turn in (90, -90):
        rotation = anatomy.rotation_of_tilts([10, turn, 30], base)
        angles = anatomy.tilt_angles(Pose(np.zeros(3), rotation, 1), base)
        again = anatomy.rotation_of_tilts(angles, base)
        np.testing.assert_allclose(again, rotation, atol=1e-7)


def test_a_panned_point_stays_under_the_mouse():
    for _ in range(20):
        pose = random_pose()
        start, end = RNG.normal(size=(2, 2)) * 10
        moved = apply_action(pose, gestures.pan(pose, start, end))
        np.testing.assert_allclose(
            gestures.point_at(moved, end), gestures.point_at(pose, start), atol=1e-9
        )


def test_a_spun_point_follows_the_mouse_around_the_middle():
    pose = random_pose()
    start = np.array([3.0, 8.0])
    for degrees in (10, -30, 170):
        turn = np.radians(degrees)
        # Positions are (row downwards, column): counter-clockwise as seen.
        end = np.array(
            [
                -(np.sin(turn) * start[1] - np.cos(turn) * start[0]),
                np.cos(turn) * start[1] + np.sin(turn) * start[0],
            ]
        )
        moved = apply_action(pose, gestures.spin(start, end))
        np.testing.assert_allclose(
            gestures.point_at(moved, end), gestures.point_at(pose, start), atol=1e-9
        )


def test_gestures_change_only_what_they_say(state):
    pose = state.pose
    assert np.flatnonzero(gestures.tilt(pose, (0, 0), (3, 5))).tolist() == [3, 4]
    assert np.flatnonzero(gestures.zoom(1)).tolist() == [6]
    through = apply_action(pose, gestures.through(pose, 2, state.step_along(pose.normal)))
    np.testing.assert_allclose(through.center - pose.center, 2 * 4.0 * pose.normal)


def test_the_plane_is_hit_where_the_ray_meets_it():
    for _ in range(20):
        pose = random_pose()
        inside = gestures.point_at(pose, RNG.uniform(-20, 20, 2))
        view = RNG.normal(size=3)
        found = hit(pose, inside - 30 * view, view)
        np.testing.assert_allclose(found, inside, atol=1e-6)
    beside = gestures.point_at(pose, (0, 26))
    assert hit(pose, beside, pose.normal) is None
    assert hit(pose, pose.center + pose.normal, pose.right) is None


def test_a_pushed_plane_follows_the_mouse_and_a_turned_one_its_grip():
    pose = Pose(np.zeros(3), np.eye(3), 100.0)
    view = np.array([0.0, 1.0, 0.0])
    np.testing.assert_allclose(pushed(pose, [5, 0, 7], view).center, [0, 0, 7])
    near_face_on = np.array([0.0, 0.001, -1.0])
    assert np.linalg.norm(pushed(pose, [0, 7, 0], near_face_on).center) < 1
    small = turned(pose, [0, 0, 0.5], view)
    # The point nearest to the observer moves with the mouse.
    np.testing.assert_allclose(small.rotation @ [0, -50, 0], [0, -50, 0.5], atol=0.01)


def test_cut_of_the_square_lies_in_both_planes():
    for axis in range(3):
        for _ in range(20):
            corners = random_pose().corners()[:, ::-1]
            point = float(corners[:, axis].mean()) + RNG.uniform(-3, 3)
            vectors = cut(corners, axis, point)
            if not len(vectors):
                continue
            start, direction = vectors[0]
            normal = np.cross(corners[1] - corners[0], corners[3] - corners[0])
            for end in (start, start + direction):
                assert end[axis] == pytest.approx(point)
                assert abs((end - corners[0]) @ normal) / np.linalg.norm(normal) < 1e-9
    square = Pose(np.zeros(3), np.eye(3), 10.0).corners()
    assert cut(square, 2, 0.0).shape == (4, 2, 3)
    assert cut(square, 2, 1.0).shape == (0, 2, 3)


def test_vectors_are_clipped_to_the_box():
    low, high = np.array([-5.0, -4, -3]), np.array([5.0, 4, 3])
    vectors = RNG.normal(size=(200, 2, 3)) * 8
    vectors[:20, 1, 0] = 0
    clipped = within(vectors, low, high)
    assert 0 < len(clipped) < 200
    ends = np.stack([clipped[:, 0], clipped.sum(axis=1)])
    assert (ends >= low - 1e-9).all()
    assert (ends <= high + 1e-9).all()
    # As much of each vector is kept as points tried on it lie in the box.
    part = (np.arange(2000) + 0.5) / 2000
    points = vectors[:, 0, None] + part[:, None] * vectors[:, 1, None]
    inside = ((points >= low) & (points <= high)).all(axis=-1).mean(axis=1)
    kept = np.linalg.norm(clipped[:, 1], axis=1).sum()
    expected = (inside * np.linalg.norm(vectors[:, 1], axis=1)).sum()
    assert kept == pytest.approx(expected, rel=1e-3)


def test_texture_applies_contrast_and_colours_and_leaves_the_outside_clear():
    values = np.tile(np.linspace(-50, 150, 64, dtype=np.float32), (64, 1))
    values[10, 10] = np.nan
    valid = np.ones((64, 64), bool)
    valid[:, :20] = False
    colors = np.linspace([0, 0, 1, 1], [1, 0, 0, 1], 256)
    rgba = PlaneTexture(64).fill(values, valid, (0.0, 100.0), color_table(colors))
    expected = np.clip(values[30], 0, 100) / 100 * 255
    inside = slice(21, 62)
    np.testing.assert_allclose(rgba[30, inside, 0], expected[inside], atol=1)
    np.testing.assert_allclose(rgba[30, inside, 2], 255 - expected[inside], atol=2)
    assert (rgba[30, inside, 3] == 255).all()
    assert (rgba[5:-5, 5:20] == 0).all()
    assert (rgba[0, :, :2] > 200).all()
