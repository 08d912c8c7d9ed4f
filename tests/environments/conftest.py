"""Small heads to fly over."""

import pytest


@pytest.fixture(scope="session")
def heads():
    pytest.importorskip("gymnasium")
    from napari_mrissl.environments.scenes import displaced_heads

    return displaced_heads(0, 3, side=32)
