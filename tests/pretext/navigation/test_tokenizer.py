"""The task ``tokenizer``: shares of hidden patches, terms against loops, chance, pictures."""

import numpy as np
import pytest
import torch

from napari_mrissl.pretext.navigation.tokenizer import Tokenizer
from napari_mrissl.pretext.task import SampleKey
from tests.pretext.navigation.small import SHAPE, Smooth, tokenizer_settings
from tests.pretext.restoring import Alone, batch_of, terms_of


@pytest.fixture(scope="module")
def task():
    return Tokenizer(tokenizer_settings())


@pytest.fixture
def network(task):
    torch.manual_seed(0)
    return task.network()


def test_shares_of_hidden_patches_are_even_up_to_the_most(task):
    rng = np.random.default_rng(0)
    shares = np.array([task.draw_hidden(rng).mean(axis=(1, 2)) for _ in range(400)]).ravel()
    assert shares.min() == 0
    assert 0.85 < shares.max() <= 0.9 + 0.5 / 16
    counts, _ = np.histogram(shares, bins=3, range=(0, 0.9))
    assert np.abs(counts / counts.sum() - 1 / 3).max() < 0.08


def test_a_sample_is_a_function_of_its_key(task):
    one, same, other = (
        task.sample(Smooth(), SampleKey(0, 1, number)).arrays for number in (2, 2, 3)
    )
    assert one.keys() == same.keys()
    assert all(np.array_equal(one[name], same[name]) for name in one)
    assert not np.array_equal(one["frames"], other["frames"])
    assert not np.array_equal(one["hidden"], other["hidden"])


def test_terms_are_those_of_a_loop(task):
    rng = np.random.default_rng(1)
    true, restored = rng.random((2, 3, 32, 32))
    hidden = rng.random((3, 4, 4)) < 0.4
    terms = task.terms(*(torch.from_numpy(one) for one in (restored, true, hidden)))
    of_hidden, of_seen, of_edges = [], [], []
    for n in range(3):
        mask = np.kron(hidden[n], np.ones((8, 8), bool))
        pasted = np.where(mask, restored[n], true[n])
        for i in range(32):
            for j in range(32):
                squared = (restored[n, i, j] - true[n, i, j]) ** 2
                (of_hidden if mask[i, j] else of_seen).append(squared)
                for k, m in ((i + 1, j), (i, j + 1)):
                    if k < 32 and m < 32 and (mask[i, j] or mask[k, m]):
                        found = pasted[k, m] - pasted[i, j]
                        of_edges.append(abs(found - (true[n, k, m] - true[n, i, j])))
    for name, loop in (("hidden", of_hidden), ("seen", of_seen), ("edges", of_edges)):
        value = float(terms[name].total) / float(terms[name].count)
        assert value == pytest.approx(np.mean(loop), rel=1e-9), name
        assert float(terms[name].count) == len(loop)
    assert [term.weight for term in terms.values()] == [1.0, 1.0, 0.1]


def test_nothing_hidden_is_no_error(task, network):
    batch = batch_of(task, Smooth(), 0, 2)
    batch["hidden"][:] = False
    terms = task.losses(network, batch, Alone())
    for name in ("hidden", "edges"):
        assert float(terms[name].total.detach()) == float(terms[name].count) == 0
    sum(term.total for term in terms.values()).backward()


def test_chance_is_the_better_of_a_constant_and_of_what_is_shown(task):
    chance = task.chance(Smooth(), 0)
    constants, means, blocks = [], [], []
    for number in range(64):
        sample = task.sample(Smooth(), SampleKey(0, -1, number)).arrays
        for frame, hidden in zip(sample["frames"], sample["hidden"], strict=True):
            mask = np.kron(hidden, np.ones((8, 8), bool))
            constants.append(frame[mask])
            means.append(np.square(frame[mask] - frame[~mask].mean()))
            own = frame.reshape(4, 8, 4, 8).mean((1, 3))
            blocks.append(np.square(frame - np.kron(own, np.ones((8, 8))))[~mask])
    best = min(np.concatenate(constants).var(), np.concatenate(means).mean())
    assert chance["hidden"] == pytest.approx(best, rel=0.1)
    assert chance["seen"] == pytest.approx(np.concatenate(blocks).mean(), rel=1e-4)
    assert 0 < chance["edges"] < 1


def test_pictures_show_what_was_hidden(task, network):
    batch = batch_of(task, Smooth(), 0, 2)
    shown = task.show(network.eval(), batch)[0]
    assert shown.captions[::2] == ("input", "masked", "reconstruction", "from the whole slice")
    assert shown.tiles.shape == (8, 32, 32)
    mask = np.kron(batch["hidden"][0, 0].numpy(), np.ones((8, 8), bool))
    assert np.array_equal(np.isnan(shown.tiles[2]), mask)
    assert np.array_equal(shown.tiles[2][~mask], shown.tiles[0][~mask])


def test_the_whole_network_is_the_backbone(task, network):
    assert all(name.startswith("backbone.") for name in network.state_dict())
    assert terms_of(task, network, batch_of(task, Smooth(), 0, 2)).keys() == {
        "hidden", "seen", "edges"
    }  # fmt: skip
    assert task.slices == SHAPE
