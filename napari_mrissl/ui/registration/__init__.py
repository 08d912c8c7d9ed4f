"""The registration widget: one scan brought onto another, and what that is worth."""

from napari_mrissl.ui.registration.widget import RegistrationPanel

__all__ = ["RegistrationPanel"]
