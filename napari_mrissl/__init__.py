"""Self-supervised 3D MRI in napari: fly through a scan, pretrain, look inside, segment.

A scan becomes a volume, a pose cuts a slice out of it, a flight of poses becomes a
dataset, a pretext task turns volumes into a network, the network turns clicks into a
segmentation, and the viewer shows every step. Importing this package imports neither
Qt nor torch.
"""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("napari-mrissl")
except PackageNotFoundError:  # a checkout on the path that was never installed
    __version__ = "0+unknown"

__all__ = ["__version__"]
