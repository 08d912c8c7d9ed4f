"""Rollouts as measures, cycles, and reconstructions beside what their chance says."""

import dataclasses

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio
from slice_networks import dynamics_file, tokenizer_file

from napari_mrissl.evaluation.navigation import reconstructions
from napari_mrissl.evaluation.navigation.world import cycle, flown, measures, numbers, world
from napari_mrissl.evaluation.statistics import interval
from napari_mrissl.networks.slice_encoder import SliceEncoder
from napari_mrissl.pretext.navigation.imagination import Imagination
from napari_mrissl.pretext.navigation.rollout import Apart, Rollout, measure
from napari_mrissl.pretext.navigation.settings import KINDS
from tests.pretext.navigation.small import Smooth


def rollout(kind, latent, shuffled, recalled=0.6):
    errors = {
        h: {
            "imagined": Apart(latent * h, 30.0 - h, 0.9),
            "copied": Apart(0.5 * h, 20.0, 0.5),
            "straight": Apart(0.4 * h, 10.0, 0.6),
            "moved": Apart(0.3 * h, 12.0, 0.7),
        }
        for h in (1, 4, 8)
    }
    astray = 0.4 if kind == "scroll" else 0.6
    return Rollout(kind, 2, errors, latent, 0.5, shuffled, 0.4, astray, recalled, 0.6)


def test_kinds_count_alike_and_chance_is_the_best_answer_that_learned_nothing():
    even = [rollout("walk", 0.2, 0.2, 0.3), rollout("scroll", 0.4, 0.4, 0.3)]
    plain = numbers(even, [rollout("walk", 0.2, 0.3), rollout("scroll", 0.4, 0.4)])
    assert plain["latent_4"] == pytest.approx(1.2)
    assert plain["psnr_8"] == 22.0
    assert plain["shuffle_ratio"] == pytest.approx((1.5 + 1.0) / 2)
    assert plain["shuffle_ratio_walk"] == pytest.approx(1.5)
    found = measures({name: [value, value + 2] for name, value in plain.items()})
    assert found["latent_1"].chance == pytest.approx(0.3 + 1)  # what was moved
    assert found["psnr_1"].chance == pytest.approx(20 + 1)  # the copy
    assert found["ssim_1"].chance == pytest.approx(0.7 + 1)
    # The values are of two people, the second worse by 2.
    assert found["shuffle_ratio_walk"].chance == pytest.approx(1.5 + 1)
    assert found["shuffle_ratio"].chance == pytest.approx((1.5 + 1) / 2 + 1)
    assert found["below_copied_walk"].chance == 1.0  # copying, which here is the better
    for answer in ("moved", "remembered"):
        one = measures({"below_copied": [0.7], f"{answer}_below_copied": [0.8]})
        assert one["below_copied"].chance == 0.8
    # Of even flights by themselves, where memory is the better.
    assert plain["even_shuffle_ratio_walk"] == pytest.approx(1)
    assert found["even_shuffle_ratio_walk"].chance == pytest.approx(2 + 1)
    assert found["even_below_copied_walk"].chance == 1.0
    assert (found["latent_1"].value, found["latent_1"].subjects) == (pytest.approx(1.3), 2)
    assert found["straight_latent_1"].chance is None


def test_worlds_of_a_file_are_those_of_its_rollouts(tmp_path):
    path = dynamics_file(tmp_path)
    found = world(path, Smooth(), seed=2, most=2)
    assert found["latent_8"].subjects == 2
    mind = Imagination.open(path)
    one = [numbers(*(list(measure(mind, flown(Smooth(), k, 2, 2, turns=turns)).values())
                     for turns in (0, 1))) for k in (0, 1)]  # fmt: skip
    turned = found["shuffle_ratio_rotate"].value
    assert turned == pytest.approx(np.mean([x["shuffle_ratio_rotate"] for x in one]))
    assert turned != pytest.approx(found["even_shuffle_ratio_rotate"].value, rel=1e-6)
    assert found["latent_8"].value == pytest.approx(np.mean([x["latent_8"] for x in one]))
    assert {f"shuffle_ratio_{kind}" for kind in KINDS} <= set(found)
    assert found["cycle_error"].value > 0


class Twins(Smooth):
    """Three scans of two people."""

    def scan(self, number):
        return dataclasses.replace(super().scan(number), subject=("a", "b", "a")[number])


def test_two_scans_of_a_person_count_as_one(tmp_path):
    path = dynamics_file(tmp_path)
    found = world(path, Twins(), seed=2)
    own = [measure(Imagination.open(path), flown(Twins(), k, 2, 2)) for k in range(3)]
    parts = [list(one.values()) for one in own]
    first, second, third = [numbers(one, one)["latent_8"] for one in parts]
    people = [(first + third) / 2, second]
    assert found["latent_8"].subjects == found["cycle_error"].subjects == 2
    assert found["latent_8"].value == pytest.approx(np.mean(people))
    low, high = interval(np.array(people))
    assert (found["latent_8"].low, found["latent_8"].high) == pytest.approx((low, high))


def test_what_copies_has_no_cycle_error_and_heeds_nothing(tmp_path):
    imagination = Imagination.open(dynamics_file(tmp_path))
    with torch.no_grad():
        for parameter in imagination.network.dynamics.out[1].parameters():
            parameter.zero_()
    flights = flown(Smooth(), 0, 0, 2, ("walk",))
    # But for what layer norm does to what is normed already.
    assert cycle(imagination, flights) < 1e-3
    (one,) = measure(imagination, flights).values()
    assert one.shuffle_ratio == pytest.approx(1, abs=1e-3)
    assert one.below_copied == pytest.approx(1, abs=1e-3)


def test_reconstructions_by_scikit_image_and_chance_by_a_loop(tmp_path):
    tokenizer = SliceEncoder.open(tokenizer_file(tmp_path)).backbone
    images = np.random.default_rng(0).random((6, 2, 16, 16)).astype(np.float32)
    images[:, 1] = 1
    subjects = np.array([0, 0, 0, 1, 1, 1])
    found = reconstructions.reconstruction(tokenizer, images, subjects)
    hidden = reconstructions.hidden_patches(6, 4, 0.75, 0)
    assert (hidden.sum(axis=(1, 2)) == 12).all()
    told = reconstructions.restored(tokenizer, images, hidden)
    own = [peak_signal_noise_ratio(images[s, 0], told[s], data_range=1.0)
           for s in (slice(0, 3), slice(3, 6))]  # fmt: skip
    assert found["psnr_mask_75"].value == pytest.approx(np.mean(own), abs=1e-4)
    plain = reconstructions.means(images[:, 0], hidden, 4)
    expected = np.empty((16, 16))
    shown = [images[2, 0, 4 * i : 4 * i + 4, 4 * j : 4 * j + 4]
             for i in range(4) for j in range(4) if not hidden[2, i, j]]  # fmt: skip
    for i in range(4):
        for j in range(4):
            patch = images[2, 0, 4 * i : 4 * i + 4, 4 * j : 4 * j + 4]
            expected[4 * i : 4 * i + 4, 4 * j : 4 * j + 4] = (
                np.mean(shown) if hidden[2, i, j] else patch.mean()
            )
    np.testing.assert_allclose(plain[2], expected, atol=1e-6)
