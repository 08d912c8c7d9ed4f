"""Maps of a denoiser's decoder, and body coordinates, on a volume's own grid."""

import numpy as np
import pytest
import torch
from guided_networks import coordinates_file, denoiser, denoiser_file
from pydantic import ValidationError
from scipy import ndimage

from napari_mrissl.errors import MrisslError
from napari_mrissl.evaluation.frozen_sources import named, parted
from napari_mrissl.features import (
    Cancelled,
    CoordinateMapSettings,
    DenoiserSettings,
    compute,
    source_for,
)
from napari_mrissl.features.of_weights import settings_of
from napari_mrissl.features.settings import feature_settings, remarks_on
from napari_mrissl.networks.coordinate_network import CoordinateNetwork
from napari_mrissl.networks.weight_library import weights_named
from napari_mrissl.networks.weights import load
from napari_mrissl.pretext.crops import cut_box
from napari_mrissl.pretext.subjects import Scan
from napari_mrissl.segmentation.finetuning.starting import start_of
from napari_mrissl.training import initial
from napari_mrissl.volumes import Volume
from tests.pretext.diffusion.small import small_diffusion

SIDE = 16


def smooth(shape, spacing=(1.5, 1.5, 1.5), seed=0):
    """A volume (S, A, R), int16, with a slope."""
    noise = np.random.default_rng(seed).random(shape[::-1])
    values = (2000 * ndimage.gaussian_filter(noise, 2.0)).astype(np.int16)
    return Volume.from_stored(values, np.diag([*spacing[::-1], 1.0]), name="smooth")


def shared(seed=0):
    """The noise of a patch."""
    return np.random.default_rng(seed).standard_normal((SIDE,) * 3, np.float32)


def in_range(volume):
    """The scan as its ends, by which a training would prepare it."""
    low, high = volume.value_range(0.5, 99.5)
    return Scan(volume, low, high, "someone", volume.identity)


def decoded(network, clean, noise, step, *, zeroed=False):
    """Maps of a patch (Z, Y, X) in [0, 1], one pass of the whole network."""
    patch = torch.from_numpy(2 * clean - 1)[None, None]
    a, s = network.signal[step].float(), network.noise[step].float()
    noisy = a * patch + s * torch.from_numpy(noise)[None, None]
    with torch.no_grad():
        where = None if zeroed else network.where(patch)
        return network.denoised(noisy, torch.tensor([step]), where).decoder


@pytest.mark.parametrize(
    "task",
    [
        {},
        {"coordinates": "none"},
        {"encoding": "waves", "film": True, "joint": 0.5, "schedule": "cosine"},
    ],
)
def test_features_of_one_patch_are_those_of_the_plain_network(tmp_path, task):
    network = denoiser(**task)
    path = denoiser_file(tmp_path, network)
    volume = smooth((SIDE,) * 3)
    step = network.settings.steps // 5
    found = compute(volume, DenoiserSettings(weights=str(path), step=step, scales="decoder"))
    low, high = volume.value_range(0.5, 99.5)
    clean = ((volume.data - low) / (high - low)).clip(0, 1).astype(np.float32)
    maps = decoded(network, clean, shared(), step)
    expected = [
        torch.nn.functional.interpolate(m, size=(SIDE,) * 3, mode="trilinear", align_corners=False)
        for m in reversed(maps)
    ]
    expected = torch.cat(expected, dim=1)[0].numpy()
    assert found.data.shape == (8 + 16 + 32, SIDE, SIDE, SIDE)
    assert found.names[0] == "level 2 feature 0"
    assert found.names[-1] == "level 0 feature 31"
    assert expected.std(axis=(1, 2, 3)).min() > 1e-3
    np.testing.assert_allclose(found.data, expected, atol=2e-4)


def test_patches_overlap_and_are_averaged_at_the_resolution_of_each_map(tmp_path):
    network = denoiser()
    path = denoiser_file(tmp_path, network)
    volume = smooth((30, 22, 26), (1.2, 2.0, 1.4))
    settings = DenoiserSettings(weights=str(path), snr_db=5.0, level=1, noise_seed=3)
    source = source_for(settings)
    grid = source.grid(volume)
    assert grid.shape == (24, 32, 28)
    np.testing.assert_allclose(grid.spacing, 1.5)
    scan, image = in_range(volume), np.empty(grid.shape, np.float32)
    extent = np.array(volume.shape) * volume.spacing
    beyond = (np.array(grid.shape) * 1.5 - extent) / 2 / volume.spacing
    cut_box(scan, tuple(-0.5 - beyond), tuple(np.array(volume.shape) - 0.5 + beyond), image)
    tile = shared(3)
    noise = np.tile(tile, (2, 2, 2))[: grid.shape[0], : grid.shape[1], : grid.shape[2]]
    sums, counts = np.zeros((16, 12, 16, 14)), np.zeros((12, 16, 14))
    begins = ((0, 8), (0, 8, 16), (0, 8, 12))
    assert grid.places == [(z, y, x) for z in begins[0] for y in begins[1] for x in begins[2]]
    for z, y, x in grid.places:
        box = np.s_[z : z + SIDE, y : y + SIDE, x : x + SIDE]
        patch, own = np.ascontiguousarray(image[box]), np.ascontiguousarray(noise[box])
        maps = decoded(network, patch, own, source.step)
        half = np.s_[z // 2 : z // 2 + 8, y // 2 : y // 2 + 8, x // 2 : x // 2 + 8]
        sums[:, *half] += maps[1][0].numpy()
        counts[half] += 1
    assert counts.min() == 1
    assert counts.max() == 12
    lattice = [
        ((np.arange(n) + 0.5 + b) * s / 3.0 - 0.5)
        for n, b, s in zip(volume.shape, beyond, volume.spacing, strict=True)
    ]
    places = np.stack(np.meshgrid(*lattice, indexing="ij"))
    expected = [ndimage.map_coordinates(m, places, order=1, mode="nearest") for m in sums / counts]
    found = compute(volume, settings)
    np.testing.assert_allclose(found.data, expected, atol=2e-4)


def test_heads_need_no_channel_on_every_voxel(tmp_path, monkeypatch):
    from napari_mrissl.evaluation import frozen, linear_head, nonlinear_head
    from napari_mrissl.features import pyramids

    volume = smooth((30, 22, 26), (1.2, 2.0, 1.4))
    settings = DenoiserSettings(weights=str(denoiser_file(tmp_path)), scales="decoder")
    data = compute(volume, settings).data
    chosen = np.random.default_rng(0).choice(volume.data.size, 500, replace=False)
    rows = pyramids.pyramid_of(volume, settings).rows(chosen)
    np.testing.assert_allclose(rows, data.reshape(56, -1)[:, chosen].T, atol=1e-5)
    monkeypatch.setattr(pyramids, "_SLAB_BYTES", 4 * 3 * 22 * 26 * 7)
    matrix = np.random.default_rng(1).normal(size=(3, 56))
    slabs = list(pyramids.pyramid_of(volume, settings).mixed(matrix))
    assert [slab.stop - slab.start for slab, _ in slabs] == [7, 7, 7, 7, 2]
    mixed = np.concatenate([part for _, part in slabs], axis=1)
    np.testing.assert_allclose(mixed, np.tensordot(matrix, data, 1), atol=1e-4)
    labels = (data.reshape(56, -1)[3, chosen] > np.median(data[3])).astype(np.int64)
    labels[data.reshape(56, -1)[20, chosen] > np.quantile(data[20], 0.8)] = 2
    for kind in (linear_head, nonlinear_head):
        head = kind.fit([rows], [labels])
        whole = head.predict(data)
        assert len(np.unique(whole)) == 3
        # Voxels between two labels may be rounded to either.
        assert np.mean(frozen.predicted(head, volume, settings) != whole) < 1e-3
    normalised = settings.model_copy(update={"normalise": "l2"})
    assert pyramids.pyramid_of(volume, normalised) is None
    assert frozen.predicted(head, volume, normalised).shape == volume.shape


def test_noise_is_chosen_in_decibels_or_steps_and_coordinates_are_left_out(tmp_path):
    path = denoiser_file(tmp_path)
    volume = smooth((SIDE,) * 3)
    usual = source_for(DenoiserSettings(weights=str(path)))
    # 9.3 dB at step 100, by the table of the method.
    assert 90 < usual.step < 100
    same = source_for(DenoiserSettings(weights=str(path), step=usual.step))
    assert same.settings == usual.settings
    assert abs(source_for(DenoiserSettings(weights=str(path), snr_db=9.3)).step - 100) <= 1
    true = compute(volume, usual.settings).data
    zeroed = DenoiserSettings(weights=str(path), coordinates="zeroed")
    told = compute(volume, zeroed).data
    assert np.abs(true - told).max() > 1e-2
    low, high = volume.value_range(0.5, 99.5)
    clean = ((volume.data - low) / (high - low)).clip(0, 1).astype(np.float32)
    alone = decoded(denoiser(), clean, shared(), usual.step, zeroed=True)[-1][0]
    np.testing.assert_allclose(told, alone.numpy(), atol=2e-4)
    noisier = compute(volume, DenoiserSettings(weights=str(path), snr_db=-5.0)).data
    assert np.abs(noisier - true).max() > 1e-2
    normal = compute(volume, DenoiserSettings(weights=str(path), normalise="l2")).data
    np.testing.assert_allclose(np.linalg.norm(normal, axis=0), 1, atol=1e-4)
    assert feature_settings(usual.settings.model_dump(mode="json")) == usual.settings


def test_a_denoiser_before_training_keeps_its_coordinates(tmp_path):
    from napari_mrissl.networks.guided_denoiser import GuidedDenoiser

    path = denoiser_file(tmp_path)
    trained, drawn, other = (GuidedDenoiser.open(path, drawn=n) for n in (None, 0, 1))
    for name, tensor in trained.state_dict().items():
        same = torch.equal(tensor, drawn.state_dict()[name])
        assert same or name.startswith("denoiser."), name
    first = trained.denoiser.begin.weight, drawn.denoiser.begin.weight, other.denoiser.begin.weight
    assert not torch.equal(first[0], first[1])
    assert not torch.equal(first[1], first[2])
    volume = smooth((SIDE,) * 3)
    found = [compute(volume, settings_of(str(path), untrained=n)).data for n in (None, 0, 0)]
    assert not np.allclose(found[0], found[1])
    np.testing.assert_array_equal(found[1], found[2])


def test_coordinates_are_those_of_the_network_in_its_crops(tmp_path):
    path = coordinates_file(tmp_path)
    volume = smooth((SIDE,) * 3)
    found = compute(volume, settings_of(str(path), intensity=True))
    low, high = volume.value_range(0.5, 99.5)
    clean = ((volume.data - low) / (high - low)).clip(0, 1).astype(np.float32)
    state, card = load(path)
    from napari_mrissl.networks.settings import BackboneSettings

    network = CoordinateNetwork(BackboneSettings.model_validate(card["task"]["backbone"]))
    network.load_state_dict(state)
    with torch.no_grad():
        expected = network.eval().voxels(torch.from_numpy(clean)[None])[0].numpy()
    assert found.names == ("coordinate 1", "coordinate 2", "coordinate 3", "intensity")
    assert expected.std() > 1e-3
    np.testing.assert_allclose(found.data[:3], expected, atol=2e-5)
    np.testing.assert_allclose(found.data[3], clean, atol=1e-6)
    # Longer than a crop: several of them, each axis with its own edge.
    longer = smooth((20, 40, 12), seed=1)
    maps = source_for(CoordinateMapSettings(weights=str(path)))
    assert len(maps.grid(longer).places) > 2
    np.testing.assert_allclose(maps.grid(longer).spacing, [1.5, 1.5, 18 / 16])
    data = compute(longer, maps.settings).data
    assert data.shape == (3, 20, 40, 12)
    assert 0 <= data.min() < data.max() <= 1
    plain = compute(volume, settings_of(str(path), normalise="standardised"))
    np.testing.assert_allclose(plain.data.mean(axis=0), 0, atol=1e-4)
    drawn = [compute(volume, settings_of(str(path), untrained=seed)).data for seed in (1, 1, 2)]
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert not np.allclose(drawn[0], drawn[2])


def test_words_of_comparisons_choose_scales_noise_and_coordinates(tmp_path):
    run = denoiser_file(tmp_path / "run")
    first = coordinates_file(tmp_path / "first")
    assert parted(f"{run}+scales+5dB+zeroed") == (str(run), "scales+5dB+zeroed")
    assert parted("no+such") == ("no+such", "")
    words = [f"{run}", f"{run}+scales+5dB+zeroed", f"{run}+t100", f"{first}+intensity", "random"]
    plain, scaled, stepped, grey, *drawn = named(words)
    assert scaled.name == f"{plain.name}+scales+5dB+zeroed"
    assert (scaled.settings.scales, scaled.settings.coordinates) == ("decoder", "zeroed")
    assert (stepped.settings.step, grey.settings.intensity) == (100, True)
    assert [one.settings.untrained for one in drawn] == [0, 1, 2]
    assert {one.name for one in drawn} == {"random"}
    assert {one.word for one in drawn} == {"random"}
    assert len({one.identity for one in drawn}) == 3
    with pytest.raises(MrisslError, match=r"\+each behind these weights.*\+zeroed or \+10dB"):
        named([f"{run}+each"])
    with pytest.raises(MrisslError, match=r"\+scales behind these weights.*\+intensity"):
        named([f"{first}+scales"])


def test_what_cannot_be_had_is_said(tmp_path):
    path = str(denoiser_file(tmp_path / "run"))
    alone = str(denoiser_file(tmp_path / "alone", denoiser(coordinates="none")))
    with pytest.raises(MrisslError, match="never told coordinates"):
        source_for(DenoiserSettings(weights=alone, coordinates="zeroed"))
    with pytest.raises(MrisslError, match=r"step 1000.*0 to 999"):
        source_for(DenoiserSettings(weights=path, step=1000))
    with pytest.raises(MrisslError, match=r"level 3.*0 to 2"):
        source_for(DenoiserSettings(weights=path, level=3))
    with pytest.raises(ValidationError, match="exclude each other"):
        DenoiserSettings(weights=path, step=3, snr_db=3.0)
    with pytest.raises(ValidationError, match="exclude each other"):
        DenoiserSettings(weights=path, level=1, scales="decoder")
    with pytest.raises(MrisslError, match="method diffusion"):
        CoordinateMapSettings(weights=path)
    with pytest.raises(MrisslError, match="method coordinates"):
        DenoiserSettings(weights=str(coordinates_file(tmp_path / "first")))
    damaged = str(denoiser_file(tmp_path / "damaged", task={"patch": 3}))
    with pytest.raises(MrisslError, match="does not say how large"):
        DenoiserSettings(weights=damaged)
    flat = Volume.from_stored(np.zeros((SIDE,) * 3, np.int16), np.eye(4), name="flat")
    with pytest.raises(MrisslError, match="same value"):
        compute(flat, DenoiserSettings(weights=path))
    with pytest.raises(Cancelled):
        compute(smooth((SIDE,) * 3), DenoiserSettings(weights=path), cancelled=lambda: True)


def test_a_short_scan_is_remarked_on(tmp_path):
    settings = DenoiserSettings(weights=str(denoiser_file(tmp_path)))
    assert remarks_on(smooth((SIDE,) * 3), settings) == ()
    (said,) = remarks_on(smooth((8, 20, 20), (1.0, 1.0, 1.0)), settings)
    assert "0.5 mm" in said
    assert "1.5 mm" in said


def test_nothing_takes_the_frozen_backbone_of_a_denoiser(tmp_path):
    # A plain U-Net: else its layout alone would have been refused.
    plain = {"name": "unet", "width": 16, "depth": 3}
    path = denoiser_file(tmp_path, denoiser(backbone=plain))
    with pytest.raises(MrisslError, match="frozen network of coordinates"):
        start_of(str(tmp_path))
    with pytest.raises(MrisslError, match="frozen network of coordinates"):
        weights_named(path)
    settings = small_diffusion().model_copy(update={"method": "reconstruction"})
    with pytest.raises(MrisslError, match="frozen network of coordinates"):
        initial.remarks(path, settings)
