"""A small pool of shapes and engines on it."""

import pytest

from napari_mrissl.synthesis import Engine, EngineSettings, Templates

SIDE = 48


@pytest.fixture(scope="session")
def pool() -> Templates:
    return Templates.procedural(seed=5, count=40)


@pytest.fixture(scope="session")
def engine(pool) -> Engine:
    return Engine(pool, EngineSettings.of_side(SIDE), seed=3)
