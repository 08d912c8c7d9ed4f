"""What holds for every format: whole or not at all, and nothing beside."""

import signal
import subprocess
import sys
import weakref

import pytest

from napari_mrissl.errors import MrisslError
from napari_mrissl.trajectories import Dataset
from napari_mrissl.trajectories.exchange import formats

NAMES = {"bids": "out", "hdf5": "out.h5", "minari": "out", "webdataset": "out"}


@pytest.fixture(params=NAMES)
def to(request):
    if request.param in ("hdf5", "minari"):
        pytest.importorskip("h5py")
    return request.param


class GivenUp(Exception):
    pass


@pytest.mark.parametrize("moment", [0.0, 0.5, 1.0])
def test_what_is_given_up_leaves_nothing(dataset, tmp_path, to, moment):
    def give_up(part):
        if part >= moment:
            raise GivenUp

    before = sorted(tmp_path.iterdir())
    with pytest.raises(GivenUp):
        formats.export(to, dataset, tmp_path / NAMES[to], 8, progress=give_up)
    assert sorted(tmp_path.iterdir()) == before


FULL = """
import resource, sys
from napari_mrissl.cli import main
words = sys.argv[3:]
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
sys.exit(main([*words, "--out", sys.argv[1]]))
"""


def test_a_full_disk_ends_an_export_with_a_sentence(dataset, tmp_path, to):
    name = NAMES[to]
    most = "300" if to == "bids" else "30000"
    (tmp_path / "there").mkdir()
    words = ["trajectory", "export", str(dataset.folder), "--to", to, "--size", "96"]
    ran = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path / "there" / name), most, *words],
        capture_output=True, encoding="utf-8", timeout=240, check=False,
    )  # fmt: skip
    assert ran.returncode == 2, ran.stderr
    assert "Traceback" not in ran.stderr
    assert "could not be written (File too large)" in ran.stderr
    assert list((tmp_path / "there").iterdir()) == []


class _Gone:
    """Something whose end is noticed from C, as h5py notices those of its files."""


def press_ctrl_c_where_it_is_lost():
    there = _Gone()
    kept = weakref.ref(there, lambda _: signal.raise_signal(signal.SIGINT))
    del there
    assert kept() is None


@pytest.mark.parametrize("last", [False, True])
def test_ctrl_c_in_the_midst_of_a_library_ends_an_export(dataset, tmp_path, to, last):
    """Raised in a callback of C it would be printed, and the export would go on."""

    def press(part):
        if part == 1 or not last:
            press_ctrl_c_where_it_is_lost()

    before = sorted(tmp_path.iterdir())
    with pytest.raises(KeyboardInterrupt):
        formats.export(to, dataset, tmp_path / NAMES[to], 8, progress=press)
    assert sorted(tmp_path.iterdir()) == before
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_progress_rises_to_one(dataset, tmp_path, to):
    seen = []
    formats.export(to, dataset, tmp_path / NAMES[to], 8, progress=seen.append)
    assert seen == sorted(seen)
    assert 0 < seen[0] <= seen[-1] == 1


def test_refusals_leave_all_as_it_was(dataset, volumes, tmp_path, to):
    name = NAMES[to]
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / name).mkdir()
    (tmp_path / "dangling").mkdir()
    (tmp_path / "dangling" / name).symlink_to(tmp_path / "nowhere")
    empty = Dataset.create(tmp_path / "empty")
    before = sorted(tmp_path.rglob("*"))
    for arguments, needle in (
        ((dataset, tmp_path / "there" / name), "there already"),
        ((dataset, tmp_path / "dangling" / name), "there already"),
        ((dataset, tmp_path / "no" / name), "not there"),
        ((dataset, dataset.folder / name), "dataset itself"),
        ((dataset, tmp_path / name, 0), "size"),
        ((empty, tmp_path / name), "no episode"),
    ):
        with pytest.raises(MrisslError, match=needle):
            formats.export(to, *arguments)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_scan_that_is_not_known_is_named(dataset, volumes, tmp_path, to):
    (tmp_path / "scan1.nii.gz").unlink()
    before = sorted(tmp_path.iterdir())
    if to == "bids":
        formats.export(to, dataset, tmp_path / NAMES[to], 8)
        return
    with pytest.raises(MrisslError, match=volumes[1].identity):
        formats.export(to, dataset, tmp_path / NAMES[to], 8)
    assert sorted(tmp_path.iterdir()) == before


def test_the_same_dataset_gives_the_same_files(dataset, tmp_path, to):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        formats.export(to, dataset, tmp_path / name / NAMES[to], 8)
    paths = [path for path in (tmp_path / "a").rglob("*") if path.is_file()]
    assert paths
    for path in paths:
        other = tmp_path / "b" / path.relative_to(tmp_path / "a")
        assert path.read_bytes() == other.read_bytes()


@pytest.mark.parametrize("to", ["hdf5", "minari"])
def test_a_missing_library_is_named_with_its_remedy(dataset, tmp_path, monkeypatch, to):
    monkeypatch.setitem(sys.modules, "h5py", None)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(MrisslError, match=r"h5py is not installed.*napari-mrissl\[exports\]"):
        formats.export(to, dataset, tmp_path / NAMES[to], 8)
    with pytest.raises(MrisslError, match=r"h5py is not installed"):
        formats.load("hdf5", tmp_path / "a.h5", tmp_path / "back")
    assert sorted(tmp_path.iterdir()) == before


def test_formats_and_suffixes_that_are_not_known_are_refused(dataset, tmp_path):
    with pytest.raises(MrisslError, match="bids or hdf5"):
        formats.export("rosbag", dataset, tmp_path / "out")
    with pytest.raises(MrisslError, match="bids or hdf5"):
        formats.load("rosbag", tmp_path, tmp_path / "out")
    with pytest.raises(MrisslError, match=r"\.h5"):
        formats.export("hdf5", dataset, tmp_path / "out.zarr")


@pytest.mark.parametrize("moment", [0.2, 1.0])
def test_an_import_that_is_given_up_leaves_nothing(dataset, tmp_path, moment):
    source = formats.export("bids", dataset, tmp_path / "out")

    def give_up(part):
        if part >= moment:
            raise GivenUp

    before = sorted(tmp_path.iterdir())
    with pytest.raises(GivenUp):
        formats.load("bids", source, tmp_path / "back", progress=give_up)
    (tmp_path / "back").mkdir()
    with pytest.raises(MrisslError, match="there already"):
        formats.load("bids", source, tmp_path / "back")
    (tmp_path / "back").rmdir()
    assert sorted(tmp_path.iterdir()) == before
