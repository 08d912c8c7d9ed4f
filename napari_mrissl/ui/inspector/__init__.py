"""The dock "Inspector": what a pretrained network knows of a scan, one panel for each method."""

from napari_mrissl.ui.inspector.widget import Inspector

__all__ = ["Inspector"]
