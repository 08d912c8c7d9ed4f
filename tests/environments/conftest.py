"""Small heads to fly over."""

import pytest

from napari_mrissl.environments.scenes import displaced_heads


@pytest.fixture(scope="session")
def heads():
    return displaced_heads(0, 3, side=32)
