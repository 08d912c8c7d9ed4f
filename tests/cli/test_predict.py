import json
import subprocess
import sys

import nibabel
import numpy as np
import pytest

pytest.importorskip("torch")

import small_segmenters

from napari_mrissl.segmentation.finetuning import SavedSegmenter
from napari_mrissl.segmentation.prediction import Predictor
from napari_mrissl.volumes import read


@pytest.fixture
def network(tmp_path):
    """A finetuned network's file."""
    return small_segmenters.saved(tmp_path / "network.safetensors")


def test_labels_are_those_of_the_library_on_the_stored_grid(scan, network, run, tmp_path):
    bad = tmp_path / "bad.nii.gz"
    bad.write_bytes(scan.path.read_bytes()[:-30])
    out = tmp_path / "out"
    ran = run("predict", network, bad, scan.path, "--out", out, "--names", "same", "--json")
    # What can be done is done, and the code says that not all of it was.
    assert ran.code == 2
    assert "1 of 2 scans could not be segmented" in ran.err
    assert "left out: bad.nii.gz" in ran.err
    assert "Traceback" not in ran.err
    facts = json.loads(ran.out)
    assert [row["state"] for row in facts["scans"]] == ["failed", "done"]
    assert facts["classes"] == {"0": "background", "1": "grey", "2": "bright"}
    assert facts["model"]["step"] == 7
    assert str(tmp_path) not in ran.out
    volume = read(scan.path)
    wanted = Predictor(SavedSegmenter.load(network)).predict(volume)
    image = nibabel.load(out / "scan.nii.gz")
    found = np.asanyarray(image.dataobj)
    np.testing.assert_array_equal(found, volume.to_stored(wanted.labels))
    np.testing.assert_allclose(image.affine, scan.affine, atol=1e-5)
    voxel = abs(np.linalg.det(scan.affine[:3, :3])) / 1000
    for label, ml in facts["scans"][1]["volumes_ml"].items():
        assert ml == pytest.approx((found == int(label)).sum() * voxel, rel=1e-4, abs=1e-6)


def test_bids_names_are_the_default_and_missing_ones_can_be_added(scan, network, run, tmp_path):
    words = ("predict", network, scan.path, "--out", tmp_path / "out")
    ran = run(*words, "--probabilities", "--window", 16, "--flips", "none")
    assert ran.code == 0, ran.err
    assert "grey" in ran.out
    base = tmp_path / "out" / "sub-scan" / "anat"
    names = sorted(path.name for path in base.iterdir())
    assert names == [
        "sub-scan_space-orig_desc-mrissl_dseg.json",
        "sub-scan_space-orig_desc-mrissl_dseg.nii.gz",
        "sub-scan_space-orig_desc-mrissl_dseg.tsv",
        "sub-scan_space-orig_label-bright_desc-mrissl_probseg.nii.gz",
        "sub-scan_space-orig_label-grey_desc-mrissl_probseg.nii.gz",
    ]
    facts = json.loads((base / names[0]).read_text(encoding="utf-8"))
    assert facts["Settings"]["window"] == 16
    again = run(*words, "--missing")
    assert again.code == 0
    assert "there already" in again.out


def test_what_is_refused_leaves_no_trace(scan, network, refused, tmp_path):
    out = tmp_path / "out"
    words = ("predict", network, scan.path, "--out", out)
    assert "--overlap" in refused(*words, "--overlap", 0.95)
    assert "--window" in refused(*words, "--window", -3)
    assert "one of them" in refused(*words, "--missing", "--overwrite")
    assert "not on this machine" in refused(*words, "--device", "cuda:77")
    assert "no scan given" in refused("predict", network, "--out", out)
    assert "no such file" in refused("predict", network, tmp_path / "none.nii", "--out", out)
    assert "is not there" in refused("predict", tmp_path / "run", scan.path, "--out", out)
    (tmp_path / "text.safetensors").write_bytes(b"nonsense")
    refused("predict", tmp_path / "text.safetensors", scan.path, "--out", out)
    (tmp_path / "empty").mkdir()
    assert "no run" in refused("predict", tmp_path / "empty", scan.path, "--out", out)
    assert not out.exists()
    out.mkdir()
    (out / "scan.nii.gz").write_bytes(b"mine")
    assert "there already" in refused(*words, "--names", "same")
    assert (out / "scan.nii.gz").read_bytes() == b"mine"
    assert "a scan lies where" in refused(
        "predict", network, scan.path, "--out", scan.path.parent, "--names", "same", "--overwrite"
    )


def test_help_imports_no_torch():
    script = (
        "import sys; from napari_mrissl.cli import main; assert main(['predict', '--help']) == 0;"
        "assert not {'torch', 'monai', 'napari'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, timeout=200)
