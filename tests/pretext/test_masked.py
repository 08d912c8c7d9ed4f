"""The masked autoencoder: what is hidden, what counts, what knowing nothing is worth."""

import numpy as np
import pytest
import torch

from napari_mrissl.pretext.masked import Masked
from napari_mrissl.pretext.masked_settings import MaskedSettings
from napari_mrissl.pretext.task import SampleKey
from tests.pretext.painted import Blobs
from tests.pretext.restoring import batch_of, terms_of, train

SMALL = {
    "backbone": {"width": 8, "depth": 3},
    "crop": {"side": 16, "edge_mm": 60},
    "patch": 4,
}


def task(**changes):
    return Masked(MaskedSettings.model_validate({**SMALL, **changes}))


def test_three_quarters_of_the_patches_are_hidden_whole_and_are_zero():
    tried = task()
    seen = set()
    for number in range(8):
        arrays = tried.sample(Blobs(), SampleKey(1, 0, number)).arrays
        hidden = arrays["hidden"][0]
        patches = hidden.reshape(4, 4, 4, 4, 4, 4).transpose(0, 2, 4, 1, 3, 5).reshape(64, 64)
        assert set(patches.sum(axis=1)) == {0, 64}
        assert patches.any(axis=1).sum() == 48
        assert not arrays["image"][0][hidden].any()
        np.testing.assert_array_equal(arrays["image"][0][~hidden], arrays["clean"][0][~hidden])
        seen.add(hidden.tobytes())
    assert len(seen) == 8


def test_only_hidden_voxels_are_learned_from():
    tried = task()
    batch = batch_of(tried, Blobs(), 0, 3)
    raw = torch.randn(batch["image"].shape, requires_grad=True)
    terms = tried.losses(lambda image: raw, batch, None)
    squares = (raw.detach() - batch["clean"]).square().double().numpy()
    hidden = batch["hidden"].numpy()
    for name, where in (("hidden", hidden), ("seen", ~hidden)):
        value = float(terms[name].total.detach()) / float(terms[name].count)
        assert value == pytest.approx(squares[where].mean(), rel=1e-5)
    terms["hidden"].total.backward()
    assert not raw.grad[batch["hidden"].logical_not()].any()
    assert not terms["seen"].total.requires_grad


def test_chance_is_what_the_better_ignorant_answer_gets():
    tried = task()
    batch = batch_of(tried, Blobs(), 0, 128)
    clean, hidden = batch["clean"].double().numpy(), batch["hidden"].numpy()
    constant = clean[hidden].var()
    own = np.mean(
        [np.square(c[h] - c[~h].mean()).mean() for c, h in zip(clean, hidden, strict=True)]
    )
    assert tried.chance(Blobs(), 0)["hidden"] == pytest.approx(min(constant, own), rel=0.25)


def test_a_network_learns_to_fill_in():
    tried = task(patch=2, share=0.4)
    subjects = Blobs()
    network = train(tried, subjects, steps=60, rate=1e-2)
    with torch.no_grad():
        found = terms_of(tried, network, batch_of(tried, subjects, 1000, 16))
    assert found["hidden"] < 0.8 * tried.chance(subjects, 0)["hidden"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"patch": 5}, "two or more whole patches of 5"),
        ({"patch": 16}, "two or more whole patches of 16"),
        ({"patch": 8, "share": 0.01}, "hides none or all"),
    ],
)
def test_patches_that_do_not_fit_are_refused(changes, said):
    with pytest.raises(ValueError, match=said):
        task(**changes)
