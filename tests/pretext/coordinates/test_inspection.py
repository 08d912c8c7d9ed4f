"""Coordinates of a whole scan: read from crops, in mm along the body's axes."""

import numpy as np
import pytest
import torch

from napari_mrissl.pretext.coordinates.body_axes import BodyAxes
from napari_mrissl.pretext.coordinates.inspection import Inspector, chance, matched
from napari_mrissl.pretext.coordinates.settings import CoordinateSettings
from tests.pretext.coordinates.small import SMALL
from tests.pretext.observable.scans import RAMP, ramp


class _ReadsGrey(torch.nn.Module):
    """Says of every cell how bright it is, in all three coordinates."""

    def __init__(self):
        super().__init__()
        self.coordinates = torch.nn.Module()
        self.coordinates.scale = torch.nn.Parameter(torch.tensor([1.0, 2.0, 3.0]))

    def cells(self, image):
        cells = torch.nn.functional.avg_pool3d(image[:, None], 4)
        return cells.expand(-1, 3, -1, -1, -1)


@pytest.mark.parametrize("kind", ["upright", "permuted", "oblique"])
def test_points_get_what_the_network_says_where_they_are(kind):
    """A ramp through the world is read back at points, whatever crop they lie in."""
    scan = ramp(kind)
    settings = CoordinateSettings.model_validate(
        {**SMALL, "crop": {"side": 16, "spacing": (1.0, 1.0)}}
    )
    inspector = Inspector(settings, _ReadsGrey(), {})
    rng = np.random.default_rng(0)
    half = np.array(scan.volume.shape)[::-1] * scan.volume.spacing[::-1] / 2
    points = rng.uniform(-0.5, 0.5, (50, 3)) * half
    located = inspector.locate(scan, points)
    middle = (np.array(scan.volume.shape) - 1) / 2
    index = points[:, ::-1] / scan.volume.spacing + middle
    world = index @ scan.volume.affine[:3, :3].T + scan.volume.affine[:3, 3]
    grey = (world @ RAMP - scan.low) / (scan.high - scan.low)
    # Cells at a crop's border say the same of all that lies beyond their middle.
    apart = np.abs(located.coordinates - grey[:, None] * [1, 2, 3])
    assert apart.max() < 0.1
    assert np.median(apart) < 0.02


def test_right_coordinates_are_measured_as_such_and_others_as_chance():
    settings = CoordinateSettings.model_validate(SMALL)
    axes = BodyAxes(np.diag([100.0, -100.0, 100.0]), np.full(3, 0.5), 1, 0.0)
    inspector = Inspector(settings, torch.nn.Linear(1, 1), {"body_axes": axes.plain()})
    from napari_mrissl.pretext.coordinates.inspection import Located

    rng = np.random.default_rng(1)
    true = rng.normal(0, 40, (300, 3))
    right = Located(true, true / [100, -100, 100] + 0.7)
    found = inspector.measure(right)
    assert found["error_mm"] == pytest.approx(0, abs=1e-9)
    nothing = chance(right)
    assert nothing["error_mm"] == pytest.approx(
        np.linalg.norm(true - true.mean(axis=0), axis=1).mean()
    )
    for name in ("right", "anterior", "superior"):
        assert found[f"spearman_{name}"] == pytest.approx(1)
        assert nothing[f"spearman_{name}"] == 0
    wrong = inspector.measure(Located(true, rng.normal(0, 0.4, (300, 3))))
    assert abs(wrong["spearman_right"]) < 0.2
    assert wrong["error_mm"] > nothing["error_mm"]


def test_points_are_matched_by_their_coordinates():
    rng = np.random.default_rng(2)
    places = rng.normal(0, 30, (80, 3))
    shift = places + 5
    found, best_constant = matched(places[:20] / 10, shift[:20], places / 10, shift)
    assert found == 0
    middle = shift.mean(axis=0)
    by_hand = np.mean([np.linalg.norm(one - middle) for one in shift[:20]])
    assert best_constant == pytest.approx(by_hand)
    wrong, _ = matched(rng.normal(0, 3, (20, 3)), shift[:20], places / 10, shift)
    assert wrong > 20
