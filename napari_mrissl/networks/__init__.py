"""Plain torch modules: backbones, heads, and their weights on disk.

Importing this imports no torch; asking for `UNet3d` does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_mrissl.networks.unet import UNet3d

__all__ = ["UNet3d"]


def __getattr__(name: str) -> object:
    if name == "UNet3d":
        from napari_mrissl.networks.unet import UNet3d

        return UNet3d
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
