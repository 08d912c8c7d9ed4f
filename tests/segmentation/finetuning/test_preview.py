"""The picture while a network learns is of the place that was asked for, then and now."""

import numpy as np
import pytest
import torch
from PIL import Image

from napari_mrissl.segmentation.finetuning import go_on, prepare
from napari_mrissl.segmentation.finetuning.task import Finetune
from napari_mrissl.segmentation.finetuning.task_settings import (
    FinetuneTaskSettings,
    LabelClass,
    PreviewSettings,
)
from napari_mrissl.training.events import EventTail, ImageEvent
from napari_mrissl.training.looking import look_at
from tests.segmentation.finetuning.balls import scan, tiny, write

SHAPE = (16, 16, 16)
MM = np.array([[2.0, 0, 0, -7], [0, 3.0, 0, 5], [0, 0, 4.0, 11], [0, 0, 0, 1]])


class Few:
    """Subjects in memory."""

    def __init__(self, *scans):
        self._scans = scans

    def __len__(self):
        return len(self._scans)

    def scan(self, number):
        return self._scans[number]


class Guess(torch.nn.Module):
    """Says class 1 everywhere."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))

    def forward(self, image):
        return torch.cat([torch.zeros_like(image), torch.ones_like(image)], dim=1)


@pytest.fixture
def two():
    """Scans (R, A, S) of noise, each with one labelled voxel in a corner."""
    rng = np.random.default_rng(3)
    found = []
    for _ in range(2):
        labels = np.full(SHAPE, 255, np.uint8)
        labels[8, 8, 8] = 1
        found.append(scan(rng.random(SHAPE, np.float32), labels, MM))
    return found


def task(preview=None):
    return Finetune(
        FinetuneTaskSettings(
            classes=(LabelClass(label=0, name="a"), LabelClass(label=1, name="b")),
            patch=SHAPE,
            backbone={"name": "unet", "width": 8, "depth": 3},
            preview=preview or PreviewSettings(),
        )
    )


def first_tile(one, two):
    (shown,) = one.preview(Guess(), Few(*two), None)
    assert np.all(shown.tiles[1] == 1)
    return shown.tiles[0]


def wanted(one, voxel, axis):
    """The slice through a voxel (s, a, r), up is up; 8 is the middle of 16."""
    array = np.asarray(one.volume.data)
    moved = np.zeros(SHAPE, np.float32)
    from_, to = [], []
    for side, at in zip(SHAPE, voxel, strict=True):
        # The crop's middle is between its voxels 7 and 8: tests use places between voxels.
        first = int(at + 0.5) - side // 2
        low, high = max(0, first), min(side, first + side)
        from_.append(slice(low, high))
        to.append(slice(low - first, high - first))
    moved[tuple(to)] = array[tuple(from_)]
    return np.flip(np.take(moved, 8, axis=axis), axis=0)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_at_mm_is_a_place_of_the_world_in_the_scan_that_is_named(two, axis):
    voxel = np.array([4.5, 9.5, 6.5])
    place = tuple((two[1].volume.affine @ [*voxel, 1])[:3].tolist())
    look = PreviewSettings(identity=two[1].identity, at_mm=place, axis=axis)
    np.testing.assert_allclose(first_tile(task(look), two), wanted(two[1], voxel, axis), atol=1e-5)


def test_a_look_moves_the_next_picture_and_what_is_none_moves_nothing(two):
    one = task()
    before = first_tile(one, two)
    voxel = np.array([10.5, 3.5, 8.5])
    place = (two[1].volume.affine @ [*voxel, 1])[:3].tolist()
    one.look_at({"identity": two[1].identity, "at_mm": place, "axis": 2})
    moved = first_tile(one, two)
    np.testing.assert_allclose(moved, wanted(two[1], voxel, 2), atol=1e-5)
    for nothing in ({"axis": 7}, {"at_mm": "here"}, {"command": "stop"}):
        one.look_at(nothing)
        np.testing.assert_array_equal(first_tile(one, two), moved)
    # Of a scan that the run does not have, its place means nothing in another one.
    one.look_at({"identity": "0" * 64, "at_mm": place, "axis": 0})
    np.testing.assert_array_equal(first_tile(one, two), before)
    for far in (float("inf"), float("nan"), 1e9):
        one.look_at({"identity": two[0].identity, "at_mm": [far, 0.0, 0.0], "axis": 0})
        assert np.isfinite(first_tile(one, two)).all()


def test_a_run_reads_the_wish_before_each_picture(tmp_path):
    """Its own process does: what is in the folder decides, not the settings."""
    settings = tiny(steps=2, changes={"checkpoint.images_every": 1})
    pictures = []
    for name, axis in (("plain", None), ("moved", 2)):
        run = prepare(settings, write(tmp_path, 1), tmp_path / name)
        if axis is not None:
            identity = run.settings.data.subjects[0].identity
            look_at(run.folder, {"identity": identity, "at_mm": [3.0, 4.0, 5.0], "axis": axis})
        go_on(run.folder)
        events = [one for one in EventTail(run.folder).poll() if isinstance(one, ImageEvent)]
        with Image.open(run.folder / "images" / events[-1].file) as image:
            pictures.append(np.asarray(image.convert("L"))[:, :16])
    assert pictures[0].shape == pictures[1].shape
    assert not np.array_equal(*pictures)
