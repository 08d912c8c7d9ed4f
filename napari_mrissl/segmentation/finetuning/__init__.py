"""Finetuning: a few labelled scans teach a pretrained (or fresh) network a segmentation.

Nothing here imports torch until something is trained or a network is built. From Python::

    from napari_mrissl.segmentation.finetuning import (
        FinetuneSettings, LabelledInput, SavedSegmenter, finetune
    )
    run = finetune(
        FinetuneSettings(weights="default", mode="full", preset="cpu", seed=0),
        [LabelledInput(image, labels) for image, labels in pairs],
        out=Path("runs/hippocampus"),
        progress=lambda part, said: ...,
        cancelled=lambda: False,
    )
    segmenter = SavedSegmenter.load(run)
    segmenter.classes      # {0: "background", 1: ...}: label -> name, in the order of outputs
    segmenter.spacing      # (S, A, R) mm, or None for each scan's own
    segmenter.stride       # sides of an image are multiples of it, and at least .least_side
    segmenter.limits(volume)  # the values that become 0 and 1, clipped
    segmenter.network()    # torch module: image (N, 1, Z, Y, X) -> logits (N, K, Z, Y, X)

A finetuning is a run like any other (method ``finetune``): folder, events, pause, kill and
resume come from `napari_mrissl.training`. To train in a child process, as the panel does::

    run = prepare(settings, inputs, out)          # checks everything; no torch, but reads scans
    napari_mrissl.training.launch.start(run.folder)
    napari_mrissl.training.launch.stop(run.folder)

`labelled_pairs` finds scans and label maps of the same names in two folders.
"""

from __future__ import annotations

from napari_mrissl.segmentation.finetuning.fitting import finetune, go_on
from napari_mrissl.segmentation.finetuning.inputs import LabelledInput
from napari_mrissl.segmentation.finetuning.pairing import labelled_pairs
from napari_mrissl.segmentation.finetuning.preparing import place_labels, prepare
from napari_mrissl.segmentation.finetuning.saved import SavedSegmenter
from napari_mrissl.segmentation.finetuning.settings import (
    SCRATCH,
    FinetuneSettings,
    chosen_settings,
)
from napari_mrissl.segmentation.finetuning.task_settings import (
    INFO,
    REGISTRY,
    UNLABELLED,
    FinetuneTaskSettings,
    LabelClass,
)

__all__ = [
    "INFO",
    "REGISTRY",
    "SCRATCH",
    "UNLABELLED",
    "FinetuneSettings",
    "FinetuneTaskSettings",
    "LabelClass",
    "LabelledInput",
    "SavedSegmenter",
    "chosen_settings",
    "finetune",
    "go_on",
    "labelled_pairs",
    "place_labels",
    "prepare",
]
