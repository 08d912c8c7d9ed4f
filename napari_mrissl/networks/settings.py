"""How a network is chosen, without torch."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

BackboneName = Literal["residual_unet", "res2unet_101", "unet", "mednext"]

DEEPEST_STRIDE = 32
"""Side of the input over the side of the Res2UNet's deepest map."""


class BackboneSettings(BaseModel):
    """Which network, and how large.

    Attributes
    ----------
    name
        ``"residual_unet"``, ``"res2unet_101"``, ``"unet"``: the plain U-Net with the layout
        of arXiv:2411.02372; or ``"mednext"``: MONAI's, of the small kind.
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
        description="A residual 3-D U-Net, the much larger published Res2UNet-3D-101, the "
        "published plain U-Net of contrastive pretraining, or MONAI's MedNeXt.",
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
        The plain U-Net mirrors its deepest map at the borders, which takes two voxels. MedNeXt
        normalises every channel over its voxels.
        """
        return self.stride if self.name == "residual_unet" else 2 * self.stride


class TokenizerShape(BaseModel):
    """How large the tokenizer of slices is.

    Defaults are our definition for a CPU; arXiv:2605.06487 does not say (inferred).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: int = Field(
        default=64, ge=16, le=256, title="Slice (pixels)", description="Side of every slice."
    )
    patch: int = Field(
        default=8,
        ge=2,
        le=32,
        title="Patch (pixels)",
        description="Side of the squares of a slice that become one token each.",
    )
    width: int = Field(
        default=128,
        ge=8,
        le=1024,
        multiple_of=4,
        title="Width",
        description="Numbers that a token has inside the network.",
    )
    depth: int = Field(default=4, ge=1, le=24, title="Layers", description="Layers of the encoder.")
    decoder: int = Field(
        default=2, ge=1, le=24, title="Decoder layers", description="Layers of the decoder."
    )
    heads: int = Field(default=4, ge=1, le=32, title="Heads", description="Of the attention.")
    latent: int = Field(
        default=32,
        ge=2,
        le=256,
        title="Latent",
        description="Numbers in -1 to 1 that are left of each patch.",
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.size % self.patch or self.size < 2 * self.patch:
            raise ValueError(
                f"slices of {self.size} pixels a side are not two or more whole patches "
                f"of {self.patch}"
            )
        _check_heads(self.width, self.heads)
        return self

    @property
    def grid(self) -> int:
        """Patches along each side of a slice."""
        return self.size // self.patch


class DynamicsShape(BaseModel):
    """How large the network is that follows actions.

    Defaults are our definition for a CPU; arXiv:2605.06487 does not say (inferred).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    width: int = Field(
        default=128,
        ge=8,
        le=1024,
        multiple_of=4,
        title="Width",
        description="Numbers that a token has inside the network.",
    )
    depth: int = Field(default=4, ge=1, le=24, title="Layers", description="Of the network.")
    heads: int = Field(default=4, ge=1, le=32, title="Heads", description="Of the attention.")
    context: int = Field(
        default=8,
        ge=1,
        le=64,
        title="Context (frames)",
        description="Most frames, the newest among them, that a prediction looks back on.",
    )
    follows: bool = Field(
        default=True,
        title="Follows patches",
        description="Each patch is told where the action takes it from, what lies there, and what "
        "earlier slices show of the place; without it, only attention can find that out.",
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        _check_heads(self.width, self.heads)
        return self


class DenoiserShape(BaseModel):
    """How large the diffusion U-Net is; defaults are those that the method's notes propose."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    width: int = Field(
        default=32,
        ge=8,
        le=128,
        multiple_of=8,
        title="Width",
        description="Channels at full resolution; doubled at each scale, up to eight times.",
    )
    depth: int = Field(
        default=4, ge=2, le=5, title="Depth", description="Scales, each half the one before."
    )
    blocks: int = Field(
        default=2, ge=1, le=3, title="Blocks", description="Residual blocks of each scale."
    )
    attention: bool = Field(
        default=True, title="Attention", description="Whether the deepest scale attends."
    )

    @property
    def channels(self) -> tuple[int, ...]:
        """Of each scale, full resolution first."""
        return tuple(self.width * min(2**scale, 8) for scale in range(self.depth))

    @property
    def stride(self) -> int:
        """What every side of a patch must be a multiple of."""
        return 1 << (self.depth - 1)


def _check_heads(width: int, heads: int) -> None:
    if width % heads:
        raise ValueError(f"a width of {width} cannot be shared among {heads} heads")
