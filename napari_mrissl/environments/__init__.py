"""Gymnasium environments over (volume, pose): fly a slice to a plane by actions of ours.

Importing this package registers ``napari_mrissl/SlicePlane-v0``, for `gymnasium.make` and,
side by side, `gymnasium.make_vec`. Task, limits and ways to measure are those of the benchmark
of planes in `napari_mrissl.evaluation.navigation`.

Raises
------
MrisslError
    If gymnasium is not installed.
"""

from napari_mrissl.environments.scenes import Scene, displaced_heads
from napari_mrissl.trajectories.exchange.optional import needed

SLICE_PLANE = "napari_mrissl/SlicePlane-v0"

__all__ = ["SLICE_PLANE", "Scene", "displaced_heads"]


def _register() -> None:
    gymnasium = needed("gymnasium", "gym")
    if SLICE_PLANE not in gymnasium.registry:
        gymnasium.register(
            SLICE_PLANE,
            entry_point="napari_mrissl.environments.slice_plane:SlicePlane",
            vector_entry_point="napari_mrissl.environments.side_by_side:SlicePlanes",
        )


_register()
