import numpy as np
import pytest
from PIL import Image, ImageSequence

from napari_mrissl.errors import MrisslError
from napari_mrissl.geometry import apply_action
from napari_mrissl.slicing import policies, render
from napari_mrissl.slicing.pictures import gray
from napari_mrissl.trajectories import Flight, flight_info, flight_of
from napari_mrissl.trajectories.movies import figures, frame_durations, slices_along, write_movie
from napari_mrissl.volumes import Volume


@pytest.fixture
def volume():
    x, y, z = np.meshgrid(*(np.linspace(-1, 1, n) for n in (24, 26, 28)), indexing="ij")
    voxels = (900 * (x**2 + y**2 + z**2 < 0.6) + 50 * np.sin(8 * x)).astype(np.int16)
    return Volume.from_stored(voxels, np.diag([1.0, 1.1, 1.2, 1.0]))


@pytest.fixture
def flight(volume):
    return flight_of(volume, policies.generate(volume, "walk", 37, 5))


def test_values_are_the_slices_in_order(volume, flight, tmp_path):
    seen = []
    path = write_movie(tmp_path / "a.npy", volume, flight, 20, progress=seen.append)
    found = np.load(path)
    expected = render(volume, flight.poses, 20).values
    np.testing.assert_allclose(found, expected, atol=1e-2)
    assert seen == sorted(seen)
    assert seen[-1] == 1


def test_arrays_are_all_that_a_flight_is(volume, flight, tmp_path):
    path = write_movie(tmp_path / "a.npz", volume, flight, 21)
    found = np.load(path, allow_pickle=False)
    assert set(found.files) == {"frames", "valid", "poses", "actions", "times_s"}
    expected = [render(volume, pose, 21) for pose in flight.poses]
    np.testing.assert_allclose(found["frames"], [s.values for s in expected], atol=1e-2)
    np.testing.assert_array_equal(found["valid"], [s.valid for s in expected])
    np.testing.assert_array_equal(found["poses"], [pose.to_row() for pose in flight.poses])
    np.testing.assert_allclose(found["times_s"], np.asarray(flight.times_ns) / 1e9)
    assert found["actions"].shape == (37, 7)
    assert not found["actions"][-1].any()
    for k, action in enumerate(found["actions"][:-1]):
        reached = apply_action(flight.poses[k], action).to_row()
        np.testing.assert_allclose(reached, flight.poses[k + 1].to_row(), atol=1e-9)


def test_a_gif_shows_each_slice_over_the_windows_grey_levels(volume, flight, tmp_path):
    write_movie(tmp_path / "a.gif", volume, flight, 20)
    expected = gray(render(volume, flight.poses, 20), volume.value_range())
    with Image.open(tmp_path / "a.gif") as movie:
        frames = [np.asarray(f.convert("L")).astype(int) for f in ImageSequence.Iterator(movie)]
        assert movie.info["loop"] == 0
    assert len(frames) == len(expected)
    for frame, wanted in zip(frames, expected, strict=True):
        assert np.abs(frame - wanted).max() <= 1


def test_frames_last_as_long_as_they_did():
    times = np.array([0, 40, 45, 145, 100_000]) * 10**6
    assert frame_durations(times) == [40, 20, 100, 60_000, 60_000]
    assert frame_durations(np.array([0])) == [40]


def test_figures_of_pixels_inside(volume, flight):
    slices = render(volume, flight.poses, 20)
    inside = slices.values[slices.valid]
    found = figures(slices_along(volume, flight, 20))
    assert found["frames"] == 37
    assert found["part_inside"] == pytest.approx(slices.valid.mean())
    assert found["mean"] == pytest.approx(inside.mean(), rel=1e-4)
    assert (found["lowest"], found["highest"]) == pytest.approx(
        (inside.min(), inside.max()), abs=1e-2
    )
    assert figures(iter(())) == {
        "frames": 0, "part_inside": 0.0, "mean": 0.0, "lowest": 0.0, "highest": 0.0,
    }  # fmt: skip


def test_flights_that_make_no_movie(volume, flight, tmp_path):
    other = Volume.from_stored(np.ones((4, 4, 4), np.uint8), np.eye(4))
    empty = Flight(volume.identity, [], np.zeros(0, np.int64), flight_info(volume))
    (tmp_path / "there.gif").write_bytes(b"mine")
    for arguments, needle in (
        ((tmp_path / "a.npy", other, flight, 8), "another scan"),
        ((tmp_path / "a.gif", other, flight, 8), "another scan"),
        ((tmp_path / "a.gif", volume, empty, 8), "no pose"),
        ((tmp_path / "a.mp4", volume, flight, 8), "suffix"),
        ((tmp_path / "there.gif", volume, flight, 8), "there already"),
    ):
        with pytest.raises(MrisslError, match=needle):
            write_movie(*arguments)
    assert [path.name for path in tmp_path.iterdir()] == ["there.gif"]
    assert (tmp_path / "there.gif").read_bytes() == b"mine"
