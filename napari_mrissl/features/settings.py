"""All that can be chosen as features, as one type that pydantic reads from JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, Discriminator, Tag, TypeAdapter, ValidationError

from napari_mrissl.errors import MrisslError
from napari_mrissl.features.combined import CombinedSettings
from napari_mrissl.features.coordinate_maps import CoordinateMapSettings
from napari_mrissl.features.denoiser import DenoiserFeatures, DenoiserSettings
from napari_mrissl.features.filter_bank import FilterBankSettings
from napari_mrissl.features.network import NetworkSettings, network_source
from napari_mrissl.features.slice_stacks import SliceStacks, SliceStackSettings
from napari_mrissl.volumes import Volume


def _kind(content: Any) -> str:
    # Files written before there were other features say no kind.
    if isinstance(content, Mapping):
        return str(content.get("kind", "filter_bank"))
    return str(getattr(content, "kind", "filter_bank"))


FeatureSettings = Annotated[
    Annotated[FilterBankSettings, Tag("filter_bank")]
    | Annotated[NetworkSettings, Tag("network")]
    | Annotated[SliceStackSettings, Tag("slices")]
    | Annotated[DenoiserSettings, Tag("denoiser")]
    | Annotated[CoordinateMapSettings, Tag("coordinates")]
    | Annotated[CombinedSettings, Tag("combined")],
    Discriminator(_kind),
]

_adapter: TypeAdapter[Any] = TypeAdapter(FeatureSettings)


def feature_settings(content: Mapping[str, Any]) -> BaseModel:
    """Settings from what ``model_dump`` made of them.

    Raises
    ------
    MrisslError
        If they are of no kind that is known here.
    """
    try:
        found: BaseModel = _adapter.validate_python(dict(content))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "features"
        raise MrisslError(first["msg"], where=place, expected="settings of features") from error
    return found


def remarks_on(volume: Volume, settings: BaseModel) -> tuple[str, ...]:
    """Sentences that a user should see before trusting these features of this scan.

    Raises
    ------
    MrisslError
        If the weights are unknown.
    """
    if isinstance(settings, CombinedSettings):
        settings = settings.network
    if isinstance(settings, NetworkSettings):
        return network_source(settings).remarks(volume)
    if isinstance(settings, SliceStackSettings):
        return SliceStacks(settings).remarks(volume)
    if isinstance(settings, DenoiserSettings):
        return DenoiserFeatures(settings).remarks(volume)
    return ()
