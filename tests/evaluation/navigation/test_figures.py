"""Figures of a report: which side is which, where slices lie, and what is imagined."""

import numpy as np
import pytest
from slice_networks import dynamics_file

from napari_mrissl.evaluation import drawing
from napari_mrissl.evaluation.navigation import figures
from napari_mrissl.evaluation.navigation.inspection import examine
from napari_mrissl.features.slice_stacks import STACKS
from napari_mrissl.geometry import Pose
from napari_mrissl.pretext.navigation.flights import cut
from tests.pretext.navigation.small import smooth


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    return examine(dynamics_file(tmp_path_factory.mktemp("run")), smooth(0), 20, 2)


def axial(right=(1, 0, 0), z=12.5):
    normal = np.cross(right, (0, 1, 0))
    return Pose.from_normal_up((3, 4, z), normal, (0, 1, 0), 100.0)


def test_sides_are_those_of_the_patient():
    assert figures.sides(axial()) == ("A", "P", "L", "R")
    assert figures.sides(axial((-1, 0, 0))) == ("A", "P", "R", "L")
    sagittal = Pose.from_normal_up((-7, 0, 0), (1, 0, 0), (0, 0, 1), 100.0)
    assert figures.sides(sagittal)[:2] == ("S", "I")


def test_places_are_in_mm_along_the_axis_of_the_stack():
    assert figures.place(axial()) == "S 12.5 mm"
    assert figures.place(axial((-1, 0, 0), -3.0)) == "I 3.0 mm"
    coronal = Pose.from_normal_up((5, -20.25, 6), (0, -1, 0.1), (0, 0, 1), 100.0)
    assert figures.place(coronal) == "P 20.2 mm"


def test_the_first_frame_is_called_imagined_in_no_row():
    assert [figures.title(row, 0) for row in ("true", "restored", "imagined")] == [
        "start: true", "start: restored", "start: restored"
    ]  # fmt: skip
    assert figures.title("imagined", 4) == "imagined, step 4"


def test_letters_stand_at_the_edges_of_every_slice(report, monkeypatch):
    given, draw = [], drawing.with_sides

    def noted(picture, sides):
        lettered = draw(picture, sides)
        width, height = picture.size
        changed = np.argwhere((np.asarray(lettered) != np.asarray(picture)).any(axis=2))
        margins = changed[:, 0].min(), changed[:, 1].min()
        assert max(margins) < 12
        assert (changed.max(axis=0) > (height - 12, width - 12)).all()
        given.append(sides)
        return lettered

    monkeypatch.setattr(drawing, "with_sides", noted)
    for strip in report.strips:
        given.clear()
        figures.strip(strip)
        # Five frames of each of three rows.
        assert given == 3 * [figures.sides(strip.poses[k]) for k in (0, 1, 2, 4, 8)]
    for name in STACKS:
        given.clear()
        figures.tokens(report.stacks[name])
        assert given == [figures.sides(pose) for pose in report.stacks[name].poses]


def test_poses_of_pictures_are_those_they_were_cut_at(report):
    for one, images in [(strip, strip.true) for strip in report.strips] + [
        (stack, stack.slices) for stack in report.stacks.values()
    ]:
        np.testing.assert_array_equal(cut(smooth(0), one.poses, images.shape[-1])[0], images)
