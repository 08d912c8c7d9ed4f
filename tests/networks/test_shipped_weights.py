"""The weights that ship: whole, small, described, and better than ones that learned nothing."""

import json
import re

import pytest
from data import shared_data

from napari_mrissl.evaluation.frozen_sources import ALL_SCALES
from napari_mrissl.evaluation.score_tables import MEAN
from napari_mrissl.features import compute
from napari_mrissl.features.invariance import measure_invariance
from napari_mrissl.features.network import NetworkSettings
from napari_mrissl.features.of_networks import RANDOM
from napari_mrissl.features.recolouring import Recolouring, recoloured
from napari_mrissl.features.similarity import foreground_sample
from napari_mrissl.networks import weights
from napari_mrissl.networks.weight_library import DEFAULT, load_unet, weights_named
from napari_mrissl.volumes.samples import mni152, mni152_tissues

MOST_BYTES = 15_000_000


@pytest.fixture(scope="module")
def shipped():
    return weights_named(DEFAULT)


@pytest.fixture(scope="module")
def card(shipped):
    return weights.read_card(shipped.path)


def scores(card, source):
    return {
        (row["shots"], row["label"]): row["mean"]
        for row in card["measured"]["rows"]
        if row["source"] == source
    }


def test_they_are_small_and_load(shipped):
    assert shipped.path.stat().st_size <= MOST_BYTES
    network = load_unet(shipped)
    assert network.size == shipped.size
    assert sum(p.numel() for p in network.parameters()) > 100_000


def test_the_card_says_how_they_were_made_and_names_nobody(card, shipped):
    assert card["method"] == "synthesis"
    assert not card["shuffled"]
    assert card["data"]["kind"] == "scans"
    assert "no image of anybody" in card["data"]["what"]
    assert "SynthSeg" in card["data"]["about"]
    assert card["licence"]
    text = shipped.path.with_suffix(".md").read_text(encoding="utf-8")
    for said in (json.dumps(card), text):
        assert not re.search(r"/(home|tmp|root|work|Users)/", said)
        assert "hippocampus_" not in said


def test_held_out_maps_fell_below_chance_at_every_tap(card):
    last = card["curves"]["held_out"][-1]
    chance = card["curves"]["chance"]
    taps = [name for name in chance if name.startswith("tap")]
    assert len(taps) == 5
    for name in taps:
        assert last[name] < 0.95 * chance[name], name


def test_frozen_features_beat_random_ones_in_the_table_of_the_card(card):
    ours, random = (scores(card, f"{name}{ALL_SCALES}") for name in ("contrastive", RANDOM))
    assert ours.keys() == random.keys()
    assert {shots for shots, _ in ours} == {1, 3, 10}
    for shots in (1, 3, 10):
        assert ours[shots, MEAN] > random[shots, MEAN], shots


def test_places_are_found_again_in_a_very_different_appearance():
    """Where little changes, a random network finds more: what it gives follows every voxel."""
    brain, tissues = mni152(resolution=2), mni152_tissues(resolution=2)
    other = recoloured(brain, Recolouring(gamma=2.5, bias=0.8, noise=0.1, seed=1))
    sample = foreground_sample(brain)
    found = {}
    for name in (DEFAULT, RANDOM):
        settings = NetworkSettings(weights=name, width=8, depth=3)
        one, two = (compute(volume, settings).data for volume in (brain, other))
        found[name] = measure_invariance(one, two, sample, brain.spacing, tissues.data)
    ours, random = found[DEFAULT], found[RANDOM]
    assert ours.found > 2 * random.found > 2 * random.chance_found
    assert ours.found_label > random.found_label + 0.1


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_table_comes_out_again(tmp_path, card):
    from napari_mrissl.evaluation.frozen import FrozenSettings, compare
    from napari_mrissl.evaluation.frozen_sources import named
    from napari_mrissl.evaluation.labelled_scans import labelled_scans

    scans = labelled_scans(shared_data("hippocampus"))
    words = [name + ALL_SCALES for name in (DEFAULT, RANDOM)]
    rows = compare(tmp_path, named(words), scans, FrozenSettings(shots=(1, 3)))
    found = {(row.source, row.shots, row.label): row.mean for row in rows}
    source = f"contrastive{ALL_SCALES}"
    for (shots, label), dice in scores(card, source).items():
        if shots in (1, 3):
            assert found[source, shots, label] == pytest.approx(dice, abs=0.005)
