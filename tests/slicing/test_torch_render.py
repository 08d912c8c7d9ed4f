"""The torch way agrees with the CPU kernels and has the gradients it claims."""

import numpy as np
import pytest

from napari_mrissl.errors import MrisslError
from napari_mrissl.geometry import Pose
from napari_mrissl.slicing import render

torch = pytest.importorskip("torch")

from napari_mrissl.slicing.torch_render import _coordinates, render_torch  # noqa: E402


def poses_of(volume, count, seed=0):
    rng = np.random.default_rng(seed)
    reach = volume.extent.max()
    return [
        Pose.from_normal_up(
            volume.center + rng.uniform(-0.1, 0.1, 3) * reach,
            *rng.normal(size=(2, 3)),
            rng.uniform(0.3, 1.2) * reach,
        )
        for _ in range(count)
    ]


def tensor(poses):
    return torch.tensor(np.array([pose.to_row() for pose in poses]))


@pytest.mark.parametrize(
    "dtype", ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f2", "f4", "f8"]
)
def test_agrees_with_the_renderer(dtype, volume_of):
    volume = volume_of(dtype)
    voxels = torch.from_numpy(volume.data.copy())
    spread = np.ptp(volume.data.astype(np.float64))
    poses = poses_of(volume, 5)
    for interpolation in ("linear", "nearest"):
        expected = render(volume, poses, 37, interpolation)
        values, valid = render_torch(voxels, volume.affine, tensor(poses), 37, interpolation)
        np.testing.assert_array_equal(valid.numpy(), expected.valid)
        assert np.abs(values.numpy() - expected.values).max() < 1e-4 * spread


def test_values_are_scaled_and_layout_does_not_matter(volume_of):
    volume = volume_of("i2", slope=2.0, intercept=-7.0)
    poses = poses_of(volume, 2)
    expected = render(volume, poses, 20)
    layout = torch.from_numpy(volume.data.copy()).permute(2, 0, 1).contiguous().permute(1, 2, 0)
    assert not layout.is_contiguous()
    values, _ = render_torch(layout, volume.affine, tensor(poses), 20, slope=2.0, intercept=-7.0)
    np.testing.assert_allclose(values.numpy(), expected.values, rtol=1e-4, atol=1)


def test_float32_coordinates_are_exact_enough(volume_of):
    """What other devices than a CPU do per pixel, done here."""
    rng = np.random.default_rng(1)
    volume = volume_of("u1", (400, 8, 8), np.diag([0.7, 0.7, 0.7, 1.0]))
    poses = [
        Pose(volume.center + rng.normal(size=3), pose.rotation, 300.0)
        for pose in poses_of(volume, 4)
    ]
    rows = tensor(poses)
    whole, part = _coordinates(torch.device("cpu"), volume.affine, rows, 256, torch.float32)
    assert part.dtype == torch.float32
    k = np.zeros((256, 256))
    i, j = np.mgrid[:256, :256]
    for pose, found in zip(poses, (whole.double() + part.double()).numpy(), strict=True):
        affine = volume.to_index @ pose.grid(256)
        expected = np.stack([k, i, j], -1) @ affine[:3, :3].T + affine[:3, 3]
        assert np.abs(found - expected).max() < 1e-6


def test_gradients_with_respect_to_poses(volume_of):
    volume = volume_of("f8", (7, 8, 9))
    voxels = torch.from_numpy(volume.data.copy())
    rows = tensor(poses_of(volume, 2, seed=4)).requires_grad_()

    def values(rows):
        return render_torch(voxels, volume.affine, rows, 5)[0]

    assert torch.autograd.gradcheck(values, (rows,), eps=1e-7, atol=1e-2, rtol=1e-4)


def test_gradients_with_respect_to_voxels(volume_of):
    volume = volume_of("f8", (4, 5, 4))
    voxels = torch.from_numpy(volume.data.copy()).requires_grad_()
    rows = tensor(poses_of(volume, 1))

    def values(voxels):
        return render_torch(voxels, volume.affine, rows, 4)[0]

    assert torch.autograd.gradcheck(values, (voxels,), atol=1e-5)


def test_a_pose_can_be_found_by_its_gradient():
    """Gradient descent moves a plane to the brightest plane of a smooth volume."""
    k = torch.arange(33, dtype=torch.float64)
    voxels = torch.exp(-(((k - 20) / 6) ** 2))[:, None, None].expand(33, 33, 33)
    affine = np.eye(4)[[2, 1, 0, 3]]
    start = Pose.from_normal_up((16, 16, 14), (0, 0, 1), (0, 1, 0), 16.0)
    rows = tensor([start]).requires_grad_()
    for _ in range(60):
        (gradient,) = torch.autograd.grad(-render_torch(voxels, affine, rows, 8)[0].mean(), rows)
        with torch.no_grad():
            rows[:, :3] -= 8 * gradient[:, :3]
    assert abs(rows[0, 2].item() - 20) < 0.2


@pytest.mark.parametrize(
    ("voxels", "poses", "size", "interpolation"),
    [
        (torch.zeros(2, 2), torch.zeros(1, 8), 4, "linear"),
        (torch.zeros(2, 2, 2, dtype=torch.complex64), torch.zeros(1, 8), 4, "linear"),
        (torch.zeros(2, 2, 2), torch.zeros(1, 7), 4, "linear"),
        (torch.zeros(2, 2, 2), torch.zeros(1, 8, dtype=torch.int64), 4, "linear"),
        (torch.zeros(2, 2, 2), torch.zeros(1, 8), 0, "linear"),
        (torch.zeros(2, 2, 2), torch.zeros(1, 8), 4, "cubic"),
    ],
)
def test_unusable_arguments_are_named(voxels, poses, size, interpolation):
    with pytest.raises(MrisslError):
        render_torch(voxels, np.eye(4), poses, size, interpolation)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
@pytest.mark.parametrize("dtype", ["u1", "u2", "i2", "f4"])
def test_agrees_on_a_gpu(dtype, volume_of):
    volume = volume_of(dtype, (60, 50, 70))
    voxels = torch.from_numpy(volume.data.copy()).cuda()
    poses = poses_of(volume, 8)
    expected = render(volume, poses, 64)
    values, valid = render_torch(voxels, volume.affine, tensor(poses).cuda(), 64)
    assert values.is_cuda
    differ = valid.cpu().numpy() != expected.valid
    assert differ.mean() < 1e-4
    spread = np.ptp(volume.data.astype(np.float64))
    assert np.abs(values.cpu().numpy() - expected.values)[~differ].max() < 1e-4 * spread
