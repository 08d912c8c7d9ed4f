import nibabel
import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import map_coordinates

CENTER, NORMAL, UP, FOV, SIZE = (2.5, -4e0, 1.25), (0.3, -0.2, 1.0), (-0.1, 1.0, 0.25), 70.0, 41
PLANE = ("--center", *CENTER, "--normal", *NORMAL, "--up", *UP, "--fov", FOV, "--size", SIZE)


def pixel_positions(center=CENTER, normal=NORMAL, up=UP, fov=FOV, size=SIZE):
    """World RAS mm (N, N, 3) by the formula of the specification, pixel by pixel."""
    n = np.array(normal, float) / np.linalg.norm(normal)
    u = np.array(up, float) - n * (np.array(up) @ n)
    u /= np.linalg.norm(u)
    r = np.cross(u, n)
    positions = np.empty((size, size, 3))
    for i in range(size):
        for j in range(size):
            along, against = (j + 0.5) / size - 0.5, (i + 0.5) / size - 0.5
            positions[i, j] = np.array(center) + along * fov * r - against * fov * u
    return positions


def expected_slice(scan, order=1):
    """Values and whether well inside, by scipy from nibabel's array and affine."""
    index = nibabel.affines.apply_affine(np.linalg.inv(scan.affine), pixel_positions())
    last = np.array(scan.values.shape) - 1
    inside = ((index >= 0) & (index <= last)).all(axis=-1)
    outside = ((index < -0.501) | (index > last + 0.501)).any(axis=-1)
    values = map_coordinates(scan.values, np.moveaxis(index, -1, 0), order=order)
    return values, inside, outside


def test_values_are_those_of_scipy_by_the_formula(scan, run, tmp_path):
    ran = run("slice", scan.path, *PLANE, "--out", tmp_path / "a.npy")
    assert ran.code == 0, ran.err
    assert ran.out == ""
    found = np.load(tmp_path / "a.npy")
    values, inside, outside = expected_slice(scan)
    assert found.dtype == np.float32
    assert found.shape == (SIZE, SIZE)
    assert inside.sum() > 500
    assert outside.sum() > 100
    assert np.abs(found - values)[inside].max() < 1e-4 * np.ptp(scan.values)
    assert (found[outside] == 0).all()


def test_nearest_takes_voxels_as_they_are(scan, run, tmp_path):
    ran = run("slice", scan.path, *PLANE, "--interpolation", "nearest", "--out", tmp_path / "a.npy")
    assert ran.code == 0, ran.err
    values, inside, _ = expected_slice(scan, order=0)
    found = np.load(tmp_path / "a.npy")
    np.testing.assert_allclose(found[inside], values[inside], atol=1e-3)
    assert np.isin(found, np.append(scan.values.astype(np.float32), 0)).all()


def test_nifti_slice_lies_where_the_formula_says(scan, run, tmp_path):
    for suffix in (".npy", ".nii.gz", ".nii"):
        assert run("slice", scan.path, *PLANE, "--out", tmp_path / f"a{suffix}").code == 0
    values, expected = np.load(tmp_path / "a.npy"), pixel_positions()
    for suffix in (".nii.gz", ".nii"):
        image = nibabel.load(tmp_path / f"a{suffix}")
        assert image.shape == (SIZE, SIZE, 1)
        for affine in (image.affine, image.get_qform(), image.get_sform()):
            j, i = np.meshgrid(np.arange(SIZE), np.arange(SIZE))
            world = nibabel.affines.apply_affine(affine, np.stack([j, i, 0 * i], axis=-1))
            np.testing.assert_allclose(world, expected, atol=1e-4)
        # The first slice of a process may come from numpy, later ones from a kernel.
        np.testing.assert_allclose(image.get_fdata()[:, :, 0].T, values, atol=1e-3)
        np.testing.assert_allclose(image.header.get_zooms(), [FOV / SIZE] * 3, rtol=1e-6)
        assert image.header.get_xyzt_units()[0] == "mm"


def test_png_is_the_slice_between_the_stated_values(scan, run, tmp_path):
    ran = run("slice", scan.path, *PLANE, "--out", tmp_path / "a.png")
    assert ran.code == 0, ran.err
    assert run("slice", scan.path, *PLANE, "--out", tmp_path / "a.npy").code == 0
    stated = next(line for line in ran.err.splitlines() if "black is" in line)
    numbers = [float(word.strip(",:")) for word in stated.split() if word[0] in "-0123456789"]
    low, high = numbers[:2]
    picture = Image.open(tmp_path / "a.png")
    assert picture.mode == "L"
    assert not picture.info
    values = np.load(tmp_path / "a.npy").astype(float)
    _, inside, outside = expected_slice(scan)
    gray = np.asarray(picture).astype(float)
    wanted = np.clip((values - low) / (high - low), 0, 1) * 255
    assert np.abs(gray - wanted)[inside].max() < 0.6
    assert (gray[outside] == 0).all()
    np.testing.assert_allclose((low, high), np.percentile(scan.values, (0.5, 99.5)), atol=2)


@pytest.mark.parametrize(
    ("replaced", "needle"),
    [
        (("--size", "0"), "--size"),
        (("--size", "-3"), "--size"),
        (("--size", "3.5"), "whole number"),
        (("--size", "nan"), "whole number"),
        (("--size", "1e9"), "--size"),
        (("--fov", "0"), "fov"),
        (("--fov", "-1e2"), "fov"),
        (("--fov", "nan"), "fov"),
        (("--center", "1", "2", "inf"), "finite"),
        (("--center", "1", "2"), "--center"),
        (("--center", "a", "2", "3"), "--center"),
        (("--normal", "0", "0", "0"), "normal"),
        (("--up", "0.6", "-0.4", "2.0"), "parallel"),
        (("--interpolation", "cubic"), "interpolation"),
        (("--interpolate", "linear"), "--interpolat"),
        (("--out", "a.jpg"), ".npy"),
        (("--out", "a"), ".npy"),
        (("--out", "nowhere/a.npy"), "folder"),
    ],
)
def test_bad_arguments_are_refused_in_one_sentence(
    scan, refused, tmp_path, monkeypatch, replaced, needle
):
    monkeypatch.chdir(tmp_path)
    given = {
        "--center": CENTER, "--normal": NORMAL, "--up": UP, "--fov": (FOV,), "--size": (SIZE,),
        "--out": ("a.npy",),
    }  # fmt: skip
    given[replaced[0]] = replaced[1:]
    words = [word for name, values in given.items() for word in (name, *values)]
    assert needle in refused("slice", scan.path, *words)
    assert [path.name for path in tmp_path.iterdir()] == ["scan.nii.gz"]


def test_exponents_count_as_whole_numbers_where_they_are(scan, run, tmp_path):
    words = [*PLANE[:-1], "4.1e1", "--out", tmp_path / "a.npy"]
    assert run("slice", scan.path, *words).code == 0
    assert np.load(tmp_path / "a.npy").shape == (41, 41)


def test_far_away_is_outside_and_out_of_all_reach_is_refused(scan, run, refused, tmp_path):
    far = ("--center", "1e5", "-1e6", "3e5", *PLANE[4:])
    assert run("slice", scan.path, *far, "--out", tmp_path / "a.npy").code == 0
    assert not np.load(tmp_path / "a.npy").any()
    farther = ("--center", "1e30", "-1e300", "3e5", *PLANE[4:])
    assert "far" in refused("slice", scan.path, *farther, "--out", tmp_path / "b.npy")


def test_a_file_that_is_there_stays_unless_asked_for(scan, run, refused, tmp_path):
    out = tmp_path / "a.npy"
    out.write_bytes(b"mine")
    assert "--overwrite" in refused("slice", scan.path, *PLANE, "--out", out)
    assert out.read_bytes() == b"mine"
    assert run("slice", scan.path, *PLANE, "--out", out, "--overwrite").code == 0
    assert np.load(out).shape == (SIZE, SIZE)


def test_the_scan_itself_is_never_replaced(scan, refused, tmp_path):
    before = scan.path.read_bytes()
    (tmp_path / "link.nii.gz").symlink_to(scan.path)
    for name in ("scan.nii.gz", "link.nii.gz"):
        sentence = refused("slice", scan.path, *PLANE, "--out", tmp_path / name, "--overwrite")
        assert "the scan itself" in sentence
    assert scan.path.read_bytes() == before


def test_a_folder_in_the_place_of_the_file(scan, refused, tmp_path):
    (tmp_path / "a.npy").mkdir()
    assert "is a folder" in refused("slice", scan.path, *PLANE, "--out", tmp_path / "a.npy")
