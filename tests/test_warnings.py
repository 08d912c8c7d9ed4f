"""The test settings themselves: a warning raised in the package fails a test."""

import warnings

import pytest


def test_a_warning_raised_in_the_package_is_an_error():
    with pytest.raises(UserWarning, match="ours"):
        warnings.warn_explicit("ours", UserWarning, "f.py", 1, "napari_mrissl.volumes.reading")


@pytest.mark.filterwarnings("ignore:theirs")
def test_a_warning_raised_elsewhere_is_not():
    warnings.warn_explicit("theirs", UserWarning, "f.py", 1, "other")
