"""The one settings object of instant segmentation."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from napari_mrissl.features import FilterBankSettings
from napari_mrissl.segmentation.classifiers import DEFAULT


class SegmentSettings(BaseModel):
    """How prompts become a segmentation.

    Attributes
    ----------
    features
        What the classifier sees.
    classifier
        A name from `classifiers.CLASSIFIERS`.
    probability, uncertainty
        Whether to return these volumes too.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    features: FilterBankSettings = FilterBankSettings()
    classifier: str = DEFAULT
    probability: bool = False
    uncertainty: bool = False
