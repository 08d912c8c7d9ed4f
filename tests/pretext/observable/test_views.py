"""Views of scans of any grid: positions against the affine by hand, and what is drawn."""

import json

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from napari_mrissl.errors import MrisslError
from napari_mrissl.pretext.observable import chunks
from napari_mrissl.pretext.observable.gaps import gap_matrix, off_diagonal
from napari_mrissl.pretext.observable.observations import GapMatrix, chunk_corners_world
from napari_mrissl.pretext.observable.routes import all_routes
from napari_mrissl.pretext.observable.sampling import Bodies, draw, recoloured, row
from napari_mrissl.pretext.observable.settings import ViewSettings
from napari_mrissl.pretext.observable.views import Body, Views, cut, extent_mm, views_at
from napari_mrissl.pretext.subjects import Scan
from napari_mrissl.slicing.foreground import Foreground
from napari_mrissl.volumes import Volume
from tests.pretext.observable.scans import SHAPE, affine_of, grey_at, ramp
from tests.pretext.painted import blob

KINDS = ("upright", "permuted", "oblique")
CENTERS = np.array([[-6.0, 3, 10], [8, -5, 0], [0, 7, -9]])
VIEW = ViewSettings(side=16, edge_mm=16.0, body=0.0)


@pytest.fixture(params=KINDS)
def scan(request):
    return ramp(request.param)


def _turn(kind):
    """How the scan's axes R, A, S lie in the world, by hand."""
    if kind != "oblique":
        return np.eye(3)
    return Rotation.from_euler("xyz", (12, -9, 15), degrees=True).as_matrix()


def test_positions_are_mm_along_the_axes_of_the_scan(scan):
    views = views_at(scan, CENTERS, [16, 16, 16], (16, 16, 16), 50.0)
    stored = affine_of(scan.subject)
    middle = stored[:3, :3] @ ((np.array(SHAPE) - 1) / 2) + stored[:3, 3]
    turn = _turn(scan.subject)
    expected = middle + CENTERS @ turn.T
    np.testing.assert_allclose(views.centers_world, expected, atol=1e-4)
    np.testing.assert_allclose(views.positions, CENTERS / 50)
    world_gaps = expected[None, :] - expected[:, None]
    np.testing.assert_allclose(views.vectors_to_world(views.gaps_mm), world_gaps, atol=1e-4)
    # Lengths are the same in both, whatever the grid.
    np.testing.assert_allclose(
        np.linalg.norm(views.gaps_mm, axis=-1), np.linalg.norm(world_gaps, axis=-1), atol=1e-4
    )
    corners = expected[0] + (np.array([[-8, -8, -8], [8, 8, 8]]) @ turn.T)
    np.testing.assert_allclose(views.corners_world[0, [0, 7]], corners, atol=1e-4)
    # Number 4 r + 2 a + s: the fifth is off along R alone.
    np.testing.assert_allclose(
        views.corners_world[0, 4] - views.corners_world[0, 0], turn[:, 0] * 16, atol=1e-4
    )


def test_views_show_what_is_there(scan):
    views = views_at(scan, CENTERS, [12, 14, 16], (8, 7, 6), 50.0)
    images = cut(scan, views)
    assert images.shape == (3, 8, 7, 6)
    turn = _turn(scan.subject)
    middle = views_at(scan, np.zeros((1, 3)), [1, 1, 1], (1, 1, 1), 1).centers_world[0]
    for image, center in zip(images, CENTERS, strict=True):
        for s, a, r in ((0, 0, 0), (7, 6, 5), (2, 5, 1)):
            parts = np.array([(r + 0.5) / 6, (a + 0.5) / 7, (s + 0.5) / 8]) - 0.5
            place = center + parts * (12, 14, 16)
            assert image[s, a, r] == pytest.approx(
                float(grey_at(scan, middle + turn @ place)), abs=1e-4
            )


def test_chunks_are_where_their_boxes_are_drawn(scan):
    views = views_at(scan, CENTERS, [8, 8, 8], (8, 8, 8), 50.0)
    plan = chunks.plan(views.gaps_voxels, views.voxels, (4, 4, 4))
    assert plan.kept.any()
    images, corners = cut(scan, views), chunk_corners_world(views, plan)
    for pair in np.flatnonzero(plan.kept):
        for number in range(4):
            s, a, r = plan.starts[pair, number]
            chunk = images[plan.of_view[pair, number], s : s + 4, a : a + 4, r : r + 4]
            middle = corners[pair, number].mean(axis=0)
            assert chunk.mean() == pytest.approx(float(grey_at(scan, middle)), abs=1e-3)
        i, j = plan.pairs[pair]
        way = views.centers_world[j] - views.centers_world[i]
        near = corners[pair, 1].mean(axis=0) - corners[pair, 0].mean(axis=0)
        assert near @ way > 0
        assert np.linalg.norm(near) < np.linalg.norm(way)


def test_cells_routes_and_ghosts_are_drawn_in_the_world(scan):
    views = views_at(scan, CENTERS, [8, 8, 8], (8, 8, 8), 50.0)
    off = np.array([2.0, 0, 0])
    matrix = GapMatrix(views, views.gaps_mm + off * off_diagonal(3)[..., None], closed=False)
    pair = matrix.pair(0, 2)
    turn = _turn(scan.subject)
    np.testing.assert_allclose(
        pair.centers_world[0] + pair.true_world, pair.centers_world[1], atol=1e-4
    )
    np.testing.assert_allclose(pair.predicted_world - pair.true_world, turn @ off, atol=1e-4)
    assert pair.error_mm == pytest.approx(2)
    walked = matrix.walks(all_routes(3))[3]
    assert walked.order == (1, 2, 0)
    np.testing.assert_allclose(walked.true_world, views.centers_world[[1, 2, 0]], atol=1e-4)
    ends = walked.predicted_world - walked.true_world
    np.testing.assert_allclose(ends, np.outer([0, 1, 2], turn @ off), atol=1e-4)
    assert walked.end_error_mm == pytest.approx(4)
    assert walked.drift_mm == pytest.approx(6)
    assert len(walked.steps_world(1)[0]) == 2
    true = GapMatrix(views, views.gaps_mm)
    np.testing.assert_allclose(true.ghosts_world(true.layout()), views.corners_world, atol=1e-4)
    assert true.walks(all_routes(3))[0].drift_mm is None
    with pytest.raises(MrisslError, match="views 0 and 3"):
        true.pair(0, 3)


def test_even_places_are_a_third_of_their_room_apart():
    scan = blob(0)
    rng, bodies = np.random.default_rng(0), Bodies()
    gaps = np.stack([draw(rng, scan, VIEW, 4, 100.0, bodies).gaps_mm for _ in range(1500)])
    gaps = gaps[:, off_diagonal(4)]
    room = extent_mm(scan.volume) - 16
    np.testing.assert_allclose(np.abs(gaps).mean(axis=(0, 1)), room / 3, rtol=0.03)
    np.testing.assert_allclose((gaps**2).mean(axis=(0, 1)), room**2 / 6, rtol=0.05)


def test_views_lie_in_the_scan_and_follow_from_the_generator(scan):
    settings = VIEW.model_copy(update={"edge_mm": 300.0})
    big = draw(np.random.default_rng(1), scan, settings, 3, 100.0, Bodies())
    # A cube is cut down to the shortest side.
    np.testing.assert_allclose(big.edges_mm, extent_mm(scan.volume).min())
    many = draw(np.random.default_rng(2), scan, VIEW, 50, 100.0, Bodies())
    again = draw(np.random.default_rng(2), scan, VIEW, 50, 100.0, Bodies())
    np.testing.assert_array_equal(many.centers_mm, again.centers_mm)
    lower, upper = many.boxes()
    assert (lower >= -0.5 - 1e-9).all()
    assert (upper <= np.array(scan.volume.shape) - 0.5 + 1e-9).all()


def test_slabs_are_whole_slices_in_the_middle(scan):
    settings = ViewSettings(kind="slab", side=16, edge_mm=64.0, slab=4, body=0.0)
    views = draw(np.random.default_rng(0), scan, settings, 6, 100.0, Bodies())
    assert cut(scan, views).shape == (6, 4, 16, 16)
    assert not views.centers_mm[:, :2].any()
    assert np.ptp(views.centers_mm[:, 2]) > 1
    np.testing.assert_allclose(views.edges_mm, [64, 64, min(16, extent_mm(scan.volume)[2])])


@pytest.mark.parametrize("edge_mm", [150.0, 256.0, 400.0])
def test_slabs_wider_than_a_head_are_drawn_at_all_heights(edge_mm):
    """What lies beyond the scan is no air in it: it must not hold all slabs at one height."""
    index = np.stack(np.meshgrid(*(np.linspace(-1, 1, n) for n in (40, 54, 40)), indexing="ij"))
    head = (np.linalg.norm(index, axis=0) < 1).astype(np.float32)
    volume = Volume.from_stored(head, np.diag([4.0, 4, 4, 1]))
    scan = Scan(volume, 0.0, 1.0, "head", volume.identity)
    heights = {}
    for body in (0.0, 0.25):
        settings = ViewSettings(kind="slab", side=32, edge_mm=edge_mm, slab=4, body=body)
        views = draw(np.random.default_rng(0), scan, settings, 400, 100.0, Bodies())
        heights[body] = views.centers_mm[:, 2]
    # Slabs with too little body are those at both ends, where the head is narrow.
    assert heights[0.25].std() > 0.75 * heights[0.0].std()


def test_of_a_box_beyond_the_scan_the_part_inside_counts():
    volume = Volume.from_stored(np.ones((20, 24, 28), np.float32), np.diag([2.0, 2, 2, 1]))
    body, extent = Body(volume), extent_mm(volume)
    centers = [[0, 0, 0], [extent[0] / 2, 0, 0], [-extent[0] / 2 + 5, 0, 3], [500, 0, 0]]
    for edge in (10.0, 30.0, 300.0):
        shares = body.share(centers, np.full(3, edge))
        np.testing.assert_allclose(shares[:3], 1, atol=1e-4)
        assert shares[3] == 0


@pytest.mark.parametrize("kind", ["cube", "slab"])
def test_a_row_of_views_goes_from_end_to_end(kind):
    scan = blob(1)
    settings = ViewSettings(kind=kind, side=16, edge_mm=16.0, slab=4)
    views = row(scan, settings, 9, 100.0, Bodies())
    steps = np.diff(views.centers_mm, axis=0)
    np.testing.assert_allclose(steps, np.broadcast_to(steps[0], steps.shape), atol=1e-9)
    assert steps[0, 2] > 0
    assert not steps[0, :2].any()
    lower, upper = views.boxes()
    assert lower[0, 0] == pytest.approx(-0.5)
    assert upper[-1, 0] == pytest.approx(scan.volume.shape[0] - 0.5)


def test_the_share_of_body_is_that_of_the_mask():
    scan = blob(2)
    body, found = Body(scan.volume), Foreground.of(scan.volume)
    rng = np.random.default_rng(0)
    room = (extent_mm(scan.volume) - 40) / 2
    centers = rng.uniform(-room, room, (20, 3))
    views = views_at(scan, centers, [40, 40, 40], (1, 1, 1), 1.0)
    places = (np.argwhere(np.ones_like(found.mask)) @ found.affine[:3, :3].T) + found.affine[:3, 3]
    index = places @ scan.volume.to_index[:3, :3].T + scan.volume.to_index[:3, 3]
    shares = []
    for low, high in zip(*views.boxes(), strict=True):
        inside = ((index >= low) & (index < high)).all(axis=1)
        shares.append(found.mask.ravel()[inside].mean())
    np.testing.assert_allclose(body.share(centers, np.full(3, 40.0)), shares, atol=0.06)
    assert np.ptp(shares) > 0.2


def test_views_in_air_are_drawn_again():
    scan = blob(2)
    bodies = Bodies()
    fussy = VIEW.model_copy(update={"body": 0.6})
    shares = {
        settings.body: bodies.of(scan).share(
            draw(np.random.default_rng(0), scan, settings, 60, 100.0, bodies).centers_mm,
            np.full(3, 16.0),
        )
        for settings in (VIEW, fussy)
    }
    assert (shares[0.0] < 0.6).mean() > 0.3
    assert (shares[0.6] >= 0.6).mean() > 0.95


def test_each_view_is_recoloured_on_its_own():
    image = np.random.default_rng(0).random((8, 8, 8), np.float32)
    same = np.stack([image] * 6)
    changed = recoloured(np.random.default_rng(1), same, 1.0)
    assert changed.min() >= 0
    assert changed.max() <= 1
    for i in range(6):
        assert np.abs(changed[i] - image).max() > 1e-3
        for j in range(i):
            assert np.abs(changed[i] - changed[j]).max() > 1e-3
    # What happens to one does not depend on what the others show.
    other = same.copy()
    other[0] = 0.5
    again = recoloured(np.random.default_rng(1), other, 1.0)
    np.testing.assert_array_equal(again[1:], changed[1:])
    np.testing.assert_array_equal(recoloured(np.random.default_rng(1), same, 0.0), same)


def test_views_survive_json_and_refuse_other_scans():
    scan = ramp("oblique")
    views = views_at(scan, CENTERS, [16, 16, 16], (16, 8, 16), 50.0)
    again = Views.from_plain(json.loads(json.dumps(views.plain())))
    np.testing.assert_array_equal(again.corners_world, views.corners_world)
    assert (again.voxels, again.shape, again.identity) == (
        views.voxels,
        views.shape,
        views.identity,
    )
    np.testing.assert_array_equal(again.gaps_mm, gap_matrix(CENTERS))
    with pytest.raises(MrisslError, match="another scan"):
        cut(ramp("upright"), views)
    with pytest.raises(MrisslError, match="record of views"):
        Views.from_plain({"shape": 3})
    with pytest.raises(MrisslError, match="more than 0"):
        views_at(scan, CENTERS, [0, 1, 1], (1, 1, 1), 1.0)
    with pytest.raises(MrisslError, match="points of shape"):
        views_at(scan, np.zeros((0, 3)), [1, 1, 1], (1, 1, 1), 1.0)
