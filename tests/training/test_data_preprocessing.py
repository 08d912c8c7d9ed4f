"""Which values become 0 and 1."""

import numpy as np
import pytest

from napari_mrissl.errors import MrisslError
from napari_mrissl.training.data.preprocessing import (
    CT_WINDOW,
    limits,
    looks_like_ct,
)
from napari_mrissl.training.settings import Preprocessing
from napari_mrissl.volumes import Volume
from tests.data import shared_data


def volume(values: np.ndarray, **changes: float) -> Volume:
    return Volume.from_stored(values, np.eye(4), **changes)


def test_percentiles_of_values_after_slope_and_intercept() -> None:
    values = np.random.default_rng(0).normal(100, 20, (40, 40, 40)).astype(np.float32)
    low, high = limits(volume(values, slope=2.0, intercept=-5.0), Preprocessing(low=2, high=90))
    expected = np.percentile(2.0 * values.astype(np.float64) - 5, (2, 90))
    assert (low, high) == pytest.approx(expected, rel=1e-6)


def test_a_subsample_of_a_large_scan_gives_nearly_the_same() -> None:
    values = np.random.default_rng(0).gamma(2, 100, (150, 150, 150)).astype(np.float32)
    low, high = limits(volume(values), Preprocessing())
    assert (low, high) == pytest.approx(np.percentile(values, (0.5, 99.5)), rel=0.02)


def test_a_window_is_taken_as_it_is() -> None:
    assert limits(volume(np.zeros((3, 3, 3))), CT_WINDOW) == (-1000.0, 1000.0)


def test_a_constant_scan_has_limits_apart() -> None:
    low, high = limits(volume(np.full((4, 4, 4), 7, np.int16)), Preprocessing())
    assert low < high


@pytest.mark.parametrize(
    "wrong",
    [
        Preprocessing(low=5, high=5),
        Preprocessing(low=-1, high=99),
        Preprocessing(low=1, high=101),
        Preprocessing(kind="window", low=100, high=-100),
        Preprocessing(kind="window", low=float("nan"), high=1),
    ],
)
def test_limits_that_are_none_are_refused(wrong: Preprocessing) -> None:
    with pytest.raises(MrisslError, match="Intensity scale"):
        limits(volume(np.zeros((3, 3, 3))), wrong)


def test_a_real_ct_is_told_from_a_real_mr() -> None:
    from napari_mrissl.volumes import read

    assert looks_like_ct(read(shared_data("body/example_ct.nii.gz")))
    assert not looks_like_ct(read(shared_data("body/example_mr.nii.gz")))
