"""How much noise there is at each step: `napari_mrissl.networks.noise_schedule`."""

from napari_mrissl.networks.noise_schedule import Floats, Kind, Prediction, Schedule, optimum

__all__ = ["Floats", "Kind", "Prediction", "Schedule", "optimum"]
