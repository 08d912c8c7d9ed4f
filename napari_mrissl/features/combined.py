"""The filter bank and a network of any kind as one stack of channels."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from napari_mrissl.features.coordinate_maps import CoordinateMapSettings
from napari_mrissl.features.denoiser import DenoiserSettings
from napari_mrissl.features.filter_bank import FilterBankSettings
from napari_mrissl.features.network import NetworkSettings
from napari_mrissl.features.slice_stacks import SliceStackSettings
from napari_mrissl.features.source import register_source, source_for
from napari_mrissl.features.stacked import Stacked

AnyNetwork = Annotated[
    NetworkSettings | SliceStackSettings | DenoiserSettings | CoordinateMapSettings,
    Field(discriminator="kind"),
]


class CombinedSettings(BaseModel):
    """Which filters, and which network.

    Attributes
    ----------
    filters
        Their channels come first.
    network
        Its channels follow.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["combined"] = "combined"
    filters: FilterBankSettings = FilterBankSettings()
    network: AnyNetwork = NetworkSettings()


class Combined(Stacked):
    """Both as a `FeatureSource`.

    Attributes
    ----------
    settings
        With the identity of the weights in place of their name.
    """

    name = "filter bank and network"

    def __init__(self, settings: CombinedSettings) -> None:
        filters, network = source_for(settings.filters), source_for(settings.network)
        super().__init__((filters, network))
        self.version = 1000 * filters.version + network.version
        self.settings = settings.model_copy(update={"network": network.settings})


register_source(CombinedSettings, Combined)
