"""Real scans and label maps: what was displaced comes back to the same place."""

import numpy as np
import pytest
from data import shared_data
from real_pairs import MOVE_MM, same_person
from warped_pairs import label_cube, warped_pair

from napari_mrissl.registration import PRESETS, RegistrationSettings, register
from napari_mrissl.registration.grids import Grid
from napari_mrissl.registration.scores import fold_share
from napari_mrissl.registration.transform import jacobian
from napari_mrissl.volumes import read

WITHIN_MM = 0.5


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_a_displaced_proton_density_scan_comes_back_onto_the_t1(seed):
    shared_data("brain/chris_t1.nii.gz")
    pair = same_person(shared_data("brain/chris_PD.nii.gz").parents[1], seed)
    places, there = pair.truth
    assert np.linalg.norm(places - there, axis=-1).mean() > 0.6 * MOVE_MM
    settings = pair.settings.model_copy(update={"deformable": False})
    found = register(pair.fixed, pair.moving, settings).transform
    errors = np.linalg.norm(found(places) - there, axis=-1)
    assert errors.mean() <= WITHIN_MM


@pytest.mark.slow
def test_smooth_warps_of_label_maps_are_found():
    maps = sorted(shared_data("label_templates").glob("training_seg_*.nii.gz"))[6:12]
    presets = {"default": RegistrationSettings(), "smooth": PRESETS["smooth"]}
    falls: dict[str, list[float]] = {name: [] for name in presets}
    folds: dict[str, list[float]] = {name: [] for name in presets}
    for index, path in enumerate(maps, 6):
        labels = label_cube(read(path))
        for seed in (100, 101, 102):
            pair = warped_pair(index, seed, labels=labels)
            for name, settings in presets.items():
                plain = settings.model_copy(update={"linear": "none"})
                found = register(pair.fixed, pair.moving, plain).transform
                field = found.displacements(Grid.of(pair.fixed))
                falls[name].append(1 - pair.error(field) / pair.error(0 * field))
                folds[name].append(fold_share(jacobian(field, Grid.of(pair.fixed))))
    assert np.mean(falls["smooth"]) >= 0.6
    assert np.mean(falls["smooth"]) >= np.mean(falls["default"]) + 0.05
    assert max(folds["smooth"] + folds["default"]) <= 0.005
