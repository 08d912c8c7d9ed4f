"""The inspector's data: a network that knows the answer, one that knows nothing, real weights."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from napari_mrissl.errors import MrisslError
from napari_mrissl.features.cancel import Cancelled
from napari_mrissl.networks import weights
from napari_mrissl.pretext import cube
from napari_mrissl.pretext.edges import edges
from napari_mrissl.pretext.settings import EdgeSettings
from napari_mrissl.pretext.subjects import Scan
from napari_mrissl.pretext.vectorpose.chance import geometric_median
from napari_mrissl.pretext.vectorpose.inspection import Inspector
from napari_mrissl.pretext.vectorpose.settings import VectorPoseSettings
from napari_mrissl.pretext.vectorpose.task import VectorPose
from napari_mrissl.pretext.vectorpose.vectors import encode, radius_mm, vectors_mm
from tests.pretext.vectorpose.scans import scan_of

SETTINGS = VectorPoseSettings.model_validate(
    {"backbone": {"width": 8, "depth": 3}, "crop": {"side": 16, "edge_mm": 14.0}}
)


def _oblique(scan: Scan) -> Scan:
    """The same voxels, turned in the world."""
    from dataclasses import replace

    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(0.3), -np.sin(0.3)], [np.sin(0.3), np.cos(0.3)]]
    volume = replace(scan.volume, affine=turn @ scan.volume.affine)
    return replace(scan, volume=volume, identity=volume.identity)


@pytest.fixture(scope="module")
def scan() -> Scan:
    s, a, r = np.indices((40, 36, 44))
    body = ((s - 20) ** 2 + (a - 18) ** 2 + (r - 22) ** 2 < 300) * 0.6
    noise = np.random.default_rng(0).random(body.shape) * 0.2
    return _oblique(scan_of(body + noise, (1.0, 1.5, 1.2)))


@pytest.fixture(scope="module")
def inspector() -> Inspector:
    torch.manual_seed(0)
    return Inspector(SETTINGS, VectorPose(SETTINGS).network())


class _Knowing(Inspector):
    """Answers with the truth about the crops it is told of, in their order."""

    def tell(self, scan: Scan, records: list) -> None:
        axis = self.task.axis(scan)
        self.known = [encode(vectors_mm(one, axis), radius_mm(one)) for one in records]

    def predict(self, images: np.ndarray) -> np.ndarray:
        return np.stack([self.known.pop(0) for _ in images]).astype(np.float64)


def test_a_network_that_knows_shows_its_arrows_on_the_true_ones(scan: Scan) -> None:
    knowing = _Knowing(SETTINGS, VectorPose(SETTINGS).network())
    records = [knowing.crop(scan, (18, 20, 30), 1.1, element) for element in (0, 13, 47)]
    knowing.tell(scan, records)
    views = knowing.look(scan, records)
    middle = scan.volume.affine @ [*(np.array(scan.volume.shape) - 1) / 2, 1]
    for view in views:
        np.testing.assert_allclose(view.predicted, view.true, atol=1e-3)
        np.testing.assert_allclose(view.rebuilt, view.points, atol=1e-3)
        np.testing.assert_allclose(view.fitted, view.points, atol=1e-3)
        # All arrows end on the axis, which goes through the middle of the scan along S.
        ends = view.points + view.true
        along = scan.volume.affine[:3, 0] / np.linalg.norm(scan.volume.affine[:3, 0])
        off = ends - middle[:3]
        np.testing.assert_allclose(off - np.outer(off @ along, along), 0, atol=1e-6)
        assert np.ptp(ends, axis=0).max() < 1e-6
        assert view.reading.orientation_right


def test_arrows_begin_at_the_corners_of_the_box_in_the_world(
    scan: Scan, inspector: Inspector
) -> None:
    record = inspector.crop(scan, (20, 25, 22), element=5)
    view = inspector.look(scan, [record])[0]
    lower, upper = np.array(record.lower), np.array(record.upper)
    for number, index in ((0, (lower + upper) / 2), (1, lower), (2, upper)):
        world = scan.volume.affine @ [*index, 1]
        np.testing.assert_allclose(view.points[number], world[:3], atol=1e-9)
    assert view.image.shape == (16, 16, 16)
    length = np.linalg.norm(view.predicted, axis=1)
    np.testing.assert_allclose(length, view.coded_predicted[:, 0] * radius_mm(record), rtol=1e-6)


def test_along_s_the_true_curves_are_flat_and_elsewhere_not(
    scan: Scan, inspector: Inspector
) -> None:
    record = inspector.crop(scan, (20, 25, 30))
    sweep = inspector.sweep(scan, record, "S", 5)
    assert np.ptp(sweep.true, axis=0).max() < 1e-6
    assert sweep.positions_mm[0] == pytest.approx(-sweep.positions_mm[-1])
    across = inspector.sweep(scan, record, "A", 7)
    assert np.ptp(across.true[:, 0]) > 0.2
    assert across.predicted.shape == (7, 3)
    assert (across.position_errors_mm >= 0).all()


def test_thresholds_are_live_and_errors_are_split(scan: Scan, inspector: Inspector) -> None:
    record = inspector.crop(scan, (20, 25, 10), element=9)
    view = inspector.restoration(scan, record, seed=3)
    np.testing.assert_array_equal(view.boundary(), edges(view.original, SETTINGS.edges))
    other = EdgeSettings(threshold=0.05, gain=5.0)
    np.testing.assert_array_equal(view.boundary(other), edges(view.original, other))
    parts = view.errors()
    edge = view.boundary() > 0.5
    share = edge.mean()
    assert 0 < share < 1
    whole = share * parts["on_boundary"] + (1 - share) * parts["off_boundary"]
    assert (
        parts["all"]
        == pytest.approx(whole, rel=1e-4)
        == pytest.approx(np.abs(view.restored - view.original).mean(), rel=1e-4)
    )
    assert view.predicted_boundary is not None
    assert view.weights() is None
    again = inspector.restoration(scan, record, seed=3)
    np.testing.assert_array_equal(view.corrupted, again.corrupted)


def test_what_knows_nothing_is_told_beside_what_was_learned(
    scan: Scan, inspector: Inspector
) -> None:
    found = inspector.inspect(scan, 40, shuffled=inspector)
    numbers = found.plain()
    assert json.loads(json.dumps(numbers)) == numbers
    assert numbers["chance_orientation_accuracy"] == pytest.approx(1 / 48)
    assert found.shuffled is not None
    # A network that was never trained is not better than the best constant.
    for term in ("r", "theta", "phi"):
        assert found.trained.terms[term] > 0.9 * found.constant.terms[term]
        assert found.shuffled.terms[term] == found.trained.terms[term]
    assert found.inverted.terms != found.trained.terms
    assert len(found.crops) == numbers["crops"] == 40


class _Steady(Inspector):
    """One answer for all crops."""

    answer: np.ndarray

    def predict(self, images: np.ndarray) -> np.ndarray:
        return np.broadcast_to(self.answer, (len(images), 9, 3)).astype(np.float64)


@pytest.mark.parametrize("element", ["any", "none"])
def test_no_steady_answer_is_nearer_or_closer_in_size_than_chance(scan: Scan, element: str) -> None:
    """The best constant r, theta and phi of turned crops are farther off than no arrow at all."""
    settings = SETTINGS.model_copy(
        update={"crop": SETTINGS.crop.model_copy(update={"element": element, "least_mean": 0.0})}
    )
    steady = _Steady(settings, VectorPose(settings).network())
    steady.answer = np.zeros((9, 3))
    found = steady.inspect(scan, 150)
    records = [view.record for view in found.crops]
    centers = np.stack([vectors_mm(one, steady.task.axis(scan))[0] for one in records])

    def mean_distance(point: np.ndarray) -> float:
        return float(np.linalg.norm(centers - point, axis=1).mean())

    best = minimize(mean_distance, centers.mean(axis=0), method="Nelder-Mead").x
    apart = np.median(np.linalg.norm(centers - best, axis=1))
    chance = found.constant.summary
    assert chance.position_error_mm == pytest.approx(apart, rel=0.02)
    assert chance.position_error_mm < 1.03 * found.trained.summary.position_error_mm
    edges_mm = np.array([one.edge_mm for one in records])
    factors = edges_mm / np.median(edges_mm)
    assert chance.scale_error == pytest.approx(
        np.median(np.maximum(factors, 1 / factors)) - 1, rel=0.05
    )


def test_a_chance_position_that_no_crop_has_is_found() -> None:
    corners = np.array([[0, 0, 0], [10, 0, 0], [0, 10, 0], [10, 10, 0], [5, 5, 0]], np.float64)
    np.testing.assert_allclose(geometric_median(corners), [5, 5, 0], atol=1e-3)
    # Torricelli's point: every side is seen under 120 degrees, here from the middle.
    turns = np.radians([0, 120, 240])
    triangle = np.stack([0 * turns, np.cos(turns), np.sin(turns)], axis=1)
    np.testing.assert_allclose(geometric_median(triangle + 7), [7, 7, 7], atol=1e-3)


def test_images_of_the_first_crops_only_are_kept_and_work_ends_when_told(
    scan: Scan, inspector: Inspector
) -> None:
    found = inspector.inspect(scan, 20)
    assert [view.image is not None for view in found.crops] == [True] * 4 + [False] * 16
    again = inspector.look(scan, [view.record for view in found.crops])
    assert all(view.image is not None for view in again)
    np.testing.assert_array_equal(found.crops[17].coded_predicted, again[17].coded_predicted)
    told: list[float] = []

    def stop(part: float) -> None:
        told.append(part)
        if len(told) == 2:
            raise Cancelled

    with pytest.raises(Cancelled):
        inspector.sweep(scan, found.crops[0].record, "A", 40, stop)
    assert told == [0, 0.4]


def test_weights_open_with_the_settings_of_their_card(tmp_path: Path, scan: Scan) -> None:
    torch.manual_seed(1)
    network = VectorPose(SETTINGS).network()
    card = {"method": "vectorpose", "task": SETTINGS.model_dump(mode="json")}
    weights.save(tmp_path / "weights.safetensors", network.state_dict(), card)
    before = torch.get_rng_state()
    opened = Inspector.open(tmp_path)
    assert torch.equal(before, torch.get_rng_state())
    record = opened.crop(scan, (20, 25, 22), element=cube.IDENTITY)
    image = opened.look(scan, [record])[0].image
    expected = Inspector(SETTINGS, network).predict(image[None])
    np.testing.assert_array_equal(opened.predict(image[None]), expected)


@pytest.mark.parametrize(
    ("card", "said"),
    [
        ({"method": "masked"}, "weights of masked"),
        ({"method": "vectorpose", "task": {"crop": 3}}, "settings in the card"),
        ({"method": "vectorpose", "task": {}}, "not those of their card"),
    ],
)
def test_other_weights_are_refused(tmp_path: Path, card: dict, said: str) -> None:
    weights.save(tmp_path / "weights.safetensors", {"a": torch.zeros(1)}, card)
    with pytest.raises(MrisslError, match=said):
        Inspector.open(tmp_path)


def test_what_a_run_was_not_trained_for_is_refused(scan: Scan) -> None:
    vectors = SETTINGS.model_copy(update={"restoration": "none"})
    other = SETTINGS.model_copy(update={"vectors": False})
    record = Inspector(vectors, VectorPose(vectors).network()).crop(scan, (20, 25, 22))
    with pytest.raises(MrisslError, match="restores nothing"):
        Inspector(vectors, VectorPose(vectors).network()).restoration(scan, record)
    with pytest.raises(MrisslError, match="predicts no vectors"):
        Inspector(other, VectorPose(other).network()).look(scan, [record])
