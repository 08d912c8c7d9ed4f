"""Volumes out of layers that other readers opened."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
from napari.layers import Image, Labels, Points
from scipy.spatial.transform import Rotation

from napari_mrissl.errors import MrisslError
from napari_mrissl.ui.layers import foreign, reading_of, to_world, volume_of

SHAPE = (6, 8, 10)
MM = ("mm", "mm", "mm")


def voxels() -> np.ndarray:
    return np.random.default_rng(5).integers(0, 900, SHAPE).astype(np.int16)


def check_places(layer, volume, millimetres=1.0) -> None:
    """Every voxel has the value and the place that napari gives it."""
    data = np.asarray(layer.data[0] if layer.multiscale else layer.data)
    for index in np.random.default_rng(6).integers(0, SHAPE, (20, 3)):
        world = to_world(np.array(layer.data_to_world(tuple(index))) * millimetres)
        found = volume.to_index[:3, :3] @ world + volume.to_index[:3, 3]
        assert np.allclose(found, np.round(found), atol=1e-6)
        assert volume.data[tuple(np.round(found).astype(int))] == data[tuple(index)]


def test_scale_and_translate_without_a_copy():
    data = voxels()
    layer = Image(data, scale=(3, 1, 2), translate=(5, -6, 7), units=MM, name="other")
    volume = volume_of(layer)
    assert np.shares_memory(volume.data, data)
    assert not volume.data.flags.writeable
    assert data.flags.writeable
    check_places(layer, volume)
    assert volume.name == "other"
    assert np.allclose(volume.spacing, (3, 1, 2))
    assert volume.notes == (foreign.ASSUMED_ANATOMY,)
    assert volume_of(layer) is volume


# napari warns about 2-D views of such layers; they are not ours.
@pytest.mark.filterwarnings("ignore:Non-orthogonal slicing")
@pytest.mark.parametrize("seed", range(4))
def test_affine_rotate_and_shear_are_composed(seed):
    rng = np.random.default_rng(seed)
    affine = np.eye(4)
    affine[:3, :3] = Rotation.random(random_state=seed).as_matrix() @ np.diag(
        rng.uniform(0.5, 3, 3)
    )
    affine[:3, 3] = rng.normal(size=3) * 20
    layer = Image(
        voxels(),
        affine=affine,
        scale=rng.uniform(0.5, 2, 3),
        rotate=Rotation.random(random_state=seed + 9).as_matrix(),
        shear=rng.uniform(-0.2, 0.2, 3),
        units=MM,
    )
    check_places(layer, volume_of(layer))


@pytest.mark.parametrize(("unit", "millimetres"), [("um", 1e-3), ("cm", 10.0), ("m", 1e3)])
def test_lengths_are_converted(unit, millimetres):
    layer = Image(voxels(), scale=(2, 3, 4), units=(unit,) * 3)
    check_places(layer, volume_of(layer), millimetres)


def test_without_units_millimetres_are_assumed_and_said():
    volume = volume_of(Image(voxels(), scale=(2, 3, 4)))
    assert np.allclose(volume.spacing, (2, 3, 4))
    assert foreign.ASSUMED_MILLIMETRES in volume.notes


def test_lazy_and_multiscale_data_are_taken():
    data = voxels()
    lazy = Image(da.from_array(data, chunks=4), units=MM)
    check_places(lazy, volume_of(lazy))
    pyramid = Image([data, data[::2, ::2, ::2]], multiscale=True, units=MM)
    volume = volume_of(pyramid)
    check_places(pyramid, volume)
    assert any("finest" in note for note in volume.notes)


def test_lazy_data_wait_until_the_volume_is_read():
    computed = []

    def slow(block):
        computed.append(block.shape)
        return block

    lazy = da.from_array(voxels(), chunks=-1).map_blocks(slow, dtype=voxels().dtype)
    layer = Image(lazy, units=MM, contrast_limits=(0, 1), visible=False)
    before = len(computed)
    read = reading_of(layer)
    assert len(computed) == before
    volume = read()
    assert len(computed) == before + 1
    assert volume_of(layer) is volume is reading_of(layer)()
    assert read() is volume


def test_labels_of_others_are_volumes_too():
    layer = Labels(voxels(), scale=(-1, 1, 1), units=MM)
    check_places(layer, volume_of(layer))


@pytest.mark.parametrize(
    ("layer", "says"),
    [
        (Image(np.zeros((4, 5, 6, 3), np.uint8), rgb=True), "colour"),
        (Image(np.zeros((2, 4, 5, 6))), "time point"),
        (Image(np.zeros((4, 5))), "2-D"),
        (Points(np.zeros((1, 3))), "Points layer"),
        (Image(np.zeros((4, 5, 6)), units=("s", "mm", "mm")), "second"),
    ],
)
def test_what_is_no_volume_is_refused_in_one_sentence(layer, says):
    with pytest.raises(MrisslError, match=says) as error:
        volume_of(layer)
    assert str(error.value).count("\n") == 0


def test_lazy_data_that_do_not_fit_are_refused():
    layer = Image(
        da.zeros((60_000, 60_000, 60_000), chunks=1000, dtype=np.uint8),
        contrast_limits=(0, 1),
        units=MM,
        visible=False,
    )
    with pytest.raises(MrisslError, match="GiB"):
        volume_of(layer)


def test_a_changed_layer_gives_a_new_volume():
    layer = Image(voxels(), units=MM)
    first = volume_of(layer)
    layer.scale = (2, 1, 1)
    assert np.allclose(volume_of(layer).spacing, (2, 1, 1))
    layer.data = layer.data + 1
    assert np.array_equal(volume_of(layer).data, first.data + 1)
