"""Registration in a process of its own: the same result, its stages, its refusals, its end."""

import sys

import numpy as np
import psutil
import pytest
from scipy.ndimage import gaussian_filter
from warped_pairs import cube_affine

from napari_mrissl.directories import cache_directory
from napari_mrissl.errors import MrisslError
from napari_mrissl.features import Cancelled
from napari_mrissl.registration import RegistrationSettings, register
from napari_mrissl.registration.apart import register_apart
from napari_mrissl.volumes import Volume

SIDE = 24
SETTINGS = RegistrationSettings(linear="rigid", iterations=5, search=1, features="intensity")


def scan(shift: int = 0) -> Volume:
    noise = gaussian_filter(np.random.default_rng(3).standard_normal((SIDE + 4,) * 3), 2)
    voxels = np.ascontiguousarray(noise[2 : 2 + SIDE, 2 : 2 + SIDE, 2 + shift : 2 + shift + SIDE])
    return Volume.from_stored(voxels.astype(np.float32), cube_affine(SIDE, 2.0))


def test_the_result_is_that_of_this_process():
    told, aligned, steps = [], [], []
    mask = np.ones((SIDE,) * 3, bool)
    mask[:2] = False
    given = {"fixed_mask": mask, "moving_mask": mask}
    found = register_apart(
        scan(), scan(1), SETTINGS, **given,
        told=told.append, aligned=aligned.append, progress=lambda *step: steps.append(step),
    )  # fmt: skip
    here = register(scan(), scan(1), SETTINGS, **given)
    np.testing.assert_array_equal(found.transform.nodes, here.transform.nodes)
    np.testing.assert_allclose(found.linear, here.linear, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(found.transform.grid.affine, here.transform.grid.affine)
    assert found.costs == here.costs == tuple(told)
    assert found.spacing_mm == here.spacing_mm
    assert set(found.seconds) == {"linear", "deformable"}
    assert len(aligned) == 1
    assert not aligned[0].transform.nodes.any()
    np.testing.assert_array_equal(aligned[0].linear, found.linear)
    assert steps[-1][0] == 1.0


def test_landmarks_are_handed_over():
    settings = SETTINGS.model_copy(
        update={"linear": "none", "deformable": False, "initial": "landmarks"}
    )
    places = np.array([(0, 0, 0), (9, 0, 0), (0, 9, 0), (0, 0, 9.0)])
    landmarks = np.stack([places, places + np.array((2, -1, 3))], axis=1)
    found = register_apart(scan(), scan(1), settings, landmarks=landmarks)
    np.testing.assert_allclose(found.linear[:3, 3], (2, -1, 3), atol=1e-9)
    np.testing.assert_allclose(found.linear[:3, :3], np.eye(3), atol=1e-9)
    with pytest.raises(MrisslError, match="no landmarks given"):
        register_apart(scan(), scan(1), settings)


def test_a_cancelled_one_leaves_no_process_and_no_file():
    before, seen = psutil.Process().children(), []

    def cancelled() -> bool:
        seen.extend(child for child in psutil.Process().children() if child not in before)
        return bool(seen)

    with pytest.raises(Cancelled):
        register_apart(scan(), scan(1), SETTINGS, cancelled=cancelled)
    assert not [child for child in psutil.Process().children() if child in seen]
    assert not list(cache_directory().rglob("nodes.npy"))
    assert not list(cache_directory().rglob("voxels.npy"))


@pytest.mark.parametrize(
    ("moving", "change", "given", "words"),
    [
        (0 * scan().data, {}, {}, "moving scan: all voxels have the same value"),
        (scan().data, {"device": "cuda:77"}, {}, "is not there"),
        (scan().data, {}, {"moving_mask": np.zeros((SIDE,) * 3, bool)}, "is empty"),
    ],
)
def test_refusals_are_those_of_register(moving, change, given, words):
    other = Volume.from_stored(moving, scan().affine)
    settings = SETTINGS.model_copy(update={"linear": "none", **change})
    with pytest.raises(MrisslError, match=words):
        register_apart(scan(), other, settings, **given)


def test_neither_torch_nor_simpleitk_is_imported_here(tmp_path):
    import subprocess

    code = (
        "import sys; import napari_mrissl.registration.apart; "
        "print([m for m in ('torch', 'SimpleITK', 'scipy.ndimage') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True
    )
    assert done.stdout.strip() == "[]"
