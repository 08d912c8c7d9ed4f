"""Pictures of stacked layers against a slow composition pixel by pixel; no viewer."""

import numpy as np
import pytest
from scipy.ndimage import map_coordinates
from tracing import untraced

from napari_mrissl.geometry import Pose
from napari_mrissl.geometry.rotations import matrix_from_axis_angle
from napari_mrissl.ui.pictures.compose import SHADES, contours
from napari_mrissl.ui.pictures.cuts import Pictures
from napari_mrissl.ui.pictures.parts import (
    ColoursPart,
    ImagePart,
    LabelColors,
    LabelsPart,
    label_at,
    packed,
    unpacked,
    value_at,
)
from napari_mrissl.ui.pictures.rasters import Raster, raster_of_pose
from napari_mrissl.ui.views.cameras import Camera, bar_length, crossing
from napari_mrissl.volumes.volume import Volume

GRAY = np.linspace([0, 0, 0, 1], [1, 1, 1, 1], SHADES)
HOT = np.stack(
    [np.linspace(0, 1, SHADES), np.linspace(0, 1, SHADES) ** 2, np.linspace(0.2, 0, SHADES),
     np.linspace(0.3, 1, SHADES)], axis=1,
)  # fmt: skip
COLORS = np.random.default_rng(5).random((256, 4))
COLORS[0] = 0
COLORS[3] = 0
BLENDINGS = ["translucent", "additive", "minimum", "multiplicative", "opaque"]


def affine(spacing, origin, turn):
    matrix = np.eye(4)
    matrix[:3, :3] = matrix_from_axis_angle(turn) @ np.diag(spacing)
    matrix[:3, 3] = origin
    return matrix


@pytest.fixture(scope="module")
def scans():
    """Two volumes of different grids, one of them with NaN, and a label map on a third."""
    rng = np.random.default_rng(2)
    smooth = rng.random((9, 8, 7)).repeat(3, 0).repeat(3, 1).repeat(3, 2)
    one = Volume.from_stored(
        (900 * smooth).astype(np.int16), affine((2, 2.5, 3), (-30, -28, -31), (0, 0, 0)),
        slope=0.5, intercept=-20.0,
    )  # fmt: skip
    values = rng.random((20, 22, 18)).astype(np.float32)
    values[5:9, 5:9, 5:9] = np.nan
    other = Volume.from_stored(values, affine((1.7, 1.5, 2.6), (-12, -20, -18), (0.3, -0.2, 0.1)))
    labels = (smooth[:18, :16, :14] * 5).astype(np.int32)
    place = affine((2, 2, 2), (-18, -15, -12), (0.0, 0.2, 0.4))
    return one, other, labels, place


@pytest.fixture
def raster():
    turned = matrix_from_axis_angle((0.4, 0.2, -0.3))
    return Raster(np.array([1.0, 2.0, -1.0]), turned[:, 0], turned[:, 1], 1.9, 30, 24)


def image(volume, colors, limits, opacity, blending, nan=(0, 0, 0, 0)):
    return ImagePart("image", volume, limits, colors, np.array(nan, float), opacity, blending)


def labels_part(labels, place, **look):
    return LabelsPart("labels", labels, place, LabelColors(lambda found: COLORS[found]), **look)


# --- the slow way -------------------------------------------------------------------------


def places(raster):
    """World mm of all pixel centres, from the definition of a raster."""
    x, y = np.meshgrid(np.arange(raster.width) + 0.5, np.arange(raster.height) + 0.5)
    across = ((x - raster.width / 2) * raster.step)[..., None] * raster.right
    return raster.center + across - ((y - raster.height / 2) * raster.step)[..., None] * raster.up


def sampled(data, matrix, raster, order):
    """scipy's values, and how far inside the grid each pixel lies, in voxels."""
    inverse = np.linalg.inv(matrix)
    index = places(raster) @ inverse[:3, :3].T + inverse[:3, 3]
    shape = np.array(data.shape)
    inside = np.minimum(index + 0.5, shape - 0.5 - index).min(axis=-1)
    found = map_coordinates(
        data.astype(np.float64), np.moveaxis(index, -1, 0), order=order, mode="nearest"
    )
    return found, inside


@untraced()
def slow_contours(labels, thickness):
    rows, columns = labels.shape
    edge = np.zeros(labels.shape, bool)
    for i in range(rows):
        for j in range(columns):
            for a in range(max(0, i - thickness), min(rows, i + thickness + 1)):
                for b in range(max(0, j - thickness), min(columns, j + thickness + 1)):
                    near = abs(a - i) + abs(b - j) <= thickness
                    edge[i, j] |= near and labels[a, b] != labels[i, j]
    return edge


def blended(below, color, alpha, there, blending, first):
    """napari's blending of one pixel, as OpenGL defines it; colours in [0, 1]."""
    if not there:
        return below
    if first and blending in ("opaque", "multiplicative"):
        blending = "translucent"
    if blending == "additive":
        return np.minimum(below + alpha * color, 1)
    if blending == "minimum":
        return color if first else np.minimum(below, color)
    if blending == "multiplicative":
        return below * color
    if blending == "opaque":
        return color
    return alpha * color + (1 - alpha) * below


@untraced()
def slow_picture(parts, raster, style, thickness):
    """The picture (N, M, 3) in [0, 1], and where rounding at a border may decide."""
    picture = np.zeros((raster.height, raster.width, 3))
    unsure = np.zeros(picture.shape[:2], bool)
    for number, part in enumerate(parts):
        if isinstance(part, ImagePart):
            volume = part.volume
            stored, inside = sampled(volume.data, volume.affine, raster, 1)
            values = volume.slope * stored + volume.intercept
            low, high = part.limits
            share = np.clip((values - low) / (high - low), 0, 1)
            missing = np.isnan(values)
            shades = np.nan_to_num(share) * (SHADES - 1)
            colors = np.stack(
                [np.interp(shades, np.arange(SHADES), part.colors[:, c]) for c in range(4)], -1
            )
            colors[missing] = part.nan_color
            alphas = colors[..., 3] * part.opacity
            there = (inside > 0) & (alphas > 0)
        else:
            found, inside = sampled(part.labels, part.affine, raster, 0)
            found = np.where(inside > 0, found, 0).astype(int)
            inverse = np.linalg.inv(part.affine)
            index = places(raster) @ inverse[:3, :3].T + inverse[:3, 3]
            halfway = np.abs(index - np.floor(index) - 0.5).min(axis=-1) < 1e-6
            colors = COLORS[found]
            outlined = style != "filled" or part.contour > 0
            filled = style != "contours" and part.contour == 0
            edge = slow_contours(found, part.contour or thickness) if outlined else found < 0
            alphas = colors[..., 3] * np.where(edge, 1.0, part.opacity * filled)
            there = alphas > 0
            unsure |= halfway
        unsure |= np.abs(inside) < 1e-5
        for i in range(raster.height):
            for j in range(raster.width):
                picture[i, j] = blended(
                    picture[i, j], colors[i, j, :3], alphas[i, j], there[i, j], part.blending,
                    number == 0,
                )  # fmt: skip
    return picture, unsure


# --- tests --------------------------------------------------------------------------------


@pytest.mark.parametrize("blending", BLENDINGS)
def test_two_scans_and_labels_look_as_composed_pixel_by_pixel(scans, raster, blending):
    one, other, labels, place = scans
    parts = [
        image(one, GRAY, (30.0, 330.0), 0.9, "translucent"),
        image(other, HOT, (0.1, 0.8), 0.6, blending, nan=(0.1, 0.9, 0.3, 0.5)),
        labels_part(labels, place, opacity=0.4, blending="translucent"),
    ]
    (picture,) = Pictures().draw(raster, [parts], style="both", thickness=2)
    expected, unsure = slow_picture(parts, raster, "both", 2)
    assert unsure.mean() < 0.01
    assert (picture[..., 3] == 255).all()
    off = np.abs(picture[..., :3] - 255 * expected)[~unsure]
    assert off.max() <= 1.0
    assert expected[..., 0].std() > 0.05


@pytest.mark.parametrize("blending", BLENDINGS)
@pytest.mark.parametrize("kind", ["image", "labels"])
def test_the_lowest_layer_lies_on_black_whatever_its_blending(scans, raster, blending, kind):
    one, _, labels, place = scans
    part = (
        image(one, HOT, (30.0, 330.0), 0.7, blending)
        if kind == "image"
        else labels_part(labels, place, opacity=0.5, blending=blending)
    )
    (picture,) = Pictures().draw(raster, [[part]], style="filled")
    expected, unsure = slow_picture([part], raster, "filled", 0)
    assert np.abs(picture[..., :3] - 255 * expected)[~unsure].max() <= 1.0


@pytest.mark.parametrize("style", ["filled", "contours", "both"])
@pytest.mark.parametrize("contour", [0, 1, 3])
def test_labels_are_filled_and_outlined_as_asked(scans, raster, style, contour):
    _, _, labels, place = scans
    part = labels_part(labels, place, opacity=0.35, contour=contour)
    (picture,) = Pictures().draw(raster, [[part]], style=style, thickness=2)
    expected, unsure = slow_picture([part], raster, style, 2)
    assert np.abs(picture[..., :3] - 255 * expected)[~unsure].max() <= 1.0


def test_contours_are_those_of_the_definition():
    labels = np.random.default_rng(0).integers(0, 3, (15, 17)).repeat(3, 0).repeat(2, 1)
    for thickness in (0, 1, 2, 4):
        np.testing.assert_array_equal(contours(labels, thickness), slow_contours(labels, thickness))


def test_an_overlay_is_the_difference_that_labels_make(scans, raster):
    """Over any picture, the transparent overlay gives what composing with the picture gives."""
    one, _, labels, place = scans
    parts = [labels_part(labels, place, opacity=0.4), labels_part(labels[::-1], place, opacity=0.6)]
    below = image(one, GRAY, (30.0, 330.0), 1.0, "translucent")
    (whole,) = Pictures().draw(raster, [[below, *parts]], style="both", thickness=1)
    (base,) = Pictures().draw(raster, [[below]])
    overlay = Pictures().overlay(raster, parts, style="both", thickness=1).astype(float)
    alpha = overlay[..., 3:] / 255
    over = alpha * overlay[..., :3] + (1 - alpha) * base[..., :3]
    assert np.abs(over - whole[..., :3]).max() <= 2.0
    assert 0.05 < (alpha > 0).mean() < 1


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint16, np.int32, np.int64])
def test_labels_of_any_type_and_size_find_their_colours(dtype):
    top = min(np.iinfo(dtype).max, 3_000_000_000)
    low = max(np.iinfo(dtype).min, -7)
    labels = np.array([[0, 1, top], [low, 5, 1]], dtype)

    def colors_of(found):
        return np.stack([np.asarray(found, float) % k for k in (7, 11, 13, 17)], -1)

    codes, colors = LabelColors(colors_of).codes(labels)
    np.testing.assert_array_equal(colors[codes], colors_of(labels))


def test_only_what_changed_is_cut_and_composed_again(scans, raster):
    one, _, labels, place = scans
    pictures = Pictures()
    below = image(one, GRAY, (0.0, 400.0), 1.0, "translucent")
    over = labels_part(labels.copy(), place, opacity=0.4)
    pictures.draw(raster, [[below, over]], style="both")
    assert (pictures.rendered, pictures.composed) == (2, 1)
    pictures.draw(raster, [[below, over]], style="both")
    assert (pictures.rendered, pictures.composed) == (2, 1)
    # Another contrast: nothing is cut.
    brighter = image(one, GRAY, (0.0, 200.0), 1.0, "translucent")
    pictures.draw(raster, [[brighter, over]], style="both")
    assert (pictures.rendered, pictures.composed) == (2, 2)
    # Labels that were touched but not changed here: cut, and nothing else.
    over.version += 1
    pictures.draw(raster, [[brighter, over]], style="both")
    assert (pictures.rendered, pictures.composed) == (3, 2)
    over.labels[...] = 1
    over.version += 1
    before = pictures.draw(raster, [[brighter, over]], style="both")[0].copy()
    assert (pictures.rendered, pictures.composed) == (4, 3)
    # Another place, and back.
    moved = Raster(raster.center + 3, raster.right, raster.up, raster.step, 30, 24)
    pictures.draw(moved, [[brighter, over]], style="both")
    assert (pictures.rendered, pictures.composed) == (6, 4)
    again = pictures.draw(raster, [[brighter, over]], style="both")[0]
    np.testing.assert_array_equal(again, before)


def test_a_raster_of_a_pose_is_its_square_and_positions_go_there_and_back():
    pose = Pose(np.array([3.0, -4.0, 5.0]), matrix_from_axis_angle((0.5, -0.7, 0.2)), 90.0)
    square = raster_of_pose(pose, 64, 64)
    np.testing.assert_allclose(square.affine, pose.grid(64), atol=1e-12)
    wide = raster_of_pose(pose, 120, 64)
    assert wide.step * wide.height == pytest.approx(90.0)
    np.testing.assert_allclose(wide.point(60.0, 32.0), pose.center)
    for place in ((0.0, 0.0), (13.2, 50.1), (119.0, 3.0)):
        np.testing.assert_allclose(wide.position(wide.point(*place)), place, atol=1e-9)
    corner = wide.affine @ np.array([0, 63, 119, 1])
    np.testing.assert_allclose(wide.position(corner[:3]), (119.5, 63.5))


def test_a_camera_keeps_what_is_under_the_mouse_and_the_crosshairs_plane():
    box = np.array([1.0, 2.0, 3.0]), np.array([100.0, 120.0, 80.0])
    camera, rotation = Camera(), matrix_from_axis_angle((np.pi / 2, 0, 0))
    crosshair = np.array([10.0, -20.0, 15.0])
    raster = camera.raster(rotation, crosshair, box, (200, 150))
    # Rows along -S, columns along R: 100 x 80 mm fit into 200 x 150 pixels.
    assert raster.step * 200 >= 100
    assert raster.step * 150 >= 80
    assert min(raster.step * 200 / 100, raster.step * 150 / 80) < 1.1
    assert (raster.center - crosshair) @ raster.normal == pytest.approx(0)
    fixed = raster.point(31.0, 44.0)
    camera.zoom_at(3.0, raster, 31.0, 44.0)
    closer = camera.raster(rotation, crosshair, box, (200, 150))
    assert closer.step == pytest.approx(raster.step / 3)
    np.testing.assert_allclose(closer.position(fixed), (31.0, 44.0))
    seen = closer.point(100.0, 75.0)
    camera.pan(closer, 12.0, -7.0)
    panned = camera.raster(rotation, crosshair, box, (200, 150))
    np.testing.assert_allclose(panned.position(seen), (112.0, 68.0))
    far = panned.point(500.0, 75.0)
    assert camera.keep_in_view(panned, far)
    np.testing.assert_allclose(
        camera.raster(rotation, crosshair, box, (200, 150)).position(far), (100.0, 75.0)
    )
    assert not camera.keep_in_view(camera.raster(rotation, crosshair, box, (200, 150)), far)
    camera.reset()
    assert camera.raster(rotation, crosshair, box, (200, 150)).key == raster.key


def test_planes_cross_where_geometry_says():
    raster = Raster(np.zeros(3), *np.eye(3)[:2], 1.0, 100, 100)
    assert crossing(raster, (0, 0, 1)) is None
    direction, half = crossing(raster, (1, 0, 0))
    assert abs(direction @ np.array([0, 1])) == pytest.approx(1)
    assert half == np.inf
    # A square of 40 mm turned by 30 degrees about the viewing direction's neighbour.
    turned = matrix_from_axis_angle((0, np.radians(60), 0)) @ matrix_from_axis_angle((0, 0, 0.5))
    pose = Pose(np.zeros(3), turned, 40.0)
    direction, half = crossing(raster, pose.normal, pose)
    along = direction[0] * raster.right - direction[1] * raster.up
    assert abs(along @ pose.normal) < 1e-12
    ends = np.abs(pose.rotation.T @ (half * along))
    assert ends.max() == pytest.approx(20.0)


@pytest.mark.parametrize(
    ("step", "pixels", "length"), [(1, 80, 50), (0.3, 80, 20), (2, 60, 100), (0.01, 55, 0.5)]
)
def test_the_scale_bar_has_a_round_length(step, pixels, length):
    assert bar_length(step, pixels) == pytest.approx(length)


def test_values_under_the_mouse_are_the_nearest_voxels(scans):
    one, other, labels, place = scans
    rng = np.random.default_rng(1)
    part = labels_part(labels, place)
    inside = 0
    for point in rng.normal(size=(60, 3)) * 20:
        for volume in (one, other):
            index = np.linalg.inv(volume.affine)[:3] @ [*point, 1]
            nearest = np.rint(index).astype(int)
            there = ((nearest >= 0) & (nearest < volume.shape)).all()
            expected = (
                volume.slope * volume.data[tuple(nearest)] + volume.intercept if there else None
            )
            found = value_at(volume, point)
            assert found == expected or (np.isnan(found) and np.isnan(expected))
            inside += there
        index = np.rint(np.linalg.inv(place)[:3] @ [*point, 1]).astype(int)
        there = ((index >= 0) & (index < labels.shape)).all()
        assert label_at(part, point) == (int(labels[tuple(index)]) if there else None)
    assert 20 < inside < 120


def test_colours_are_drawn_from_the_nearest_voxel(raster):
    rng = np.random.default_rng(8)
    colours = rng.integers(0, 256, (18, 16, 14, 4)).astype(np.uint8)
    colours[..., 3] = np.where(rng.random((18, 16, 14)) < 0.3, 0, 255)
    place = affine((2, 2, 2), (-18, -15, -12), (0.0, 0.2, 0.4))
    part = ColoursPart("colours", packed(colours), place, LabelColors(unpacked), opacity=0.6)
    found = np.array(Pictures().draw(raster, [[part]], style="both")[0])
    inverse = np.linalg.inv(place)
    index = places(raster) @ inverse[:3, :3].T + inverse[:3, 3]
    checked = 0
    for row, column in np.ndindex(raster.height, raster.width):
        at = index[row, column]
        if (np.abs(at - np.floor(at) - 0.5) < 1e-6).any():
            continue
        voxel = np.rint(at).astype(int)
        expected = np.zeros(3)
        if ((voxel >= 0) & (voxel < colours.shape[:3])).all():
            color = colours[tuple(voxel)]
            expected = 0.6 * color[:3] * (color[3] > 0)
            checked += 1
        # Five bits of each colour.
        assert np.abs(found[row, column, :3] - expected).max() <= 6
    assert checked > 50
