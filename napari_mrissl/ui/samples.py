"""Sample scans of File > Open Sample."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari import current_viewer

from napari_mrissl.ui.layers import image_layer, labels_layer, prepare_viewer

if TYPE_CHECKING:
    from napari_mrissl.volumes.volume import Volume

LayerData = tuple[Any, dict[str, Any], str]


def mni152() -> list[LayerData]:
    """The MNI152 T1 template at 1 mm, from nilearn's package."""
    from napari_mrissl.volumes import samples

    return _opened(samples.mni152(resolution=1))


def mni152_2mm() -> list[LayerData]:
    """The MNI152 T1 template at 2 mm."""
    from napari_mrissl.volumes import samples

    return _opened(samples.mni152(resolution=2))


def mni152_tissues() -> list[LayerData]:
    """The MNI152 T1 template at 1 mm with grey matter, white matter and CSF as labels."""
    return _with_tissues(resolution=1)


def mni152_tissues_2mm() -> list[LayerData]:
    """The MNI152 T1 template at 2 mm with grey matter, white matter and CSF as labels."""
    return _with_tissues(resolution=2)


def phantom() -> list[LayerData]:
    """The generated oblique, anisotropic phantom of known geometry."""
    from napari_mrissl.volumes import samples

    return _opened(samples.phantom())


def _with_tissues(resolution: int) -> list[LayerData]:
    from napari_mrissl.volumes import samples

    scan = samples.mni152(resolution)
    tissues = samples.mni152_tissues(resolution)
    data, settings = labels_layer(
        scan, tissues.data, "MNI152 tissues", features=_names(samples.TISSUE_NAMES), opacity=0.4
    )
    return [*_opened(scan), (data, settings, "labels")]


def _opened(volume: Volume) -> list[LayerData]:
    from napari_mrissl.ui.session import keep

    if (viewer := current_viewer()) is not None:
        prepare_viewer(viewer)
        keep(viewer)
    return [(*image_layer(volume), "image")]


def _names(names: dict[int, str]) -> dict[str, list[Any]]:
    """Label names as napari's status bar shows them."""
    return {"index": [0, *names], "name": ["background", *names.values()]}
