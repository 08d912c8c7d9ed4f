"""The demo does the main job in real widgets, and leaves what it promises."""

import json

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from napari_mrissl.assets import asset
from napari_mrissl.errors import MrisslError
from napari_mrissl.metrics import dice
from napari_mrissl.trajectories import Dataset
from napari_mrissl.volumes import read
from napari_mrissl.volumes.samples import mni152, mni152_tissues


@pytest.mark.gui
def test_demo_leaves_flight_segmentation_screenshot_and_figures(tmp_path, capsys, qapp):
    from napari_mrissl.ui import demo

    out = tmp_path / "demo"
    metrics = demo.run(out, headless=True, resolution=2)

    assert json.loads((out / "metrics.json").read_text("utf-8")) == metrics
    scan = mni152(2)
    saved = nib.load(out / "segmentation.nii.gz")
    np.testing.assert_array_equal(saved.affine, scan.stored.affine)
    # The figure reported is the one an independent reader finds in the file.
    found = dice(read(out / "segmentation.nii.gz").data, mni152_tissues(2).data, labels=(1, 2))
    assert metrics["mean_dice_grey_white"] == pytest.approx((found[1] + found[2]) / 2, abs=1e-4)
    assert metrics["mean_dice_grey_white"] >= 0.75
    recorded = Dataset.open(out / "flight").flight(0)
    assert recorded.identity == scan.identity
    assert len(recorded) == len(Dataset.open(asset("demo/flight")).flight(0))
    with Image.open(out / "flight.gif") as movie:
        assert movie.n_frames > 100
    with Image.open(out / "screenshot.png") as window:
        assert window.width >= 1200
        assert len(np.unique(np.asarray(window.convert("L")))) > 50
    told = capsys.readouterr().err.strip().splitlines()
    assert len(told[-5:]) == 5
    assert "segmentation.nii.gz" in "".join(told[-5:])


def test_without_a_display_the_demo_says_how(tmp_path, monkeypatch):
    from napari_mrissl.ui import demo

    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(demo.sys, "platform", "linux")
    with pytest.raises(MrisslError, match="xvfb-run"):
        demo.run(tmp_path / "demo", headless=True)
    assert not (tmp_path / "demo").exists()
