"""Registration as a whole: zero fields, known warps, every orientation, sides, masks, refusals."""

import signal

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial.transform import Rotation
from warped_pairs import WarpedPair, cube_affine, warped_pair

from napari_mrissl.errors import MrisslError
from napari_mrissl.features import Cancelled
from napari_mrissl.geometry.affines import apply_affine
from napari_mrissl.networks import UNet3d, weights
from napari_mrissl.registration import PRESETS, RegistrationSettings, estimate, register
from napari_mrissl.registration.grids import Grid
from napari_mrissl.registration.planning import memory, plan
from napari_mrissl.registration.scores import fold_share
from napari_mrissl.registration.transform import Transform, jacobian, warped
from napari_mrissl.volumes import Volume
from napari_mrissl.volumes.samples import PHANTOM_BODIES, phantom

PLAIN = RegistrationSettings(linear="none")
QUICK = PLAIN.model_copy(update={"iterations": 30, "search": 2})


@pytest.fixture(scope="module")
def pair() -> WarpedPair:
    return warped_pair(1)


def field_of(pair: WarpedPair, settings: RegistrationSettings, **given: object) -> np.ndarray:
    found = register(pair.fixed, pair.moving, settings, **given)
    return found.transform.displacements(Grid.of(pair.fixed))


@pytest.mark.parametrize("features", ["mind", "intensity"])
def test_identical_scans_give_a_zero_field(pair, features):
    settings = PLAIN.model_copy(update={"features": features})
    found = register(pair.fixed, pair.fixed, settings)
    assert not found.transform.nodes.any()
    np.testing.assert_array_equal(found.linear, np.eye(4))
    assert found.costs[-1] == (80, 0.0, 0.0)


@pytest.fixture(scope="module")
def several() -> list[WarpedPair]:
    return [warped_pair(index) for index in range(8)]


SMOOTH = PRESETS["smooth"].model_copy(update={"linear": "none"})


@pytest.mark.parametrize(("settings", "fall"), [(PLAIN, 0.55), (SMOOTH, 0.6)])
def test_known_warps_between_two_contrasts_are_found(several, settings, fall):
    falls, folds = [], []
    for pair in several:
        assert np.linalg.norm(pair.truth, axis=-1).max() == pytest.approx(6.0)
        field = field_of(pair, settings)
        falls.append(1 - pair.error(field) / pair.error(0 * field))
        folds.append(fold_share(jacobian(field, Grid.of(pair.fixed))))
    assert np.mean(falls) >= fall
    assert max(folds) <= 0.005


def test_the_field_is_smoothed_at_the_end(pair):
    rough = register(pair.fixed, pair.moving, QUICK).transform.nodes
    settings = QUICK.model_copy(update={"field_smoothing": 3.0})
    found = register(pair.fixed, pair.moving, settings).transform.nodes
    in_nodes = 3.0 / settings.adam_grid
    expected = ndimage.gaussian_filter(rough, (in_nodes,) * 3 + (0,), mode="nearest")
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert np.abs(found - rough).max() > 0.1


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError, Cancelled])
def test_what_ends_the_linear_alignment_is_raised_as_it_is(pair, error, capfd):
    def progress(part: float, step: str) -> None:
        if step.startswith("rigid, cost"):
            raise error("enough")

    settings = QUICK.model_copy(update={"linear": "rigid"})
    with pytest.raises(error, match="enough"):
        register(pair.fixed, pair.moving, settings, progress=progress)
    assert "Traceback" not in capfd.readouterr().err


def test_an_interrupt_during_the_linear_alignment_is_one(pair, capfd):
    def progress(part: float, step: str) -> None:
        if step.startswith("rigid, cost"):
            signal.raise_signal(signal.SIGINT)

    settings = QUICK.model_copy(update={"linear": "rigid"})
    with pytest.raises(KeyboardInterrupt):
        register(pair.fixed, pair.moving, settings, progress=progress)
    assert "Traceback" not in capfd.readouterr().err
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_the_cost_falls_and_is_told(pair):
    told = []
    found = register(pair.fixed, pair.moving, QUICK, told=told.append)
    assert tuple(told) == found.costs
    assert [cost.step for cost in told] == list(range(31))
    assert told[-1].total < 0.9 * told[0].total


def stored_as(volume: Volume, order: tuple[int, ...], flips: tuple[int, ...]) -> Volume:
    """The same scan with its axes stored in another order and direction."""
    voxels, affine = volume.data.transpose(order), volume.affine[:, [*order, 3]].copy()
    for axis in flips:
        voxels = np.flip(voxels, axis)
        affine[:3, 3] += affine[:3, axis] * (voxels.shape[axis] - 1)
        affine[:3, axis] *= -1
    return Volume.from_stored(voxels, affine, name=volume.name)


@pytest.mark.parametrize(
    ("order", "flips"), [((2, 1, 0), ()), ((1, 0, 2), (0, 2)), ((0, 2, 1), (1,))]
)
def test_the_stored_order_of_either_scan_changes_nothing(pair, order, flips):
    expected = register(pair.fixed, pair.moving, QUICK).transform.nodes
    for fixed, moving in (
        (stored_as(pair.fixed, order, flips), pair.moving),
        (pair.fixed, stored_as(pair.moving, order, flips)),
    ):
        np.testing.assert_array_equal(register(fixed, moving, QUICK).transform.nodes, expected)


def on_another_grid(volume: Volume, spacing: tuple[float, ...]) -> Volume:
    """The scan interpolated on an oblique grid of other voxels over the same place."""
    turn = Rotation.from_rotvec(np.radians([6, -12, 9])).as_matrix()
    affine = np.eye(4)
    affine[:3, :3] = turn @ volume.affine[:3, :3] * spacing
    shape = tuple(int(side * 1.3 / step) for side, step in zip(volume.shape, spacing, strict=True))
    affine[:3, 3] = volume.center - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    grid = Grid(shape, affine)
    still = Transform.of_linear(np.eye(4)).displacements(grid)
    return Volume.from_stored(warped(volume, still, grid), affine, name=volume.name)


@pytest.mark.parametrize("which", ["fixed", "moving"])
def test_oblique_grids_of_other_voxels_give_the_same_answer(pair, which):
    settings = QUICK.model_copy(update={"spacing_mm": 1.0})
    expected = field_of(pair, settings)
    scans = {"fixed": pair.fixed, "moving": pair.moving}
    scans[which] = on_another_grid(scans[which], (0.8, 0.6, 0.9))
    found = register(scans["fixed"], scans["moving"], settings)
    field = found.transform.displacements(Grid.of(pair.fixed))
    body = pair.fixed_labels > 0
    apart = np.linalg.norm(field - expected, axis=-1)[body].mean()
    # Nodes lie elsewhere and voxels are interpolated: alike within what both leave of the warp.
    assert apart <= pair.error(expected)
    assert pair.error(field) <= 1.25 * pair.error(expected)


def test_left_never_becomes_right():
    scan = phantom()
    shift = np.eye(4)
    shift[:3, 3] = (6, -9, 5)
    flipped = stored_as(scan, (1, 2, 0), (0, 1))
    other = Volume.from_stored(
        flipped.to_stored(flipped.data), shift @ flipped.stored.affine, name="other"
    )
    marker = np.array(PHANTOM_BODIES[3].center)
    for initial in ("header", "centres", "moments"):
        for linear in ("none", "rigid", "affine"):
            settings = RegistrationSettings(initial=initial, linear=linear, deformable=False)
            found = register(scan, other, settings).transform
            there = found(marker)[0]
            assert np.linalg.det(found.linear[:3, :3]) > 0
            assert there[0] < -20
            if (initial, linear) != ("header", "none"):
                np.testing.assert_allclose(there, marker + shift[:3, 3], atol=1.0)


def test_a_rigid_move_is_found_between_grids():
    scan = phantom()
    move = np.eye(4)
    move[:3, :3] = Rotation.from_rotvec(np.radians([5, -4, 7])).as_matrix()
    move[:3, 3] = (7, -5, 4)
    other = Volume.from_stored(scan.data, move @ scan.affine)
    found = register(scan, other, RegistrationSettings(deformable=False)).linear
    corners = [scan.center + offset for offset in np.diag([40.0, 40, 40])]
    np.testing.assert_allclose(apply_affine(found, corners), apply_affine(move, corners), atol=0.5)


def test_a_mask_keeps_what_is_outside_from_counting(pair):
    fixed_mask, moving_mask = pair.fixed_labels > 0, pair.moving_labels > 0
    masks = {"fixed_mask": fixed_mask, "moving_mask": moving_mask}
    spoiled = pair.fixed.data.copy()
    rng = np.random.default_rng(0)
    spoiled[~fixed_mask] = rng.uniform(0, 1, int((~fixed_mask).sum()))
    other = Volume.from_stored(spoiled, pair.fixed.affine, name="fixed")
    one = register(pair.fixed, pair.moving, QUICK, **masks).transform.nodes
    two = register(other, pair.moving, QUICK, **masks).transform.nodes
    np.testing.assert_array_equal(one, two)
    assert pair.error(field_of(pair, PLAIN, **masks)) < 0.6 * pair.error(0 * pair.truth)


@pytest.mark.parametrize("features", ["network", "both"])
def test_a_networks_features_and_fewer_channels(pair, features, tmp_path):
    path = tmp_path / "small.safetensors"
    weights.save(path, UNet3d(width=4, depth=2).state_dict(), {"method": "made for a test"})
    settings = QUICK.model_copy(update={"features": features, "weights": str(path), "channels": 8})
    assert not register(pair.fixed, pair.fixed, settings).transform.nodes.any()
    assert np.abs(register(pair.fixed, pair.moving, settings).transform.nodes).max() > 1


def test_eight_channels_are_nearly_as_good_as_twelve(pair):
    less = PLAIN.model_copy(update={"channels": 8})
    assert pair.error(field_of(pair, less)) <= 1.1 * pair.error(field_of(pair, PLAIN))


def test_memory_bounds_the_grid(pair):
    whole, expected = plan(pair.fixed, PLAIN)
    assert expected.ram_bytes == int(memory(whole.voxels, PLAIN))
    bounded = PLAIN.model_copy(update={"memory_gib": 0.05, "search": 4, "grid": 2})
    grid, needed = plan(pair.fixed, bounded)
    assert needed.ram_bytes <= 0.05 * 2**30
    assert grid.spacing.min() > 1.1
    found = register(pair.fixed, pair.moving, bounded.model_copy(update={"iterations": 20}))
    assert found.spacing_mm == pytest.approx(grid.spacing.mean())
    assert estimate(pair.fixed, bounded).seconds < estimate(pair.fixed, PLAIN).seconds * 100


def test_the_user_can_stop_it(pair):
    for most in (0, 3, 12):
        asked = []

        def cancelled(asked: list[int] = asked, most: int = most) -> bool:
            asked.append(1)
            return len(asked) > most

        with pytest.raises(Cancelled):
            register(pair.fixed, pair.moving, QUICK, cancelled=cancelled)


def test_progress_only_grows(pair):
    parts = []
    register(pair.fixed, pair.moving, QUICK, progress=lambda part, step: parts.append(part))
    assert parts == sorted(parts)
    assert parts[-1] == pytest.approx(1.0)


def test_what_cannot_be_registered_is_refused_in_a_sentence(pair):
    flat = Volume.from_stored(np.ones((16, 16, 16), np.float32), cube_affine(16), name="flat")
    with pytest.raises(MrisslError, match="same value"):
        register(pair.fixed, flat, QUICK)
    far = np.eye(4)
    far[0, 3] = 1000
    away = Volume.from_stored(pair.moving.data, far @ pair.moving.affine, name="away")
    with pytest.raises(MrisslError, match="overlap"):
        register(pair.fixed, away, QUICK)
    for mask, message in (
        (np.zeros(pair.fixed.shape, bool), "empty"),
        (np.ones((3, 4, 5), bool), "shape"),
    ):
        with pytest.raises(MrisslError, match=message):
            register(pair.fixed, pair.moving, QUICK, fixed_mask=mask)
    with pytest.raises(MrisslError, match="not there"):
        register(pair.fixed, pair.moving, QUICK.model_copy(update={"device": "cuda:9"}))
    with pytest.raises(ValueError, match="no range"):
        RegistrationSettings(fixed_window=(5, 5))
