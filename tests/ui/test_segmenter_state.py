"""Prompts of one scan: undo, redo, scribbles, and what goes to the classifier."""

import numpy as np
import pytest

from napari_mrissl.segmentation.prompts import PromptClass, PromptPoint, Prompts
from napari_mrissl.ui.segmenter.presets import PRESETS, is_background, new_class
from napari_mrissl.ui.segmenter.state import PromptState, Scribble
from napari_mrissl.volumes import Volume

CLASSES = PRESETS["Object / background"]


@pytest.fixture
def volume():
    affine = np.diag([2.0, 3.0, 4.0, 1.0])
    affine[:3, 3] = (-10, 5, 7)
    return Volume.from_stored(np.zeros((5, 6, 7), np.uint8), affine)


@pytest.fixture
def state(volume):
    return PromptState(volume, CLASSES)


def dense(state):
    """The scribble as an array, by a loop."""
    labels = np.zeros(state.volume.shape, np.uint8).reshape(-1)
    for voxel, label in zip(state.scribble.voxels, state.scribble.labels, strict=True):
        labels[voxel] = label
    return labels


def test_clicks_are_undone_and_redone(state):
    first = ((1.0, 2.0, 3.0, 1),)
    second = (*first, (4.0, 5.0, 6.0, 2))
    assert state.set_clicks(first) is not None
    assert state.set_clicks(first) is None
    state.set_clicks(second)
    change = state.undo()
    assert change.clicks == (second, first)
    assert state.clicks == first
    state.undo()
    assert state.clicks == ()
    assert state.undo() is None
    state.redo()
    state.redo()
    assert state.clicks == second
    assert state.redo() is None


def test_a_new_change_forgets_what_was_undone(state):
    state.set_clicks(((1.0, 2.0, 3.0, 1),))
    state.undo()
    state.set_clicks(((4.0, 5.0, 6.0, 2),))
    assert not state.can_redo


def test_random_painting_agrees_with_an_array(state):
    random = np.random.default_rng(3)
    size = int(np.prod(state.volume.shape))
    expected = [np.zeros(size, np.uint8)]
    for _ in range(40):
        voxels = random.integers(0, size, random.integers(1, 30))
        label = int(random.integers(0, 3))
        if state.paint(voxels, np.uint8(label)) is not None:
            painted = expected[-1].copy()
            painted[voxels] = label
            expected.append(painted)
        assert (dense(state) == expected[-1]).all()
        assert (np.diff(state.scribble.voxels) > 0).all()
    for before in expected[-2::-1]:
        state.undo()
        assert (dense(state) == before).all()
    for after in expected[1:]:
        state.redo()
        assert (dense(state) == after).all()


def test_painting_what_is_there_changes_nothing(state):
    assert state.paint([3, 4], [1, 2]) is not None
    assert state.paint([4, 3], [2, 1]) is None
    assert state.paint([9], [0]) is None


def test_painted_back_is_an_undo_and_again_a_redo(state):
    state.paint([1, 2], [1, 1])
    state.paint([2, 3], [2, 2])
    state.paint([2, 3], [1, 0])
    assert state.can_redo
    assert dense(state)[[1, 2, 3]].tolist() == [1, 1, 0]
    state.paint([2, 3], [2, 2])
    assert not state.can_redo
    state.undo()
    state.undo()
    assert state.empty


def test_prompts_are_voxel_centres_then_clicks(state, volume):
    state.paint([np.ravel_multi_index((2, 1, 3), volume.shape)], [2])
    state.set_clicks(((0.5, 1.5, 2.5, 1),))
    prompts = state.snapshot().prompts("a" * 64)
    # Stored (r, a, s) = (3, 1, 2) through the stored affine, by hand.
    assert prompts.points == (
        PromptPoint(-10 + 3 * 2, 5 + 1 * 3, 7 + 2 * 4, 2, "scribble"),
        PromptPoint(0.5, 1.5, 2.5, 1),
    )
    assert Prompts.model_validate(prompts.model_dump()) == prompts


def test_a_snapshot_stays_as_it_was(state):
    state.set_clicks(((0.5, 1.5, 2.5, 1),))
    snapshot = state.snapshot()
    assert state.holds(snapshot)
    state.paint([5], [1])
    assert not state.holds(snapshot)
    assert len(snapshot.prompts().points) == 1


def test_prompts_come_back_by_replace_as_one_step(state, volume):
    state.paint([5, 6, 40], [1, 2, 1])
    state.set_clicks(((0.5, 1.5, 2.5, 1), (3.5, 1.5, 2.5, 2)))
    prompts = state.snapshot().prompts()
    other = PromptState(volume, CLASSES)
    other.paint([6, 7], [1, 1])
    change = other.replace(prompts)
    assert change.scribble is not None
    assert other.clicks == state.clicks
    assert (dense(other) == dense(state)).all()
    assert other.replace(prompts) is None
    other.undo()
    assert dense(other)[[5, 6, 7]].tolist() == [0, 1, 1]


def test_scribble_points_outside_the_volume_are_left_out(state):
    state.replace(Prompts(points=(PromptPoint(1e4, 0, 0, 1, "scribble"),)))
    assert len(state.scribble) == 0


def test_a_removed_class_takes_its_prompts_along_and_undo_brings_all_back(state):
    state.paint([5, 6], [1, 2])
    state.set_clicks(((0.5, 1.5, 2.5, 1), (3.5, 1.5, 2.5, 2)))
    state.set_classes(CLASSES[:1])
    assert state.labels_in_use() == {1}
    state.undo()
    assert state.labels_in_use() == {1, 2}
    assert state.classes == CLASSES


def test_classes_are_kept_in_order_of_label(state):
    third = PromptClass(label=3, name="c", color="#000000")
    state.set_classes((third, *CLASSES))
    assert [one.label for one in state.classes] == [1, 2, 3]


def test_history_has_a_depth(volume):
    state = PromptState(volume, CLASSES, depth=3)
    for n in range(6):
        state.set_clicks(((float(n), 0.0, 0.0, 1),))
    while state.can_undo:
        state.undo()
    assert state.clicks[0][0] == 2.0


def test_labels_at_voxels_of_an_empty_scribble_are_none():
    assert Scribble().at(np.array([1, 2])).tolist() == [0, 0]


def test_new_classes_take_free_labels_and_colours():
    added = new_class(CLASSES)
    assert added.label == 3
    assert added.color not in {one.color for one in CLASSES}
    full = tuple(PromptClass(label=n, name="x", color="#112233") for n in range(1, 256))
    assert new_class(full) is None


def test_presets_are_valid_and_name_their_background():
    for classes in PRESETS.values():
        assert sum(is_background(one) for one in classes) == 1
        assert len({one.color for one in classes}) == len(classes)
