"""What words on the command line of a comparison stand for."""

import dataclasses

import pytest
from evaluation.labelled_folder import make
from evaluation.unet_runs import unet_run

from napari_mrissl.errors import MrisslError
from napari_mrissl.evaluation import frozen
from napari_mrissl.evaluation.frozen import RANDOM_SEEDS, FrozenSettings
from napari_mrissl.evaluation.frozen_sources import named, random_network
from napari_mrissl.evaluation.labelled_scans import labelled_scans
from napari_mrissl.features.network import NetworkFeatures
from napari_mrissl.networks.unet_layout import UNetSize

SMALL = UNetSize(width=2, depth=3)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return unet_run(tmp_path_factory.mktemp("runs") / "run")


def test_scales_behind_weights_are_features_of_the_whole_decoder(run):
    place = str(run.folder)
    plain, all_scales = named([place, f"{place}+scales"])
    assert (plain.settings.scales, all_scales.settings.scales) == ("output", "decoder")
    assert all_scales.settings.weights == plain.settings.weights
    assert all_scales.name == f"{plain.name}+scales"
    assert all_scales.identity != plain.identity


def test_random_networks_have_the_size_of_the_weights_beside_them(run):
    sources = named(["random", "random+scales", str(run.folder)])
    drawn = [source.settings for source in sources[:-1]]
    assert {(one.width, one.depth) for one in drawn} == {(8, 2)}
    assert [one.seed for one in drawn] == 2 * [*range(RANDOM_SEEDS)]
    assert [one.scales for one in drawn] == RANDOM_SEEDS * ["output"] + RANDOM_SEEDS * ["decoder"]


def test_networks_of_another_version_are_other_sources(run, monkeypatch):
    words = [str(run.folder), "random"]
    before = [source.identity for source in named(words)]
    monkeypatch.setattr(NetworkFeatures, "version", NetworkFeatures.version + 1)
    after = [source.identity for source in named(words)]
    assert len(before) == len(after) == 1 + RANDOM_SEEDS
    assert not set(before) & set(after)


@pytest.mark.parametrize("word", ["filters+scales", "intensity+scales", "+scales"])
def test_scales_are_those_of_networks(word):
    with pytest.raises(MrisslError):
        named([word])


def test_the_same_weights_twice_are_refused(run):
    with pytest.raises(MrisslError, match="two of them are the same weights"):
        named([str(run.folder), str(run.folder / "weights.safetensors")])


def test_what_is_learned_is_compared_with_random_weights_of_as_many_scales(tmp_path):
    scans = labelled_scans(make(tmp_path / "labelled", 4))
    sources = [random_network(seed, SMALL, scales)
               for seed in (0, 1) for scales in ("output", "decoder")]  # fmt: skip
    sources[2:] = [dataclasses.replace(one, name=one.name.replace("random", "learned"))
                   for one in sources[2:]]  # fmt: skip
    settings = FrozenSettings(shots=(1,), draws=1, test=2, voxels=2000)
    rows = frozen.compare(tmp_path / "out", sources, scans, settings)
    text = (tmp_path / "out" / "table.md").read_text("utf-8")
    assert "Differences are from random, of all scales where the source has them" in text
    means = {row.source: row for row in rows if row.label == "mean"}
    for behind in ("", "+scales"):
        own, reference = means[f"learned{behind}"], means[f"random{behind}"]
        assert own.difference == pytest.approx(own.mean - reference.mean)
        assert reference.difference is None
