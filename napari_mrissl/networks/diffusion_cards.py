"""What cards of weights say of body coordinates and the denoiser that they guide, without torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, Field, ValidationError

from napari_mrissl.errors import MrisslError
from napari_mrissl.networks.noise_schedule import Kind, Schedule
from napari_mrissl.networks.settings import BackboneSettings, DenoiserShape

COORDINATES, DIFFUSION = "coordinates", "diffusion"
"""The methods whose weights are read here."""

FREQUENCIES = (0.5, 1.0, 2.0, 4.0)
"""Of the sine and cosine of each coordinate, which is in [0, 1]: 24 channels."""

Encoding = Literal["plain", "waves"]


@dataclass(frozen=True)
class GuidedShape:
    """A denoiser, and the frozen network of coordinates that guides it.

    Attributes
    ----------
    denoiser
        How large it is.
    backbone
        Of the network of coordinates; None for a denoiser that is told of none.
    encoding
        How coordinates go in: three channels, or their sines and cosines.
    film
        Whether those of a patch's middle scale and shift maps too.
    joint
        Whether the deepest map has a head of coordinates.
    """

    denoiser: DenoiserShape
    backbone: BackboneSettings | None = None
    encoding: Encoding = "plain"
    film: bool = False
    joint: bool = False

    @property
    def channels(self) -> int:
        """That go in beside the noisy patch."""
        if self.backbone is None:
            return 0
        return 3 if self.encoding == "plain" else 6 * len(FREQUENCIES)

    @property
    def stride(self) -> int:
        """What sides of patches are multiples of."""
        own = self.denoiser.stride
        return own if self.backbone is None else max(own, self.backbone.stride)


@dataclass(frozen=True)
class DiffusionCard:
    """A denoiser and the patches it was trained on.

    Attributes
    ----------
    shape
        Of the network.
    schedule
        Of the noise.
    side, voxel_mm
        Of patches, along each axis.
    """

    shape: GuidedShape
    schedule: Schedule
    side: int
    voxel_mm: float


@dataclass(frozen=True)
class CoordinateCard:
    """A network of body coordinates and the crops it was trained on.

    Attributes
    ----------
    backbone
        Of the network.
    side
        Voxels along each side of a crop.
    voxel_mm
        Their mean edge.
    """

    backbone: BackboneSettings
    side: int
    voxel_mm: float


class _Patch(BaseModel):
    side: int = Field(ge=4, le=1024)
    voxel_mm: float = Field(gt=0, le=100)


class _Diffusion(BaseModel):
    backbone: BackboneSettings
    denoiser: DenoiserShape
    patch: _Patch
    schedule: Kind
    steps: int = Field(ge=2, le=100_000)
    coordinates: Literal["true", "none", "shuffled"]
    encoding: Encoding
    joint: float
    film: bool


_Spacing = Annotated[float, Field(gt=0, le=100)]


class _Crop(BaseModel):
    side: int = Field(ge=4, le=1024)
    spacing: tuple[_Spacing, _Spacing]


class _Coordinates(BaseModel):
    backbone: BackboneSettings
    crop: _Crop


def diffusion_card(card: Mapping[str, Any]) -> DiffusionCard:
    """The denoiser that a card describes.

    Raises
    ------
    MrisslError
        If it is of another method, or does not say how large it is.
    """
    told = _task(card, DIFFUSION, _Diffusion)
    backbone = None if told.coordinates == "none" else told.backbone
    shape = GuidedShape(told.denoiser, backbone, told.encoding, told.film, told.joint > 0)
    if told.patch.side % shape.stride:
        raise MrisslError(
            f"patches of {told.patch.side} voxels",
            where="card of the weights",
            expected=f"a multiple of {shape.stride}, which the network asks for",
        )
    schedule = Schedule(told.schedule, told.steps)
    return DiffusionCard(shape, schedule, told.patch.side, told.patch.voxel_mm)


def coordinate_card(card: Mapping[str, Any]) -> CoordinateCard:
    """The network of coordinates that a card describes.

    Raises
    ------
    MrisslError
        If it is of another method, or does not say how large it is.
    """
    told = _task(card, COORDINATES, _Coordinates)
    return CoordinateCard(told.backbone, told.crop.side, sum(told.crop.spacing) / 2)


def refuse_frozen(card: Mapping[str, Any], where: str | Path) -> None:
    """Let nothing take the backbone of a denoiser's weights: it is that of the coordinates.

    Raises
    ------
    MrisslError
        If the weights are a denoiser's.
    """
    if card.get("method") == DIFFUSION:
        raise MrisslError(
            "the only backbone of a denoiser is its frozen network of coordinates",
            where=where,
            expected="weights of another method",
            remedy="use its features, which are those of its decoder, or begin with the run of "
            "coordinates itself",
        )


_Told = TypeVar("_Told", bound=BaseModel)


def _task(card: Mapping[str, Any], method: str, kind: type[_Told]) -> _Told:
    if card.get("method") != method:
        raise MrisslError(
            f"weights are of the method {str(card.get('method') or 'none')[:40]}",
            where="weights",
            expected=f"a run of the method {method}",
        )
    try:
        return kind.model_validate(card.get("task"))
    except ValidationError as error:
        raise MrisslError(
            "the card does not say how large the network is",
            where="weights",
            expected="the weights of a run",
        ) from error
