"""The pool of shapes: what it keeps, and what it refuses in one sentence."""

import tracemalloc

import nibabel
import numpy as np
import pytest
from data import shared_data
from pydantic import ValidationError

from napari_mrissl.errors import MrisslError
from napari_mrissl.synthesis import EngineSettings, EnsembleSettings, Templates
from napari_mrissl.synthesis.head_templates import subjects_of_folder

CUBES = (1.0, 1.0, 1.0)


def two_labels() -> np.ndarray:
    labels = np.zeros((20, 24, 30), np.int16)
    labels[2:7, 3:9, 4:15] = 700
    labels[10:12, 20:24, 29] = 3
    return labels


def save(path, labels, spacing=CUBES):
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(labels, np.diag([*spacing, 1])), path)


def test_every_label_is_a_shape_cut_to_its_box():
    pool = Templates.from_arrays([(two_labels(), CUBES)])
    assert pool.extents.tolist() == [[2, 4, 1], [5, 6, 11]]
    assert all(pool[k].all() for k in range(2))
    assert np.array_equal(pool[-1], pool[1])


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 4, 8), (5, 2, 9), (7, 7, 23)])
def test_bits_come_back(shape):
    mask = np.random.default_rng(1).random(shape) < 0.5
    mask[0, 0, 0] = mask[-1, -1, -1] = True
    pool = Templates.from_masks([mask, mask])
    assert np.array_equal(pool[1], mask)
    assert pool.bits.nbytes == 2 * shape[0] * shape[1] * -(-shape[2] // 8)


def test_whole_floating_point_numbers_and_large_labels_are_labels():
    floats = Templates.from_arrays([(two_labels().astype(np.float32), CUBES)])
    large = Templates.from_arrays([(two_labels().astype(np.int64) * 10**9, CUBES)])
    plain = Templates.from_arrays([(two_labels(), CUBES)])
    assert floats.identity == large.identity == plain.identity


def test_flat_voxels_become_cubes():
    ball = np.indices((30, 30, 10)) - np.array([15, 15, 5])[:, None, None, None]
    flat = ball * np.array([1, 1, 3])[:, None, None, None] ** 1.0
    inside = (flat**2).sum(0) <= 12**2
    extents = Templates.from_arrays([(inside, (1, 1, 3))]).extents[0]
    assert np.ptp(extents) <= 2


def test_a_folder_of_maps_and_masks(tmp_path):
    save(tmp_path / "maps" / "one.nii.gz", two_labels())
    body = tmp_path / "s0001" / "segmentations"
    mask = np.zeros((20, 24, 30), np.uint8)
    mask[4, 4, 4:9] = 1
    save(body / "liver.nii.gz", mask)
    save(body / "empty.nii.gz", 0 * mask)
    save(body / "rib_left_1.nii.gz", mask)
    save(body / "rib_left_2.nii.gz", np.roll(mask, 5, 0))
    save(tmp_path / "s0001" / "ct.nii.gz", np.random.default_rng(0).normal(size=(5, 5, 5)))
    seen = []
    pool = Templates.from_folder(tmp_path, progress=seen.append)
    # The reader's axes run from foot to head, back to front, left to right.
    assert sorted(map(tuple, pool.extents.tolist())) == [
        (1, 4, 2),
        (5, 1, 1),
        (5, 1, 6),
        (11, 6, 5),
    ]
    assert seen == sorted(seen)
    assert seen[-1] == 1


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        (np.random.default_rng(0).normal(size=(9, 9, 9)), "no whole numbers"),
        (np.full((9, 9, 9), np.nan), "no whole numbers"),
        (np.ones((9, 9, 9), np.uint8), "the one label 1 everywhere"),
        (np.zeros((9, 9, 9), np.uint8), "no labels"),
        (np.ones((9, 9), np.uint8), "2 axes"),
        (np.ones((2, 9, 9, 9), np.uint8), "4 axes"),
        (-two_labels(), "the label -700"),
        (np.random.default_rng(0).integers(250, size=(30, 30, 30)), "image"),
        (two_labels().astype(complex), "complex"),
    ],
)
def test_what_is_no_label_map_is_refused_in_one_sentence(labels, says):
    with pytest.raises(MrisslError, match=says) as caught:
        Templates.from_arrays([(labels, CUBES)])
    assert str(caught.value).count(". ") == 0


def test_folders_without_label_maps_and_pools_too_large_are_refused(tmp_path):
    with pytest.raises(MrisslError, match="no such folder"):
        Templates.from_folder(tmp_path / "nowhere")
    with pytest.raises(MrisslError, match="no label maps"):
        Templates.from_folder(tmp_path)
    save(tmp_path / "scan.nii.gz", np.random.default_rng(0).normal(size=(9, 9, 9)))
    with pytest.raises(MrisslError, match=r"scan\.nii\.gz: values that are no whole numbers"):
        Templates.from_folder(tmp_path)
    with pytest.raises(MrisslError, match="more than 0 MiB"):
        Templates.from_arrays([(two_labels(), CUBES)], limit=10)
    with pytest.raises(MrisslError, match="spacing"):
        Templates.from_arrays([(two_labels(), (1, 0, 1))])


@pytest.mark.parametrize(("dtype", "bytes_a_voxel"), [(np.int16, 2), (np.float32, 6)])
def test_reading_a_map_takes_no_more_memory_than_stated(dtype, bytes_a_voxel):
    side = 128
    labels = np.zeros((side,) * 3, dtype)
    labels[20:100, 10:110, 30:120] = 4
    labels[30:60, 30:60, 30:60] = 900
    tracemalloc.start()
    try:
        pool = Templates.from_arrays([(labels, CUBES)])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # The shape that is being packed lies beside the map, one byte a voxel of its box.
    box = 80 * 100 * 90
    assert peak < bytes_a_voxel * side**3 + 2 * box + pool.nbytes + (1 << 20)


@pytest.mark.parametrize(
    ("shape", "says"),
    [
        ((1, 9, 9), "a size of 1 x 9 x 9 voxels; expected a 3-D label map, at least 2 voxels"),
        ((0, 9, 9), "a size of 0 x 9 x 9 voxels"),
        ((1024, 1024, 1024), "at most 512 million voxels"),
    ],
)
def test_maps_of_a_wrong_size_are_refused_unread(shape, says):
    nothing = np.broadcast_to(np.uint8(0), shape)
    with pytest.raises(MrisslError, match=says):
        Templates.from_arrays([(nothing, CUBES)])


def test_flat_files_and_several_frames_are_refused_by_name(tmp_path):
    mask = (two_labels() > 0).astype(np.uint8)
    for labels, says in (
        (mask[:, :, 4], r"map\.nii\.gz: a size of 1 x 24 x 20 voxels"),
        (np.stack([mask] * 3, -1), r"map\.nii\.gz: has 3 frames; expected one, whose numbers"),
    ):
        save(tmp_path / "map.nii.gz", labels)
        with pytest.raises(MrisslError, match=says):
            Templates.from_folder(tmp_path)
        with pytest.raises(MrisslError, match=says):
            subjects_of_folder(tmp_path)[0].load()


def test_procedural_shapes_are_varied_and_the_same_for_a_seed():
    pool = Templates.procedural(7, 20)
    assert len(pool) == 20
    assert pool.identity == Templates.procedural(7, 20).identity
    assert pool.identity != Templates.procedural(8, 20).identity
    shares = [pool[k].mean() for k in range(20)]
    assert min(shares) < 0.25
    assert max(shares) > 0.45


def test_real_label_maps():
    path = shared_data("label_templates/training_seg_01.nii.gz")
    nibabel_labels = np.unique(np.asarray(nibabel.load(path).dataobj))
    from napari_mrissl.volumes import read

    volume = read(path)
    pool = Templates.from_arrays([(volume.data, volume.spacing)])
    assert len(pool) == len(nibabel_labels) - 1
    assert pool.extents.max() > 128


@pytest.mark.parametrize(
    "changes",
    [
        {"side": 100},
        {"side": 0},
        {"templates": (30, 20)},
        {"templates": (20, 300)},
        {"mask_probability": 1.2},
        {"scale": (0.0, 1.0)},
        {"envelope_widths": ()},
        {"median": 4},
        {"unknown": 1},
    ],
)
def test_settings_refuse_what_makes_no_sense(changes):
    with pytest.raises(ValidationError):
        EnsembleSettings(**changes)


def test_settings_survive_json_and_every_field_says_what_it_is():
    settings = EngineSettings.of_side(64)
    assert EngineSettings.model_validate_json(settings.model_dump_json()) == settings

    def described(model) -> None:
        for name, field in type(model).model_fields.items():
            value = getattr(model, name)
            if hasattr(type(value), "model_fields"):
                described(value)
            elif name != "version":
                assert field.title, name
                assert field.description, name

    described(settings)
