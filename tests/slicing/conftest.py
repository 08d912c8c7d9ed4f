"""Both ways to a slice, numpy and compiled, and volumes with awkward grids."""

import numpy as np
import pytest

from napari_mrissl.slicing import compiled
from napari_mrissl.volumes import Volume

# Oblique, sheared, mirrored and anisotropic at once.
AFFINE = np.array([[-0.9, 0.1, 0, 30], [0.1, 0.02, 1.1, -20], [0, 2.0, -0.1, 5], [0, 0, 0, 1]])


@pytest.fixture(params=["numpy", "compiled"])
def way(request, monkeypatch):
    """Renders in the test take this way only."""
    if request.param == "numpy":
        monkeypatch.setattr(compiled, "kernel", lambda *_: None)
        return "numpy"

    def waited(name, dtype, pixels):
        key = (name, dtype.str[1:])
        if key[1] == "f2":
            return None
        compiled._background.want((key,), first=True)
        kernel = compiled._background.wait(key)
        assert kernel is not None
        return kernel

    monkeypatch.setattr(compiled, "kernel", waited)
    return "compiled"


@pytest.fixture
def volume_of():
    """A maker of volumes: random voxels over much of what the type holds."""

    def make(dtype, shape=(21, 18, 25), affine=AFFINE, seed=0, **attributes) -> Volume:
        rng = np.random.default_rng(seed)
        dtype = np.dtype(dtype)
        if dtype.kind == "f":
            voxels = rng.normal(scale=300, size=shape).astype(dtype)
        else:
            low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
            voxels = rng.integers(low // 3, high // 3, size=shape).astype(dtype)
        return Volume.from_stored(voxels, affine, **attributes)

    return make
