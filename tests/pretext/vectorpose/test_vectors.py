"""The nine vectors against their definition, a painted axis, and closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from napari_mrissl.pretext import cube
from napari_mrissl.pretext.crops import crop_at, cut, draw_crop
from napari_mrissl.pretext.vectorpose.vectors import (
    axis_of,
    decode,
    encode,
    points_mm,
    radius_mm,
    vectors_mm,
)
from tests.pretext.vectorpose.scans import scan_of

SPACING = (3.0, 1.0, 2.0)


def test_the_nine_vectors_are_those_of_the_definition() -> None:
    scan = scan_of(np.ones((20, 50, 30)), SPACING)
    record = crop_at(scan, (30, 20, 31), 16, 24.0)
    (ld, lh, lw), (ud, uh, uw) = record.lower_mm, record.upper_mm
    points = [
        ((ld + ud) / 2, (lh + uh) / 2, (lw + uw) / 2),
        (ld, lh, lw),
        (ud, uh, uw),
        (ld, uh, uw),
        (ud, lh, lw),
        (ld, lh, uw),
        (ud, uh, lw),
        (ld, uh, lw),
        (ud, lh, uw),
    ]
    # The middle of 50 voxels of 1 mm and of 30 of 2 mm, counted from the first voxel's centre.
    axis = np.array([points[0][0], 24.5, 29.0])
    np.testing.assert_allclose(points_mm(record), points, atol=1e-9)
    expected = [axis - np.array(point) for point in points]
    np.testing.assert_allclose(vectors_mm(record, axis_of(scan.volume)), expected, atol=1e-9)
    assert radius_mm(record) == pytest.approx(np.sqrt(25.0**2 + 30.0**2))


@pytest.mark.parametrize("element", range(48))
def test_arrows_of_a_turned_crop_end_on_the_axis_painted_into_the_scan(element: int) -> None:
    data = np.zeros((24, 49, 31), np.float32)
    data[:, 24, 15] = 1  # the middle of the axial plane, in every slice
    scan = scan_of(data, SPACING)
    record = crop_at(scan, (33, 20.5, 34.5), 36, 36.0, element=element)
    crop = cut(scan, record)
    arrows = vectors_mm(record, axis_of(scan.volume)) / (record.edge_mm / record.side)
    middle = np.full(3, (record.side - 1) / 2)
    corners = middle + cube.act_vectors(points_mm(record) - record.center_mm, element)
    for corner, arrow in zip(corners, arrows, strict=True):
        end = np.rint(corner + arrow).astype(int)
        near = crop[tuple(slice(max(n - 1, 0), n + 2) for n in end)]
        assert near.max() > 0.9


def test_body_axis_follows_a_body_that_is_off_the_middle_and_leans() -> None:
    s, a, r = np.indices((40, 60, 60))
    middle_a, middle_r = 20 + 0.3 * s, 36.0
    data = ((a - middle_a) ** 2 + (r - middle_r) ** 2 < 100).astype(np.float32)
    axis = axis_of(scan_of(data, (2.0, 1.5, 1.0)).volume, "body")
    found = axis.at(40.0)
    np.testing.assert_allclose(found, (40.0, 26 * 1.5, 36.0), atol=1.0)
    # The image's own axis is elsewhere.
    image = axis_of(scan_of(data, (2.0, 1.5, 1.0)).volume)
    np.testing.assert_allclose(image.at(40.0), (40.0, 29.5 * 1.5, 29.5))


def test_body_axis_of_a_scan_with_two_slices() -> None:
    data = np.zeros((2, 40, 40), np.float32)
    data[:, 10:20, 20:30] = 1
    axis = axis_of(scan_of(data, (5.0, 1.0, 1.0)).volume, "body")
    np.testing.assert_allclose(axis.at(2.5)[1:], (14.5, 24.5), atol=1.0)


def test_codes_of_known_vectors() -> None:
    coded = encode([[0, 0, 2], [0, 0, -2], [3, 0, 0], [0, 4, 0], [-1, 0, 0], [0, 0, 0]], 4.0)
    expected = [
        (0.5, 0, 0),
        (0.5, 1, 0),
        (0.75, 0.5, 0),
        (1, 0.5, 0.5),
        (0.25, 0.5, 1),
        (0, 0, 0),
    ]
    np.testing.assert_allclose(coded, expected, atol=1e-6)


def test_decoding_gives_vectors_back_up_to_the_length_r() -> None:
    vectors = np.random.default_rng(0).normal(0, 30, (500, 3))
    radius = 50.0
    back = decode(encode(vectors, radius), radius)
    lengths = np.linalg.norm(vectors, axis=1)
    shortened = vectors * np.minimum(1, radius / lengths)[:, None]
    np.testing.assert_allclose(back, shortened, atol=1e-4)
    assert (lengths > radius).any()


def test_targets_do_not_depend_on_the_spacing_of_the_scan() -> None:
    fine, coarse = scan_of(np.ones((60, 60, 60))), scan_of(np.ones((12, 30, 20)), (5, 2, 3))
    targets = []
    for scan in (fine, coarse):
        # The same box of the same body; positions count from the corner of the scan.
        place = np.array((30.0, 22.0, 25.0)) - scan.volume.spacing / 2
        record = crop_at(scan, place, 16, 20.0, element=31)
        targets.append(encode(vectors_mm(record, axis_of(scan.volume)), radius_mm(record)))
    np.testing.assert_allclose(targets[0], targets[1], atol=1e-6)


def test_the_centre_vector_knows_nothing_of_the_depth() -> None:
    scan = scan_of(np.ones((60, 40, 40)))
    axis = axis_of(scan.volume)
    for depth in (10, 30, 50):
        vectors = vectors_mm(crop_at(scan, (depth, 12, 15), 16, 16.0), axis)
        np.testing.assert_allclose(vectors[0], (0, 7.5, 4.5), atol=1e-9)


def test_indices_stay_with_the_anatomical_corner() -> None:
    scan = scan_of(np.ones((40, 40, 40)))
    axis = axis_of(scan.volume)
    rng = np.random.default_rng(5)
    record = draw_crop(rng, scan, 16, 20.0, element="any")
    as_it_lies = vectors_mm(record, axis, turned=False)
    turned = vectors_mm(record, axis)
    matrix = cube.ELEMENTS[record.element].astype(float)
    for k in range(9):
        np.testing.assert_allclose(turned[k], matrix @ as_it_lies[k], atol=1e-9)
