"""How corresponding places of two scans are found, as one typed settings object; without torch."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from napari_mrissl.features.filter_bank import FilterBankSettings
from napari_mrissl.features.of_weights import settings_of
from napari_mrissl.features.similarity import Comparison
from napari_mrissl.networks.weight_library import DEFAULT

APART_MM = 10.0
"""How far from the best match another one must be to be its rival."""


class MatchSettings(BaseModel):
    """What is compared, and which matches are trusted.

    Attributes
    ----------
    features
        A network's, or MIND's.
    weights
        Of the network, as for `NetworkSettings.weights`.
    decoder
        Whether a plain U-Net's features of all scales count, which know more of the surroundings.
    spacing_mm
        Of the cubes, along the axes of world, to which both scans are brought before features are
        taken, so that networks see both at one size and upright; 0 for the coarser scan's mean.
    count
        Landmarks wanted, at most.
    mutual_mm
        How far from where it began the way back may end.
    apart_mm
        See `correspondence.Correspondence`.
    least_confidence
        Landmarks below are left out.
    memory_mib
        For similarities that are there at one time.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    features: Literal["network", "mind"] = Field(default="network", title="Features")
    weights: str = Field(default=DEFAULT, min_length=1, max_length=4096, title="Weights")
    decoder: bool = Field(default=True, title="All scales")
    spacing_mm: float = Field(default=0.0, ge=0, le=20, title="Grid (mm)")
    count: int = Field(default=200, ge=4, le=10_000, title="Landmarks")
    mutual_mm: float = Field(default=3.0, ge=0, le=100, title="Way back (mm)")
    apart_mm: float = Field(default=APART_MM, gt=0, le=200, title="Rivals from (mm)")
    least_confidence: float = Field(default=0.0, ge=0, lt=1, title="Least confidence")
    memory_mib: float = Field(default=128.0, ge=1, le=65_536, title="Memory (MiB)")

    @property
    def comparison(self) -> Comparison:
        """MIND's channels are all above 0, so that without their means all places are alike."""
        return "standardised" if self.features == "mind" else "plain"

    def feature_settings(self) -> BaseModel:
        """What `features.compute` takes.

        Raises
        ------
        MrisslError
            If there are no such weights.
        """
        if self.features == "mind":
            return FilterBankSettings(groups=("mind",))
        options: dict[str, Any] = {}
        found = settings_of(self.weights)
        if self.decoder and "scales" in type(found).model_fields:
            options["scales"] = "decoder"
        return settings_of(self.weights, **options) if options else found
