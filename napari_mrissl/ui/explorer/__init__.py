"""Feature explorer: features in colour, correspondence by click, invariance measured."""

from napari_mrissl.ui.explorer.widget import FeatureExplorer

__all__ = ["FeatureExplorer"]
