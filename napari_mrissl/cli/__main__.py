"""``python -m napari_mrissl.cli``: the command line without its script."""

import sys

from napari_mrissl.cli import main

if __name__ == "__main__":
    sys.exit(main())
