"""One instant classifier for several scans, beside that of the panel."""

import numpy as np
import pytest
from evaluation.labelled_folder import voxels

from napari_mrissl import features
from napari_mrissl.errors import MrisslError
from napari_mrissl.features import Cancelled, FilterBankSettings
from napari_mrissl.metrics import dice
from napari_mrissl.segmentation import InstantSegmenter, Prompts, SegmentSettings
from napari_mrissl.segmentation.several_scans import PromptedScan, beliefs
from napari_mrissl.volumes import Volume

SETTINGS = SegmentSettings(uncertainty=True)


def clicked(number, marked):
    """A scan of balls with three clicks a class, or none; and its truth, background 3."""
    values, labels = voxels(number)
    volume, truth = (Volume.from_stored(array, np.eye(4)) for array in (values, labels))
    truth = np.where(truth.data == 0, 3, truth.data)
    rng = np.random.default_rng(number)
    places = [rng.choice(np.argwhere(truth == k), 3, False) for k in (1, 2, 3)]
    world = np.concatenate(places) @ volume.affine[:3, :3].T + volume.affine[:3, 3]
    prompts = Prompts.from_arrays(world, np.repeat((1, 2, 3), 3)) if marked else Prompts()
    stack = features.compute(volume, SETTINGS.features)
    return PromptedScan(volume, stack, prompts), truth


def test_of_one_scan_it_is_the_panels():
    scan, _ = clicked(1, True)
    (found,) = beliefs([scan])
    segmenter = InstantSegmenter(scan.volume, scan.stack, SETTINGS).fit(scan.prompts)
    wanted = segmenter.predict_volume()
    np.testing.assert_array_equal(found.labels, wanted.labels)
    np.testing.assert_array_equal(found.uncertainty, wanted.uncertainty)


def test_clicks_in_one_scan_segment_another():
    one, _ = clicked(1, True)
    other, truth = clicked(2, False)
    told = []
    found = beliefs([one, other], progress=lambda part, name: told.append(part))
    assert np.mean(list(dice(found[1].labels, truth, (1, 2)).values())) > 0.7
    assert told == sorted(told)
    assert told[-1] == pytest.approx(1)
    both, _ = clicked(2, True)
    assert not np.array_equal(beliefs([one, both])[0].uncertainty, found[0].uncertainty)


def test_what_does_not_fit_is_refused():
    one, _ = clicked(1, True)
    other, _ = clicked(2, False)
    with pytest.raises(MrisslError, match="prompts of 0 classes in 1 scans"):
        beliefs([other])
    with pytest.raises(MrisslError, match="no scans"):
        beliefs([])
    grey = features.compute(other.volume, FilterBankSettings(groups=("intensity",)))
    with pytest.raises(MrisslError, match="different features"):
        beliefs([one, PromptedScan(other.volume, grey)])
    with pytest.raises(MrisslError, match="features belong to another scan"):
        PromptedScan(other.volume, one.stack)
    foreign = one.prompts.model_copy(update={"volume_identity": one.volume.identity})
    with pytest.raises(MrisslError, match="placed on another scan"):
        PromptedScan(other.volume, other.stack, foreign)
    with pytest.raises(Cancelled):
        beliefs([one], cancelled=lambda: True)
