"""Train a run over smooth scans in a process of its own, see `tests.training.toy_child`."""

import napari_mrissl.pretext.diffusion.task  # noqa: F401 - once, not in every child
from tests.pretext.navigation.child import train
from tests.training.toy_child import main

if __name__ == "__main__":
    main(train)
