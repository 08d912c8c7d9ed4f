"""Prompts, the instant classifier, prediction."""

from napari_mrissl.features import Cancelled
from napari_mrissl.segmentation.instant import InstantSegmenter, Segmentation, replay, segment
from napari_mrissl.segmentation.journal import PromptJournal, recover
from napari_mrissl.segmentation.prompt_files import read_prompts, write_prompts
from napari_mrissl.segmentation.prompts import PromptClass, PromptPoint, Prompts
from napari_mrissl.segmentation.settings import SegmentSettings
from napari_mrissl.segmentation.warm import prepare

__all__ = [
    "Cancelled",
    "InstantSegmenter",
    "PromptClass",
    "PromptJournal",
    "PromptPoint",
    "Prompts",
    "SegmentSettings",
    "Segmentation",
    "prepare",
    "read_prompts",
    "recover",
    "replay",
    "segment",
    "write_prompts",
]
