"""The robot user beside brute force, and its sessions beside the panel's own classifier."""

import itertools

import numpy as np
import pytest
from evaluation.labelled_folder import voxels

from napari_mrissl import features
from napari_mrissl.errors import MrisslError
from napari_mrissl.evaluation import robot
from napari_mrissl.evaluation.robot import BACKGROUND, Moment, Scene, click_through
from napari_mrissl.features import FilterBankSettings
from napari_mrissl.metrics import dice
from napari_mrissl.segmentation import Prompts, Segmentation, SegmentSettings, segment
from napari_mrissl.segmentation.prompts import labelled_voxels
from napari_mrissl.volumes import Volume

SETTINGS = SegmentSettings()
PLAIN = FilterBankSettings(groups=("intensity",))
SPACING = (3.0, 1.0, 0.5)


def brute_force(truth, predicted, spacing, clicked):
    """Flood fill by hand, and the distance of each voxel to every voxel outside its region."""
    todo = {tuple(place) for place in np.argwhere(truth != predicted)}
    regions = []
    for seed in sorted(todo):
        if seed not in todo:
            continue
        todo.discard(seed)
        region, edge = [seed], [seed]
        while edge:
            at = edge.pop()
            for axis, step in itertools.product(range(3), (-1, 1)):
                near = tuple(at[k] + step * (k == axis) for k in range(3))
                if near in todo and truth[near] == truth[seed]:
                    todo.discard(near)
                    region.append(near)
                    edge.append(near)
        regions.append(region)
    around = list(itertools.product(*(range(-1, n + 1) for n in truth.shape)))
    for region in sorted(regions, key=len, reverse=True):
        inside = set(region)
        outside = np.array([place for place in around if place not in inside])
        depth = {
            place: np.linalg.norm((outside - place) * spacing, axis=1).min()
            for place in region
            if not clicked[place]
        }
        if depth:
            most = max(depth.values())
            return len(region), {place for place, d in depth.items() if d > most - 1e-9}
    return None


def scene(truth, spacing=(1.0, 1.0, 1.0)):
    # Stored as (S, A, R), so that the affine takes these axes to R, A, S.
    affine = np.zeros((4, 4))
    affine[2, 0], affine[1, 1], affine[0, 2], affine[3, 3] = *spacing, 1
    volume = Volume.from_stored(truth.astype(np.int16), affine)
    np.testing.assert_array_equal(volume.data, truth)
    stack = features.compute(volume, PLAIN)
    return Scene(volume, stack, truth.astype(np.uint8), int(truth.max()))


def moment(truth, predicted, clicked=None, spacing=(1.0, 1.0, 1.0)):
    clicked = np.zeros(truth.shape, bool) if clicked is None else clicked
    result = None if predicted is None else Segmentation(predicted.astype(np.uint8))
    return Moment(scene(truth, spacing), Prompts(), result, clicked)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), SPACING])
def test_the_largest_error_is_that_of_brute_force(seed, spacing):
    rng = np.random.default_rng(seed)
    truth = np.kron(rng.integers(1, 4, (3, 3, 4)), np.ones((2, 3, 2), int))
    predicted = np.where(rng.random(truth.shape) < 0.3, 1, truth)
    predicted[2:5, 2:7] = 1
    clicked = rng.random(truth.shape) < 0.2
    size, places = brute_force(truth, predicted, spacing, clicked)
    found = robot.largest_error(moment(truth, predicted, clicked, spacing))
    assert size > 1
    assert found in places


def test_a_place_is_never_clicked_twice_and_the_next_region_follows():
    truth = np.ones((6, 6, 6), int)
    truth[0:2, 0:2, 0:2] = 2
    truth[5, 5, 3:6] = 2
    wrong = np.ones_like(truth)
    clicked = np.zeros(truth.shape, bool)
    places = []
    while (place := robot.largest_error(moment(truth, wrong, clicked))) is not None:
        assert not clicked[place]
        clicked[place] = True
        places.append(place)
    assert sorted(places) == sorted(map(tuple, np.argwhere(truth == 2)))
    assert all(max(place) <= 1 for place in places[:8]), "the larger region first"
    assert robot.largest_error(moment(truth, truth)) is None


def test_before_there_is_a_result_all_is_background():
    truth = np.ones((7, 7, 7), int)
    truth[1:6, 1:6, 1:6] = 2
    assert robot.largest_error(moment(truth, None)) == (3, 3, 3)


@pytest.fixture(scope="module")
def balls(tmp_path_factory):
    values, labels = voxels(3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MRISSL_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        volume = Volume.from_stored(values, np.diag([1.0, 1.5, 2.0, 1.0]))
        truth = Volume.from_stored(labels, np.diag([1.0, 1.5, 2.0, 1.0])).data
        stack = features.compute(volume, SETTINGS.features)
        yield volume, truth, stack


def test_a_session_is_what_the_panel_shows(balls):
    volume, truth, stack = balls
    session = click_through(
        Scene.of(volume, stack, truth, (1, 2)), SETTINGS, 8, robot.largest_error
    )
    marked = labelled_voxels(volume, session.prompts)
    clicked = len(session.prompts.points)
    assert 3 < len(marked.labels) == clicked <= 8, "no place twice"
    np.testing.assert_array_equal(truth[tuple(marked.indices.T)] + 1, marked.labels)
    assert [p.label for p in session.prompts.points[:3]] == [1, 2, 3], "largest class first"
    for count in (2, 3, clicked):
        prompts = Prompts(points=session.prompts.points[:count])
        shown = segment(volume, prompts, SETTINGS).labels
        wanted = dice(np.where(shown == 0, 1, shown) - 1, truth, (1, 2))
        assert session.curve[count - 1] == pytest.approx(np.mean(list(wanted.values())), abs=1e-12)
    assert session.curve[0] == 0
    assert session.curve[-1] > 0.8
    assert session == click_through(
        Scene.of(volume, stack, truth, (1, 2)), SETTINGS, 8, robot.largest_error
    )


def test_when_all_is_right_the_rest_of_the_curve_stays(balls):
    volume, _, stack = balls
    plain = Volume.from_stored(np.kron([[[0, 900]]], np.ones((8, 8, 4), np.int16)), np.eye(4))
    own = features.compute(plain, PLAIN)
    truth = (plain.data > 0).astype(np.uint8)
    session = click_through(
        Scene.of(plain, own, truth, (1,)), SegmentSettings(features=PLAIN), 9, robot.largest_error
    )
    assert len(session.prompts.points) == 2
    assert session.curve == (0.0, *[1.0] * 8)
    with pytest.raises(MrisslError, match="one class only"):
        Scene.of(volume, stack, np.zeros(volume.shape, int), (1, 2))


def test_any_labels_and_an_absent_one(balls):
    volume, truth, stack = balls
    strange = np.array([0, 1000, 77])[truth]
    found = Scene.of(volume, stack, strange, (77, 1000, 5000))
    assert found.count == 4
    np.testing.assert_array_equal(found.truth, np.array([BACKGROUND, 3, 2])[truth])
    assert found.mean_dice(found.truth) == 1.0
    assert found.mean_dice(np.full_like(found.truth, BACKGROUND)) == pytest.approx(1 / 3)


def test_chance_follows_from_its_seed_and_reaches_every_class(balls):
    volume, truth, stack = balls
    place = Scene.of(volume, stack, truth, (1, 2))
    for choose in (robot.anywhere, robot.any_class):
        sessions = [
            click_through(place, SETTINGS, 12, choose(np.random.default_rng(seed)))
            for seed in (1, 1, 2)
        ]
        assert sessions[0] == sessions[1]
        assert sessions[0].prompts != sessions[2].prompts
        assert sessions[0].prompts.points[:3] == sessions[2].prompts.points[:3]
    labels = [p.label for p in sessions[0].prompts.points[3:]]
    assert set(labels) == {1, 2, 3}


def test_clicks_are_told_by_the_labels_of_the_label_map():
    labels = np.zeros((12, 12, 12), np.uint8)
    labels[2:5, 2:5, 2:5], labels[7:11, 7:11, 7:11] = 1, 5
    affine = np.zeros((4, 4))
    affine[[2, 1, 0], [0, 1, 2]], affine[3, 3] = 1, 1
    volume = Volume.from_stored(40.0 * labels, affine)
    stack = features.compute(volume, PLAIN)
    one = Scene.of(volume, stack, labels, (5, 1))
    prompts = click_through(one, SegmentSettings(features=PLAIN), 3, robot.largest_error).prompts
    found = robot.named(prompts, {5: "core", 1: "shell"})
    assert [(c.label, c.name) for c in found.classes] == [
        (1, "shell"),
        (2, "background"),
        (5, "core"),
    ]
    assert found.volume_identity == volume.identity
    known = labelled_voxels(volume, found)
    truth = labels[tuple(known.indices.T)]
    np.testing.assert_array_equal(known.labels, np.where(truth == 0, 2, truth))
    assert set(known.labels) == {1, 2, 5}
    with pytest.raises(MrisslError, match="label 300"):
        robot.named(prompts, {300: "far"})
