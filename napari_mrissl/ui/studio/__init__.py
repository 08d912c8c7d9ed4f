"""The data engine studio: every stage of a synthetic sample, and every setting behind it."""

from napari_mrissl.ui.studio.widget import DataEngineStudio

__all__ = ["DataEngineStudio"]
