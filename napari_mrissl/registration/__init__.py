"""Registration of two scans: linear alignment, ConvexAdam, warping, and what it is worth."""

from napari_mrissl.registration.costs import Cost
from napari_mrissl.registration.registering import Registration, estimate, register
from napari_mrissl.registration.settings import PRESETS, RegistrationSettings
from napari_mrissl.registration.transform import Transform

__all__ = [
    "PRESETS",
    "Cost",
    "Registration",
    "RegistrationSettings",
    "Transform",
    "estimate",
    "register",
]
