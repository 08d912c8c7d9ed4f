"""O3: where nibabel and SimpleITK really differ about a file, both readings are said.

The two readers are the oracle: each file is opened by both, the corners of its grid are put
into world RAS mm by each, and the sentence must be there exactly when they are more than
0.1 mm apart, mirrored, or only one of the two opens the file (or when the file's own two
forms contradict each other, which neither reader says).
"""

import itertools
import math

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from dicom_series import write_series
from geometries import SHAPE, numbered

from napari_mrissl.cli import main
from napari_mrissl.volumes import describe, read
from napari_mrissl.volumes.errors import BadGeometry

CORNERS = np.array(list(itertools.product(*((0, n - 1) for n in SHAPE))))
LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
A = np.array([[2.0, 0, 0, 10], [0, 3, 0, 20], [0, 0, 4, 30], [0, 0, 0, 1]])
MIRRORED = A @ np.diag([-1, 1, 1, 1])
TURNED = nib.affines.from_matvec(nib.eulerangles.euler2mat(0.3), [5, 5, 5]) @ A
NEARLY = A + np.array([[0, 0, 0, 0.05], *[[0] * 4] * 3])
SHEARED = A + np.array([[0, 0.6, 0, 0], *[[0] * 4] * 3])
SINGULAR = A * [[1, 1, 1, 1], [1, 1, 1, 1], [1, 1, 0, 1], [1, 1, 1, 1]]
NAN = np.where(np.eye(4, dtype=bool), np.nan, A)
SIZES = {"pixdim": [1, 2, 3, 4, 1, 1, 1, 1]}


def sizes(*lengths, qfac=1):
    return {"pixdim": [qfac, *lengths, 1, 1, 1, 1]}


# name: (header fields, the codes of sform and qform)
FILES = {
    "one geometry in both forms": ({"sform": A, "qform": A}, (1, 1)),
    "mirrored in both forms": ({"sform": MIRRORED, "qform": MIRRORED}, (1, 1)),
    "turned, sform only": ({"sform": TURNED, **SIZES}, (1, 0)),
    "turned, qform only": ({"qform": TURNED}, (0, 1)),
    "forms 0.05 mm apart": ({"sform": NEARLY, "qform": A}, (2, 1)),
    "negative pixdim": ({"sform": A, "qform": A, **sizes(-2, 3, 4)}, (1, 1)),
    "negative pixdim, qform only": ({"qform": A, **sizes(-2, 3, 4)}, (0, 1)),
    "negative pixdim of slices": ({"sform": A, "qform": A, **sizes(2, 3, -4)}, (1, 1)),
    "no forms": (SIZES, (0, 0)),
    "singular sform, qform good": ({"sform": SINGULAR, "qform": TURNED}, (1, 1)),
    "NaN in sform, qform good": ({"sform": NAN, "qform": TURNED}, (1, 1)),
    "long quaternion, sform of code 2": (
        {"sform": A, "qform": A, "quatern_b": 0.9, "quatern_c": 0.9},
        (2, 1),
    ),
    "long quaternion, sform of code 1": (
        {"sform": A, "qform": A, "quatern_b": 0.9, "quatern_c": 0.9},
        (1, 1),
    ),
    "sheared sform": ({"sform": SHEARED, **SIZES}, (1, 0)),
    "sheared sform, qform straight": ({"sform": SHEARED, "qform": A}, (1, 1)),
    "forms in conflict, ITK follows the sform": ({"sform": A, "qform": TURNED}, (1, 1)),
    "forms in conflict, ITK follows the qform": ({"sform": A, "qform": TURNED}, (2, 1)),
    "forms mirrored to each other": ({"sform": A, "qform": MIRRORED}, (2, 1)),
    "forms turned against each other": (
        {"sform": A @ np.diag([-1, -1, 1, 1]), "qform": A},
        (2, 1),
    ),
    "pixdim unlike the sform": ({"sform": A, **sizes(1, 1, 1)}, (1, 0)),
    "micrometres": ({"sform": A, "qform": A, "xyzt_units": 3}, (1, 1)),
    "metres": ({"sform": A, "qform": A, "xyzt_units": 1}, (1, 1)),
}
# The file contradicts itself, but both readers follow the same form; of forms that run
# against each other ITK follows one or the other, by the signs of singular vectors.
CONTRADICTORY = {
    "forms in conflict, ITK follows the sform",
    "forms mirrored to each other",
    "forms turned against each other",
}


def write(path, forms, codes):
    header = nib.Nifti1Image(numbered(), None).header
    header["sform_code"], header["qform_code"] = 0, 0
    header["pixdim"][1:4] = 2, 3, 4
    for form, code in zip(("sform", "qform"), codes, strict=True):
        if form in forms:
            getattr(header, f"set_{form}")(forms[form], code)
    header.set_xyzt_units("mm")
    header["magic"], header["vox_offset"] = b"n+1", 352
    header["scl_slope"], header["scl_inter"] = 1, 0
    for key, value in forms.items():
        if key not in ("sform", "qform"):
            header[key] = value
    path.write_bytes(header.binaryblock + bytes(4) + numbered().tobytes("F"))
    return path


def by_nibabel(path):
    try:
        affine = nib.load(path).affine
    except (ValueError, np.linalg.LinAlgError):
        return None
    # nibabel hands a singular or NaN sform on: no voxel has a place by it.
    usable = np.isfinite(affine).all() and abs(np.linalg.det(affine)) > 1e-9
    return affine if usable else None


def by_simpleitk(path):
    try:
        image = sitk.ReadImage(path)
    except RuntimeError:
        return None
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    return LPS @ affine if np.isfinite(affine).all() else None


def apart(first, second):
    """Millimetres between two readings at the corner that is worst; infinite where mirrored."""
    if first is None or second is None:
        return math.inf
    if np.linalg.det(first[:3, :3]) * np.linalg.det(second[:3, :3]) < 0:
        return math.inf
    there = nib.affines.apply_affine(first, CORNERS) - nib.affines.apply_affine(second, CORNERS)
    return float(np.linalg.norm(there, axis=1).max())


@pytest.mark.parametrize("name", FILES)
def test_a_disagreement_is_said_exactly_where_there_is_one(tmp_path, name, capsys):
    path = write(tmp_path / "scan.nii", *FILES[name])
    nibabel_says, itk_says = by_nibabel(path), by_simpleitk(path)
    gap = apart(nibabel_says, itk_says)
    volume = read(path)
    assert bool(volume.disagreements) == (gap > 0.1 or name in CONTRADICTORY), (gap, volume.notes)
    # No silent choice: the reading shown is one of theirs, and the other one is named.
    ours = volume.stored.affine
    assert min(apart(ours, nibabel_says), apart(ours, itk_says)) < 1e-3
    assert set(volume.disagreements) <= set(volume.notes)
    text = " ".join(volume.disagreements)
    for reading, who in ((nibabel_says, "nibabel"), (itk_says, "ITK")):
        if apart(ours, reading) > 0.1:
            assert who in text
    if itk_says is not None and nibabel_says is not None and gap > 0.1 and "metres" not in name:
        for reading in (nibabel_says, itk_says):
            x, y, z = reading[:3, 3] + 0.0
            assert f"({x:.2f}, {y:.2f}, {z:.2f})" in text
            assert f"axes {''.join(nib.aff2axcodes(reading))}" in text
    if math.isinf(gap) and itk_says is not None and nibabel_says is not None:
        assert "left and right swapped" in text
    assert main(["info", str(path)]) == 0
    said = capsys.readouterr()
    for line in volume.disagreements:
        assert line in said.err
    assert ("disagreements" in said.out) == bool(volume.disagreements)
    assert describe(volume)["disagreements"] == list(volume.disagreements)


def test_at_least_a_dozen_kinds_of_files_disagree(tmp_path):
    said = [
        name
        for name, file in FILES.items()
        if read(write(tmp_path / "scan.nii", *file)).disagreements
    ]
    assert len(said) >= 12
    assert len(FILES) - len(said) >= 5


@pytest.mark.parametrize(
    ("forms", "codes"),
    [
        ({"qform": A, "quatern_b": 0.9, "quatern_c": 0.9}, (0, 1)),
        ({"sform": SINGULAR, **SIZES}, (1, 0)),
        ({"sform": NAN, **SIZES}, (1, 0)),
    ],
)
def test_what_only_a_guess_could_place_is_refused(tmp_path, forms, codes):
    path = write(tmp_path / "scan.nii", forms, codes)
    assert math.isinf(apart(by_nibabel(path), by_simpleitk(path)))
    with pytest.raises(BadGeometry, match=r"sform|quaternion"):
        read(path)


def test_forms_against_each_other_name_both_hands(tmp_path):
    for signs in itertools.product((1, -1), repeat=3):
        other = A @ np.diag([*signs, 1])
        volume = read(write(tmp_path / "scan.nii", {"sform": other, "qform": A}, (2, 1)))
        text = " ".join(volume.disagreements)
        assert bool(text) == (signs != (1, 1, 1))
        assert ("left and right swapped" in text) == (math.prod(signs) < 0)
        theirs = by_simpleitk(tmp_path / "scan.nii")
        assert min(apart(theirs, other), apart(theirs, A)) < 1e-3
        if text:
            for reading in (other, A):
                assert f"axes {''.join(nib.aff2axcodes(reading))}" in text


def test_a_tilted_gantry_disagrees_with_itk(tmp_path):
    sheared = np.eye(4)
    sheared[1, 2] = 0.2
    folder = write_series(tmp_path / "ct", sheared)
    volume = read(folder)
    names = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder))
    itk = by_simpleitk(names)
    last = np.array(volume.stored.shape) - 1
    gap = nib.affines.apply_affine(volume.stored.affine, last) - nib.affines.apply_affine(itk, last)
    assert f"{np.linalg.norm(gap):.3g} mm" in volume.disagreements[0]
    assert read(write_series(tmp_path / "mr", np.eye(4))).disagreements == ()


def test_an_mgh_file_without_directions_disagrees(tmp_path):
    path = tmp_path / "a.mgh"
    nib.save(nib.MGHImage(numbered(), A), path)
    assert read(path).disagreements == ()
    content = bytearray(path.read_bytes())
    content[28:30] = bytes(2)
    path.write_bytes(content)
    theirs = nib.load(path).affine
    volume = read(path)
    assert apart(volume.stored.affine, theirs) > 0.1
    assert f"nibabel reads {', '.join(nib.aff2axcodes(theirs))}" in volume.disagreements[0]
