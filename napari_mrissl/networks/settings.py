"""How a backbone is chosen, without torch."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

BackboneName = Literal["residual_unet", "res2unet_101", "unet"]

DEEPEST_STRIDE = 32
"""Side of the input over the side of the Res2UNet's deepest map."""


class BackboneSettings(BaseModel):
    """Which network, and how large.

    Attributes
    ----------
    name
        ``"residual_unet"``, ``"res2unet_101"``, or ``"unet"``: the plain U-Net with the layout
        of arXiv:2411.02372.
    width
        Channels of the map at full resolution; 32 for the published Res2UNet-3D-101, 16 for
        the published plain U-Net.
    depth
        Scales of a U-Net, each half the one before; 5 for the published plain U-Net.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: BackboneName = Field(
        default="residual_unet",
        title="Network",
        description="A residual 3-D U-Net, the much larger published Res2UNet-3D-101, or the "
        "published plain U-Net of contrastive pretraining.",
    )
    width: int = Field(
        default=16,
        ge=8,
        le=128,
        multiple_of=8,
        title="Width",
        description="Channels at full resolution; 32 gives the Res2UNet its published size, 16 the "
        "plain U-Net.",
    )
    depth: int = Field(
        default=5,
        ge=3,
        le=6,
        title="Depth",
        description="Scales of a U-Net, 5 as published; the Res2UNet always has six.",
    )

    @property
    def stride(self) -> int:
        """What every side of the input must be a multiple of."""
        return DEEPEST_STRIDE if self.name == "res2unet_101" else 2 ** (self.depth - 1)

    @property
    def least_side(self) -> int:
        """The shortest side of crops to train on.

        The Res2UNet normalises over two samples: two voxels would make each map +1 and -1.
        The plain U-Net mirrors its deepest map at the borders, which takes two voxels.
        """
        return self.stride if self.name == "residual_unet" else 2 * self.stride
