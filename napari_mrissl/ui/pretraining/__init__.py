"""Pretraining from the viewer: settings, a run that goes on by itself, live curves, all runs."""

from napari_mrissl.ui.pretraining.widget import Pretraining

__all__ = ["Pretraining"]
