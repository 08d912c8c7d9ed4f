"""The controls mean the same in one process and in two, and when one takes over from two."""

import pytest

from napari_mrissl.training.building import settings_for
from tests.training.worlds import assert_worlds_agree

SMALL = {
    "backbone": {"width": 8, "depth": 3},
    "crop": {"side": 16, "edge_mm": 10},
}


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", ["reconstruction", "masked", "res2unet"])
def test_worlds_agree(name, tmp_path):
    changes = {
        "reconstruction": {},
        "masked": {"patch": 4},
        # Batch statistics are those of pairs of samples, whatever the process.
        "res2unet": {
            "backbone": {"name": "res2unet_101", "width": 8},
            "crop": {"side": 64, "edge_mm": 10},
        },
    }
    settings = settings_for(
        "masked" if name == "masked" else "reconstruction",
        overrides={**SMALL, **changes[name], "batch": 4, "learning_rate": 1e-3, "workers": 0},
    )
    # The large network's many layers are slow, not different.
    steps = 6 if name == "res2unet" else 200
    assert_worlds_agree(settings, tmp_path, steps=steps, limit=1500)
