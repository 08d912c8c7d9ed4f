"""The same anatomy with another appearance: gamma, bias field, noise, blur, inversion."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from scipy.ndimage import gaussian_filter

from napari_mrissl.features.cancel import IsCancelled, stop_if
from napari_mrissl.features.filters import normalised
from napari_mrissl.volumes import Volume


class Recolouring(BaseModel):
    """What changes about how an anatomy looks; places stay where they are.

    Attributes
    ----------
    gamma
        Exponent of the grey values between black and white.
    bias
        Strength of a smooth field of brightness: the largest change, as a logarithm.
    noise
        Standard deviation of noise, as a share of the range from black to white.
    blur_mm
        Standard deviation of a Gaussian blur.
    inverted
        Whether black and white change places.
    seed
        Of the field and the noise.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    gamma: Annotated[float, Field(ge=0.2, le=5)] = 1.0
    bias: Annotated[float, Field(ge=0, le=2)] = 0.0
    noise: Annotated[float, Field(ge=0, le=1)] = 0.0
    blur_mm: Annotated[float, Field(ge=0, le=20)] = 0.0
    inverted: bool = False
    seed: Annotated[int, Field(ge=0)] = 0


def recoloured(volume: Volume, change: Recolouring, cancelled: IsCancelled | None = None) -> Volume:
    """A volume on the same grid whose grey values, from black 0 to white 1, were changed.

    In this order: gamma, inversion, bias field, blur, noise. Values beyond the display's
    range are clipped before the exponent and kept after it.

    Raises
    ------
    Cancelled
        If `cancelled` answered True.
    """
    image = np.clip(normalised(volume, cancelled), 0, 1)
    stop_if(cancelled)
    if change.gamma != 1:
        np.power(image, np.float32(change.gamma), out=image)
    if change.inverted:
        np.subtract(1, image, out=image)
    rng = np.random.default_rng(change.seed)
    if change.bias > 0:
        image *= np.exp(_field(volume.shape, change.bias, rng))
    stop_if(cancelled)
    if change.blur_mm > 0:
        image = gaussian_filter(image, change.blur_mm / volume.spacing, mode="nearest")
    stop_if(cancelled)
    if change.noise > 0:
        image += np.float32(change.noise) * rng.standard_normal(image.shape, np.float32)
    data = np.ascontiguousarray(image, np.float32)
    data.flags.writeable = False
    return replace(
        volume,
        data=data,
        slope=1.0,
        intercept=0.0,
        name=f"{volume.name}, recoloured",
        file_sha256=None,
        notes=(),
        source=None,
    )


def _field(
    shape: tuple[int, int, int], strength: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    """A sum of low-order products of Legendre polynomials, largest value ``strength``."""
    s, a, r = (np.linspace(-1, 1, n) if n > 1 else np.zeros(1) for n in shape)
    coefficients = np.zeros((3, 3, 3))
    for order in np.ndindex(3, 3, 3):
        if 0 < sum(order) <= 2:
            coefficients[order] = rng.uniform(-1, 1)
    field = np.polynomial.legendre.leggrid3d(s, a, r, coefficients)
    return np.asarray(field * (strength / np.abs(field).max()), np.float32)
