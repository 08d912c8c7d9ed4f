"""O1 and O3: geometry of every format against SimpleITK, and where readers disagree."""

import itertools

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from geometries import SHAPE, grids, numbered

from napari_mrissl.volumes import ScanError, read
from napari_mrissl.volumes.errors import BadGeometry

GRIDS = dict(grids())
LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def save(path, affine):
    voxels = numbered()
    if path.suffix == ".mgz":
        nib.save(nib.MGHImage(voxels, affine), path)
        return
    image = nib.Nifti1Image(voxels, affine)
    image.header.set_xyzt_units("mm")
    image.set_qform(affine, 1)
    image.set_sform(affine, 1)
    nib.save(image, path.with_suffix(".nii"))
    if path.suffix != ".nii":
        sitk.WriteImage(sitk.ReadImage(path.with_suffix(".nii")), path, path.suffix == ".nrrd")


def itk_affine(image):
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    return LPS @ affine


@pytest.mark.untraced
@pytest.mark.parametrize("suffix", [".nii", ".nrrd", ".mha", ".mgz"])
@pytest.mark.parametrize(
    "group", ["iso straight", "iso oblique", "aniso straight", "aniso oblique"]
)
def test_world_positions_agree_with_simpleitk(tmp_path, suffix, group):
    chosen = {name: affine for name, affine in GRIDS.items() if name.endswith(f" {group}")}
    assert len(chosen) == 48
    corners = np.array(list(itertools.product(*((0, n - 1) for n in SHAPE))))
    for affine in chosen.values():
        path = tmp_path / f"scan{suffix}"
        save(path, affine)
        volume = read(path)
        if suffix == ".mgz":
            expected = nib.load(path).affine
        else:
            image = sitk.ReadImage(path)
            expected = itk_affine(image)
        placed = nib.affines.apply_affine(volume.stored.affine, corners)
        np.testing.assert_allclose(placed, nib.affines.apply_affine(expected, corners), atol=1e-3)
        # Canonical axes run to S, A, R, and every voxel keeps its place and value.
        assert nib.aff2axcodes(volume.affine) == ("S", "A", "R")
        assert volume.data.flags.c_contiguous
        indices = np.moveaxis(np.indices(volume.shape), 0, -1).reshape(-1, 3)
        world = nib.affines.apply_affine(volume.affine, indices)
        found = np.rint(nib.affines.apply_affine(np.linalg.inv(affine), world)).astype(int)
        np.testing.assert_array_equal(volume.data.ravel(), numbered()[tuple(found.T)])
        np.testing.assert_array_equal(volume.to_stored(volume.data), numbered())
        assert volume.notes == ()


@pytest.mark.untraced
def test_nifti_of_all_grids_agrees_with_nibabels_canonical(tmp_path):
    for affine in GRIDS.values():
        save(tmp_path / "scan.nii", affine)
        volume = read(tmp_path / "scan.nii")
        canonical = nib.as_closest_canonical(nib.load(tmp_path / "scan.nii"))
        np.testing.assert_array_equal(volume.data, np.asarray(canonical.dataobj).T)
        np.testing.assert_allclose(volume.affine[:, [2, 1, 0, 3]], canonical.affine, atol=1e-9)
        assert volume.stored.orientation == "".join(nib.aff2axcodes(affine))


A = np.array([[2.0, 0, 0, 10], [0, 3, 0, 20], [0, 0, 4, 30], [0, 0, 0, 1]])
TURNED = nib.affines.from_matvec(nib.eulerangles.euler2mat(0.3), [5, 5, 5]) @ A
SHEARED = A + np.array([[0, 0.6, 0, 0], *[[0] * 4] * 3])
SINGULAR = np.array([[2.0, 0, 0, 10], [0, 3, 0, 20], [0, 0, 0, 30], [0, 0, 0, 1]])
NAN = np.array([[np.nan, 0, 0, 10], [0, 3, 0, 20], [0, 0, 4, 30], [0, 0, 0, 1]])


def header_file(tmp_path, sform=None, qform=None, codes=(1, 1), **fields):
    image = nib.Nifti1Image(numbered(), None)
    header = image.header
    header["sform_code"], header["qform_code"] = 0, 0
    header["pixdim"][1:4] = 2, 3, 4
    if sform is not None:
        header.set_sform(sform, codes[0])
    if qform is not None:
        header.set_qform(qform, codes[1])
    header.set_xyzt_units("mm")
    header["magic"], header["vox_offset"] = b"n+1", 352
    header["scl_slope"], header["scl_inter"] = 1, 0
    for key, value in fields.items():
        header[key] = value
    path = tmp_path / "scan.nii"
    path.write_bytes(header.binaryblock + bytes(4) + numbered().tobytes("F"))
    return path


def pixdim(*sizes, qfac=1):
    return [qfac, *sizes, 1, 1, 1, 1]


# name: (forms and fields, our stored affine, words that the notes must hold)
CASES = {
    "qform only": ({"qform": TURNED}, TURNED, None),
    "sform only": ({"sform": TURNED, "pixdim": pixdim(2, 3, 4)}, TURNED, None),
    "det < 0": (
        {"sform": A @ np.diag([-1, 1, 1, 1]), "qform": A @ np.diag([-1, 1, 1, 1])},
        None,
        None,
    ),
    "both alike": ({"sform": A, "qform": A}, A, None),
    "conflict, ITK takes sform": ({"sform": A, "qform": TURNED}, A, "sform and qform disagree"),
    "conflict, ITK takes qform": (
        {"sform": A, "qform": TURNED, "codes": (2, 1)},
        A,
        "ITK programs read",
    ),
    "none": ({}, None, "left and right are a guess"),
    "sheared sform": ({"sform": SHEARED}, SHEARED, "ITK programs refuse"),
    "sheared sform with qform": ({"sform": SHEARED, "qform": A}, SHEARED, "sform is sheared"),
    "singular sform with qform": ({"sform": SINGULAR, "qform": TURNED}, TURNED, "qform was used"),
    "NaN sform with qform": ({"sform": NAN, "qform": TURNED}, TURNED, "qform was used"),
    "negative pixdim": (
        {"sform": A, "qform": A, "pixdim": pixdim(-2, 3, 4)},
        A,
        "left and right swapped",
    ),
    "negative pixdim, qform only": (
        {"qform": A, "pixdim": pixdim(-2, 3, 4)},
        A,
        "negative voxel size",
    ),
    "bad quaternion with sform 2": (
        {"sform": A, "qform": A, "codes": (2, 1), "quatern_b": 0.9, "quatern_c": 0.9},
        A,
        "quaternion",
    ),
    "pixdim unlike the sform": (
        {"sform": A, "pixdim": pixdim(1, 1, 1)},
        A,
        "ITK programs read",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_both_readings_are_noted_where_nibabel_and_itk_disagree(tmp_path, name):
    forms, expected, words = CASES[name]
    path = header_file(tmp_path, **forms)
    volume = read(path)
    if expected is not None:
        np.testing.assert_allclose(volume.stored.affine, expected, atol=1e-5)
    if "qform was used" not in (words or ""):
        np.testing.assert_allclose(volume.stored.affine, nib.load(path).affine, atol=1e-5)
    try:
        itk = itk_affine(sitk.ReadImage(path))
    except RuntimeError:
        itk = None
    corners = np.array(list(itertools.product(*((0, n - 1) for n in SHAPE))))
    ours = nib.affines.apply_affine(volume.stored.affine, corners)
    agree = itk is not None and np.allclose(ours, nib.affines.apply_affine(itk, corners), atol=0.1)
    text = " ".join(volume.notes)
    if not agree and "qform was used" not in (words or ""):
        assert "ITK programs" in text
    if agree and words is None:
        assert volume.notes == ()
    if words is not None:
        assert words in text
    if itk is not None and not agree and "ITK programs read" in text:
        x, y, z = itk[:3, 3]
        assert f"({x:.2f}, {y:.2f}, {z:.2f})" in text


@pytest.mark.parametrize(
    "forms",
    [
        {"sform": SINGULAR},
        {"sform": NAN},
        {"sform": SINGULAR, "qform": A, "quatern_b": 0.9, "quatern_c": 0.9},
        {"qform": A, "quatern_b": np.nan},
        {"qform": A, "pixdim": pixdim(np.nan, 3, 4)},
        {"qform": A, "pixdim": pixdim(0, 3, 4)},
        {"pixdim": pixdim(0, 3, 4)},
        {"pixdim": pixdim(np.inf, 3, 4)},
    ],
)
def test_impossible_geometry_is_refused(tmp_path, forms):
    with pytest.raises(BadGeometry, match=r"scan\.nii") as caught:
        read(header_file(tmp_path, **forms))
    assert caught.value.expected
    assert caught.value.remedy


@pytest.mark.parametrize(("code", "scale"), [(1, 1000.0), (3, 0.001), (0, 1.0), (2, 1.0)])
def test_space_units_are_honoured(tmp_path, code, scale):
    volume = read(header_file(tmp_path, sform=A, qform=A, xyzt_units=code))
    np.testing.assert_allclose(volume.stored.affine[:3], A[:3] * scale)
    assert bool(volume.notes) == (scale != 1)


def test_an_unknown_unit_is_noted(tmp_path):
    volume = read(header_file(tmp_path, sform=A, qform=A, xyzt_units=5))
    assert "millimetres are assumed" in volume.notes[0]


def test_scan_errors_are_one_family_of_at_most_twelve():
    from napari_mrissl.volumes import errors

    family = [e for e in vars(errors).values() if isinstance(e, type) and issubclass(e, ScanError)]
    assert 2 <= len(family) <= 12
