"""From a few labelled scans to the segmentation of every open one, in one dock."""

from napari_mrissl.ui.finetuning.widget import Finetuning

__all__ = ["Finetuning"]
