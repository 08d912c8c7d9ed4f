"""Crops against scipy, and their geometry against SimpleITK, all 48 turns on odd grids."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk
from pydantic import ValidationError
from scipy import ndimage

from napari_mrissl.errors import MrisslError
from napari_mrissl.geometry.affines import apply_affine
from napari_mrissl.pretext import cube
from napari_mrissl.pretext.crops import CropRecord, crop_at, cut, cut_labels, draw_crop
from napari_mrissl.pretext.settings import CropSettings
from napari_mrissl.pretext.subjects import Scan
from napari_mrissl.volumes import Volume
from napari_mrissl.volumes.samples import phantom

OBLIQUE = np.array(
    [
        [0.0, -0.3, 2.9, -40.0],
        [-0.1, -0.9, -0.5, 31.0],
        [1.5, 0.05, 0.1, 12.0],
        [0.0, 0.0, 0.0, 1.0],
    ]
)


def scan_of(values: np.ndarray, affine: np.ndarray = OBLIQUE, **rest: object) -> Scan:
    volume = Volume.from_stored(values, affine, **rest)
    low, high = volume.value_range(0, 100)
    return Scan(volume, low, high, "subject-001", volume.identity)


@pytest.fixture(scope="module")
def scan() -> Scan:
    rng = np.random.default_rng(1)
    return scan_of(rng.integers(0, 1000, (23, 41, 31)).astype(np.int16))


def reference(scan: Scan, record: CropRecord) -> np.ndarray:
    """The same crop by scipy: preprocessed as a whole, sampled point by point."""
    volume = scan.volume
    values = volume.slope * volume.data.astype(np.float64) + volume.intercept
    unit = np.clip(np.nan_to_num((values - scan.low) / (scan.high - scan.low)), 0, 1)
    points = np.moveaxis(np.indices((record.side,) * 3), 0, -1)
    places = np.moveaxis(apply_affine(record.crop_to_index, points), -1, 0)
    return ndimage.map_coordinates(unit, places, order=1, mode="nearest")


@pytest.mark.parametrize("element", range(48))
def test_a_crop_is_what_scipy_samples_where_its_record_says(scan: Scan, element: int) -> None:
    rng = np.random.default_rng(element)
    record = draw_crop(rng, scan, side=9, edge_mm=18.0, element=element, least_mean=0)
    assert record.element == element
    np.testing.assert_allclose(cut(scan, record), reference(scan, record), atol=2e-6)


@pytest.mark.parametrize("dtype", ["u1", "i2", "u4", "f4", "f8"])
def test_every_stored_type_with_slope_and_intercept(dtype: str) -> None:
    values = np.random.default_rng(0).integers(0, 120, (17, 13, 19)).astype(dtype)
    scan = scan_of(values, slope=-0.5, intercept=7.0)
    record = crop_at(scan, (8.0, 20.0, 9.0), 11, 14.0, element=31)
    np.testing.assert_allclose(cut(scan, record), reference(scan, record), atol=2e-6)


def test_large_numbers_keep_their_differences() -> None:
    values = 2**30 + np.random.default_rng(0).integers(0, 100, (12, 12, 12)).astype(np.int32)
    scan = scan_of(values, np.eye(4))
    record = crop_at(scan, (5, 5, 5), 8, 9.0)
    np.testing.assert_allclose(cut(scan, record), reference(scan, record), atol=2e-6)


def test_not_a_number_is_black_and_values_are_clipped_before_they_are_mixed() -> None:
    values = np.zeros((8, 8, 8), np.float32)
    values[3], values[4], values[5] = np.nan, 9.0, -9.0
    scan = replace(scan_of(values, np.eye(4)), low=0.0, high=1.0)
    record = crop_at(scan, (3.5, 3.5, 3.5), 16, 8.0)
    made = cut(scan, record)
    np.testing.assert_allclose(made, reference(scan, record), atol=1e-6)
    assert made.max() <= 1
    assert np.isfinite(made).all()


def test_the_whole_scan_at_its_own_grid_is_the_scan() -> None:
    values = np.random.default_rng(0).random((6, 6, 6)).astype(np.float32)
    scan = replace(scan_of(values, np.eye(4)), low=0.0, high=1.0)
    record = crop_at(scan, (2.5, 2.5, 2.5), 6, 6.0)
    np.testing.assert_allclose(record.lower, [-0.5] * 3)
    np.testing.assert_allclose(record.upper, [5.5] * 3)
    np.testing.assert_allclose(cut(scan, record), scan.volume.data, atol=1e-6)


@pytest.mark.parametrize("element", [0, 7, 13, 22, 29, 46])
def test_a_crop_lies_in_the_world_where_simpleitk_finds_the_same_values(element: int) -> None:
    volume = phantom()
    scan = Scan(volume, 0.0, 1200.0, "subject-001", volume.identity)
    record = draw_crop(np.random.default_rng(3), scan, 16, 60.0, element=element)
    image = sitk.GetImageFromArray(volume.data.astype(np.float32))
    affine = volume.affine[:, [2, 1, 0, 3]]
    lps = np.diag([-1.0, -1.0, 1.0])
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    image.SetSpacing(spacing)
    image.SetOrigin(lps @ affine[:3, 3])
    image.SetDirection((lps @ affine[:3, :3] / spacing).reshape(-1))
    made = cut(scan, record)
    for place in np.random.default_rng(4).integers(2, 14, (40, 3)):
        world = apply_affine(record.crop_to_world, place)
        value = image.EvaluateAtPhysicalPoint(lps @ world, sitk.sitkLinear)
        assert made[tuple(place)] == pytest.approx(np.clip(value / 1200, 0, 1), abs=2e-5)


@pytest.mark.parametrize("element", range(48))
def test_a_bright_voxel_lies_where_the_turned_vector_from_the_middle_points(element: int) -> None:
    values = np.zeros((24, 20, 28), np.uint8)
    place = np.array([9, 11, 15])
    volume = Volume.from_stored(values, np.diag([3.0, 1.5, 1.0, 1.0]))
    data = volume.data.copy()
    data[tuple(place)] = 200
    volume = replace(volume, data=data)
    scan = Scan(volume, 0.0, 200.0, "subject-001", volume.identity)
    record = crop_at(scan, place * volume.spacing + (2.0, -4.0, 6.0), 33, 33.0, element=element)
    made = cut(scan, record)
    centroid = np.array(ndimage.center_of_mass(made))
    vector = place * volume.spacing - record.center_mm
    expected = cube.act_vectors(vector, element) / (record.edge_mm / record.side)
    np.testing.assert_allclose(centroid - (record.side - 1) / 2, expected, atol=0.6)


def test_the_box_is_a_cube_in_mm_inside_the_scan(scan: Scan) -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        record = draw_crop(rng, scan, 8, 15.0, least_mean=0)
        edges = record.upper_mm - record.lower_mm
        np.testing.assert_allclose(edges, record.edge_mm, rtol=1e-9)
        assert record.edge_mm == pytest.approx(15 * record.scale)
        assert 0.5 <= record.scale <= 1.5
        assert (np.array(record.lower) >= -0.5 - 1e-9).all()
        assert (np.array(record.upper) <= np.array(record.shape) - 0.5 + 1e-9).all()


def test_an_edge_longer_than_the_scan_is_cut_down(scan: Scan) -> None:
    record = draw_crop(np.random.default_rng(0), scan, 8, 1000.0, least_mean=0)
    shortest = float(record.scan_edges_mm.min())
    assert record.edge_mm == pytest.approx(shortest)
    assert record.scale == pytest.approx(shortest / 1000)


def test_corners_are_ordered_and_go_to_the_world_with_the_affine(scan: Scan) -> None:
    record = crop_at(scan, (20.0, 15.0, 30.0), 8, 12.0)
    corners = record.corners_mm
    np.testing.assert_allclose(corners.mean(axis=0), record.center_mm)
    np.testing.assert_allclose(corners[0], record.lower_mm)
    np.testing.assert_allclose(corners[7], record.upper_mm)
    np.testing.assert_allclose(corners[4] - corners[0], [record.edge_mm, 0, 0], atol=1e-9)
    np.testing.assert_allclose(corners[1] - corners[0], [0, 0, record.edge_mm], atol=1e-9)
    world = apply_affine(scan.volume.affine, corners / scan.volume.spacing)
    np.testing.assert_allclose(record.to_world(corners), world)
    moved = record.to_world(corners[3]) - record.to_world(corners[0])
    np.testing.assert_allclose(record.vectors_to_world(corners[3] - corners[0]), moved)


def test_an_element_of_its_own_leaves_the_box_as_drawn(scan: Scan) -> None:
    drawn = [
        draw_crop(np.random.default_rng(5), scan, 8, 15.0, element=element)
        for element in ("any", "rotations", "none", 40)
    ]
    assert {(r.lower, r.upper) for r in drawn} == {(drawn[0].lower, drawn[0].upper)}
    assert drawn[1].element < cube.ROTATIONS
    assert [r.element for r in drawn[2:]] == [0, 40]


# Chi-squared with 47 and with 23 degrees of freedom: beyond it once in a thousand times.
@pytest.mark.parametrize(("turns", "count", "most"), [("any", 48, 82.7), ("rotations", 24, 49.7)])
def test_all_elements_are_drawn_about_equally_often(
    scan: Scan, turns: str, count: int, most: float
) -> None:
    rng = np.random.default_rng(0)
    drawn = [draw_crop(rng, scan, 8, 15.0, element=turns, least_mean=0) for _ in range(50 * count)]
    counts = np.bincount([record.element for record in drawn], minlength=48)
    assert ((counts[:count] - 50) ** 2 / 50).sum() < most
    assert not counts[count:].any()


def test_rotations_leave_left_and_right_where_they_are(scan: Scan) -> None:
    """A crop's frame in the world is as right- or left-handed as the scan's own."""
    settings = CropSettings(side=16, edge_mm=15.0, element="rotations", least_mean=0)
    own = np.sign(np.linalg.det(scan.volume.affine[:3, :3]))
    rng = np.random.default_rng(1)
    seen = set()
    for _ in range(300):
        record = draw_crop(
            rng, scan, settings.side, settings.edge_mm, settings.scale, settings.element
        )
        assert np.sign(np.linalg.det(record.crop_to_world[:3, :3])) == own
        seen.add(record.element)
    mirrored = draw_crop(rng, scan, 16, 15.0, element=cube.ROTATIONS, least_mean=0)
    assert np.sign(np.linalg.det(mirrored.crop_to_world[:3, :3])) == -own
    assert len(seen) == cube.ROTATIONS
    with pytest.raises(ValidationError, match="'any', 'rotations' or 'none'"):
        CropSettings(element="mirrors")


def test_empty_boxes_are_drawn_again_and_the_fullest_is_the_last_resort() -> None:
    values = np.zeros((64, 64, 64), np.uint8)
    values[:30, :30, :30] = 255
    scan = replace(scan_of(values, np.eye(4)), low=0.0, high=255.0)

    def means(least: float) -> list[float]:
        generators = [np.random.default_rng(k) for k in range(20)]
        drawn = [draw_crop(g, scan, 16, 20.0, least_mean=least, tries=99) for g in generators]
        return [float(cut(scan, record).mean()) for record in drawn]

    assert min(means(0)) == 0
    # The look at a coarse crop may be off by a little.
    assert min(means(0.2)) > 0.15
    dark = replace(scan_of(np.zeros((16, 16, 16), np.uint8), np.eye(4)), low=0.0, high=1.0)
    assert draw_crop(np.random.default_rng(0), dark, 4, 8.0, least_mean=0.5).edge_mm <= 12


def test_the_same_generator_gives_the_same_crop_in_any_thread(scan: Scan) -> None:
    def make(number: int) -> bytes:
        record = draw_crop(np.random.default_rng(number), scan, 12, 18.0)
        return cut(scan, record).tobytes()

    alone = [make(number) for number in range(16)]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(make, range(16))) == alone


def test_a_record_survives_json(scan: Scan) -> None:
    record = draw_crop(np.random.default_rng(0), scan, 8, 15.0)
    again = CropRecord.from_plain(json.loads(json.dumps(record.plain())))
    assert again == record
    assert hash(again) == hash(record)
    with pytest.raises(MrisslError, match="record of a crop"):
        CropRecord.from_plain({"side": 3})


def test_labels_are_cut_by_the_nearest_voxel(scan: Scan) -> None:
    labels = np.random.default_rng(2).integers(0, 300, scan.volume.shape).astype(np.uint16)
    labelled = replace(scan, labels=labels)
    record = draw_crop(np.random.default_rng(6), scan, 10, 18.0, element=33)
    points = np.moveaxis(np.indices((10, 10, 10)), 0, -1)
    places = np.rint(apply_affine(record.crop_to_index, points)).astype(int)
    places = np.clip(places, 0, np.array(scan.volume.shape) - 1)
    np.testing.assert_array_equal(
        cut_labels(labelled, record), labels[tuple(np.moveaxis(places, -1, 0))]
    )
    with pytest.raises(MrisslError, match="no labels"):
        cut_labels(scan, record)


def test_what_cannot_be_cropped_is_refused(scan: Scan) -> None:
    record = draw_crop(np.random.default_rng(0), scan, 8, 15.0)
    with pytest.raises(MrisslError, match="another scan"):
        cut(replace(scan, identity="0" * 64), record)
    for side, edge in ((0, 10.0), (8, 0.0), (8, float("nan"))):
        with pytest.raises(MrisslError, match="more than 0"):
            draw_crop(np.random.default_rng(0), scan, side, edge)
