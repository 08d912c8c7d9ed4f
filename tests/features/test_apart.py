"""Features from a child process are those of this one, and nothing is left of what was stopped."""

import subprocess
import sys

import numpy as np
import pytest
import small_networks

from napari_mrissl import features
from napari_mrissl.directories import cache_directory
from napari_mrissl.errors import MrisslError
from napari_mrissl.features import Cancelled, FilterBankSettings, apart
from napari_mrissl.features.apart import compute_apart
from napari_mrissl.features.network import NetworkSettings
from napari_mrissl.volumes import Volume

RANDOM = NetworkSettings(weights="random", width=2, depth=2)


def oblique(seed=0):
    """Permuted, flipped, oblique, scaled: what a handover could lose."""
    turn = np.array([[0, -0.96, 0.28], [0, -0.28, -0.96], [1, 0, 0]])
    affine = np.eye(4)
    affine[:3, :3] = turn * (0.7, 1.1, 2.3)
    affine[:3, 3] = (1 / 3, -40.1, 7.7)
    voxels = np.random.default_rng(seed).integers(-50, 900, (19, 22, 17)).astype(np.int16)
    return Volume.from_stored(voxels, affine, name="PHI name", slope=0.37, intercept=-11.5)


def left():
    return sorted(path.name for path in (cache_directory() / "features").iterdir())


def test_the_child_computes_what_this_process_computes(tmp_path, monkeypatch):
    weights = small_networks.save(tmp_path / "weights.safetensors", seed=3)
    settings = NetworkSettings(weights=str(weights))
    told = []
    found = compute_apart(oblique(), settings, lambda part, step: told.append(part))
    assert found.settings == settings
    assert len(left()) == 1
    assert told == sorted(told)
    assert told[-1] <= 1
    again = compute_apart(oblique(), settings, lambda part, step: told.append(None))
    assert None not in told
    monkeypatch.setenv("MRISSL_CACHE_DIR", str(tmp_path / "other"))
    here = features.compute(oblique(), settings)
    np.testing.assert_allclose(found.data, here.data, atol=1e-5)
    np.testing.assert_array_equal(again.data, found.data)


def test_what_needs_no_torch_is_computed_here(monkeypatch):
    monkeypatch.setattr(apart, "_MODULE", "no_such_module")
    found = compute_apart(oblique(), FilterBankSettings())
    assert len(found.data) == len(found.names) == 11


SCRIPT = """
import sys
import numpy as np
from napari_mrissl.features.apart import compute_apart
from napari_mrissl.features.network import NetworkSettings
from napari_mrissl.volumes import Volume
voxels = np.random.default_rng(0).random((16, 16, 16), np.float32)
stack = compute_apart(
    Volume.from_stored(voxels, np.eye(4)), NetworkSettings(weights="random", width=2, depth=1)
)
print(stack.data.shape, float(np.abs(stack.data).max()) > 0, "torch" in sys.modules)
"""


def test_torch_stays_out_of_the_process_that_asks():
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, encoding="utf-8", timeout=240
    )
    assert done.stdout.split("\n")[0] == "(16, 16, 16, 16) True False", done.stderr


def test_a_stopped_child_leaves_nothing():
    asked = []

    def cancelled():
        asked.append(1)
        return len(asked) > 3

    with pytest.raises(Cancelled):
        compute_apart(oblique(), RANDOM, cancelled=cancelled)
    assert [name for name in left() if name.startswith("unfinished")] == []
    assert features.cached(oblique(), RANDOM) is None


def test_a_refusal_in_the_child_is_said_in_its_words():
    flat = Volume.from_stored(np.full((20, 20, 20), 7, np.int16), np.eye(4))
    with pytest.raises(MrisslError, match="value") as refused:
        compute_apart(flat, RANDOM)
    assert "ended with code" not in str(refused.value)
    assert left() == []


def test_a_child_that_dies_is_reported_and_leaves_nothing(tmp_path, monkeypatch):
    (tmp_path / "dies.py").write_text(
        "import os, sys\nprint('no JSON')\nprint('[1]')\nsys.stderr.write('a last word\\n')\n"
        "sys.stderr.flush()\nos.kill(os.getpid(), 9)\n",
        encoding="utf-8",
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(apart, "_MODULE", "dies")
    with pytest.raises(MrisslError, match=r"ended with code -9 \(a last word\)"):
        compute_apart(oblique(), RANDOM)
    assert left() == []


def test_a_child_ends_with_its_parent(tmp_path):
    folder = tmp_path / "request"
    folder.mkdir()
    apart.hand_over(folder, oblique(), RANDOM.model_dump(mode="json"))
    with subprocess.Popen(
        [sys.executable, "-m", "napari_mrissl.features.child", folder],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    ) as child:
        child.stdin.close()
        assert child.wait(240) == 3
    assert [name for name in left() if name.startswith("unfinished")] == []


@pytest.mark.parametrize("what", ["voxels.npy", "request.json", "other scan", "pickle"])
def test_what_was_handed_over_is_checked(tmp_path, what):
    apart.hand_over(tmp_path, oblique(), RANDOM.model_dump(mode="json"))
    if what == "other scan":
        np.save(tmp_path / apart.VOXELS, oblique(1).data)
    elif what == "pickle":
        np.save(tmp_path / apart.VOXELS, np.array([{"a": 1}], object), allow_pickle=True)
    else:
        (tmp_path / what).write_bytes(b"{")
    with pytest.raises(MrisslError, match="handed over"):
        apart.handed_over(tmp_path)


def test_nothing_of_a_name_is_handed_over(tmp_path):
    apart.hand_over(tmp_path, oblique(), RANDOM.model_dump(mode="json"))
    for path in tmp_path.iterdir():
        assert b"PHI name" not in path.read_bytes()
