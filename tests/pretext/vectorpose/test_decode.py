"""Boxes rebuilt from vectors: exact on the truth, known errors on changed vectors."""

from __future__ import annotations

import numpy as np
import pytest

from napari_mrissl.errors import MrisslError
from napari_mrissl.pretext import cube
from napari_mrissl.pretext.crops import crop_at
from napari_mrissl.pretext.vectorpose.decode import fit_box, read_vectors, summary
from napari_mrissl.pretext.vectorpose.vectors import axis_of, points_mm, vectors_mm
from tests.pretext.vectorpose.scans import scan_of

SCAN = scan_of(np.ones((20, 50, 30)), (3, 1, 2))
AXIS = axis_of(SCAN.volume)


@pytest.mark.parametrize("element", range(48))
def test_true_vectors_give_the_box_back(element: int) -> None:
    record = crop_at(SCAN, (22, 20, 36), 16, 18.0, element=element)
    reading = read_vectors(vectors_mm(record, AXIS), record, AXIS)
    assert reading.position_error_mm < 1e-9
    assert reading.scale_ratio == pytest.approx(1)
    assert reading.orientation_right
    np.testing.assert_allclose(reading.points_mm, points_mm(record), atol=1e-9)
    np.testing.assert_allclose(reading.fitted_points_mm, points_mm(record), atol=1e-9)
    np.testing.assert_allclose(reading.lengths_mm, 0, atol=1e-9)
    assert reading.box.misfit_mm < 1e-9


def test_a_shift_a_scale_and_a_turn_are_read_off() -> None:
    record = crop_at(SCAN, (22, 20, 36), 16, 18.0, element=7)
    other = crop_at(SCAN, (22, 23, 32), 16, 12.0, element=40)
    reading = read_vectors(vectors_mm(other, AXIS), record, AXIS)
    expected = cube.act_vectors(AXIS.at(22.0) - other.center_mm, 40) - cube.act_vectors(
        AXIS.at(22.0) - record.center_mm, 7
    )
    assert reading.position_error_mm == pytest.approx(np.linalg.norm(expected))
    assert reading.scale_ratio == pytest.approx(2 / 3)
    assert (reading.element, reading.orientation_right) == (40, False)


def test_noise_on_vectors_is_averaged_out() -> None:
    rng = np.random.default_rng(0)
    record = crop_at(SCAN, (22, 20, 36), 16, 18.0, element=3)
    readings = [
        read_vectors(vectors_mm(record, AXIS) + rng.normal(0, 1, (9, 3)), record, AXIS)
        for _ in range(200)
    ]
    total = summary(readings)
    assert total.orientation_accuracy == 1
    # The mean of nine points errs by a third of each coordinate's 1 mm; the norm's median
    # in three dimensions is 1.538 of that.
    assert total.position_error_mm == pytest.approx(1.538 / 3, rel=0.15)
    assert total.scale_ratio == pytest.approx(1, abs=0.02)
    assert np.median([one.box.misfit_mm for one in readings]) > 0.8


def test_left_and_right_exchanged_are_told_from_other_errors() -> None:
    record = crop_at(SCAN, (22, 20, 36), 16, 18.0, element=11)
    mirror = cube.compose(11, cube.nearest(np.diag([1, 1, -1])))
    swapped = crop_at(SCAN, (22, 20, 36), 16, 18.0, element=mirror)
    total = summary([read_vectors(vectors_mm(swapped, AXIS), record, AXIS)])
    assert (total.orientation_accuracy, total.mirrored_only) == (0, 1)


def test_angles_are_degrees_between_vectors() -> None:
    record = crop_at(SCAN, AXIS.at(22.0), 16, 18.0)  # its centre lies on the axis
    quarter = cube.nearest(np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]]))
    turned = cube.act_vectors(vectors_mm(record, AXIS), quarter)
    reading = read_vectors(turned, record, AXIS)
    assert np.isnan(reading.angles_deg[0])
    # A corner's vector is a diagonal of the cube; a quarter turn about S leaves 1/3 of its cosine.
    np.testing.assert_allclose(reading.angles_deg[1:], np.degrees(np.arccos(1 / 3)), atol=1e-6)


def test_what_is_no_nine_vectors_is_refused() -> None:
    with pytest.raises(MrisslError, match="9 x 3"):
        fit_box(np.zeros((8, 3)))
    with pytest.raises(MrisslError, match="9 x 3"):
        fit_box(np.full((9, 3), np.nan))
    with pytest.raises(MrisslError, match="no crops"):
        summary([])
