"""Scans are prepared as the card of the weights says."""

import numpy as np
import pytest

from napari_mrissl.errors import MrisslError
from napari_mrissl.evaluation.weights import SUBJECT, card_of, scan_for, weights_of
from napari_mrissl.training import checkpoints
from napari_mrissl.training.layout import step_folder
from napari_mrissl.volumes import Volume


def volume(voxels) -> Volume:
    return Volume.from_stored(np.asarray(voxels, np.float32), np.eye(4), name="Jane Doe")


def test_a_window_is_taken_as_it_is_and_percentiles_of_the_scan():
    ramp = volume(np.arange(1000.0).reshape(10, 10, 10))
    window = {"kind": "window", "low": -160.0, "high": 240.0}
    scan = scan_for(ramp, {"preprocessing": window})
    assert (scan.low, scan.high) == (-160.0, 240.0)
    percentiles = {"kind": "percentile", "low": 10.0, "high": 90.0}
    scan = scan_for(ramp, {"preprocessing": percentiles})
    expected = np.percentile(np.arange(1000.0), [10, 90])
    np.testing.assert_allclose([scan.low, scan.high], expected, atol=2)
    assert scan.subject == SUBJECT
    assert "Jane" not in scan.subject


@pytest.mark.parametrize("card", [{}, {"preprocessing": {"kind": "guess"}}])
def test_a_card_without_preprocessing_is_refused(card):
    with pytest.raises(MrisslError, match="how scans are prepared"):
        scan_for(volume(np.arange(27.0).reshape(3, 3, 3)), card)


def test_a_run_killed_before_the_copy_of_its_weights_gives_those_of_its_newest_whole_checkpoint(
    tmp_path,
):
    torch = pytest.importorskip("torch")
    with pytest.raises(MrisslError, match="no weights yet"):
        weights_of(tmp_path)
    for step in (1, 2, 3):
        state = {"a": torch.full((9,), float(step))}
        groups = {"weights": state, "average": state} if step == 2 else {"weights": state}
        checkpoints.save(tmp_path, step, groups, {"step": step}, best=False, keep=3)
    assert weights_of(tmp_path) == tmp_path / "weights.safetensors"
    (tmp_path / "weights.safetensors").unlink()
    newest = step_folder(tmp_path, 3) / "weights.safetensors"
    assert weights_of(tmp_path) == newest
    newest.write_bytes(newest.read_bytes()[:-1] + b"?")
    assert weights_of(tmp_path) == step_folder(tmp_path, 2) / "average.safetensors"
    assert card_of(tmp_path)["step"] == 2
