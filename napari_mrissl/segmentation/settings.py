"""The one settings object of instant segmentation."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from napari_mrissl.features import FilterBankSettings
from napari_mrissl.features.settings import FeatureSettings
from napari_mrissl.segmentation.classifiers import DEFAULT

DEFAULT_FEATURES: FeatureSettings = FilterBankSettings()
"""What clicks are classified by until something else is measured better with few labels."""


class SegmentSettings(BaseModel):
    """How prompts become a segmentation.

    Attributes
    ----------
    features
        What the classifier sees: the filter bank, a network, or both.
    classifier
        A name from `classifiers.CLASSIFIERS`.
    probability, uncertainty
        Whether to return these volumes too.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    features: FeatureSettings = DEFAULT_FEATURES
    classifier: str = DEFAULT
    probability: bool = False
    uncertainty: bool = False
