"""The recorder's export and import with real widgets, files read by what reads their formats."""

import io
import json
import sys
import tarfile
import threading

import numpy as np
import pytest
from flight_datasets import dataset_over, remembered_scans
from lerobot_reader import Reader
from qtpy.QtWidgets import QFileDialog

from napari_mrissl.trajectories import Dataset
from napari_mrissl.trajectories.exchange import formats
from napari_mrissl.ui.layers import volume_of
from napari_mrissl.ui.recorder import FlightRecorder, work
from napari_mrissl.ui.recorder.exchange import fitting
from napari_mrissl.ui.recorder.exchange_box import FORMATS
from napari_mrissl.volumes import Volume

pytestmark = pytest.mark.gui

SIZE = 20
FRAMES = (9, 4, 1)


@pytest.fixture
def asked():
    """What the dialogs were asked: which, their title, where they begin, kinds of files."""
    return []


@pytest.fixture
def recorder(viewer, navigator, qtbot):
    """A recorder docked beside the navigator, its dataset looked at."""
    recorder = FlightRecorder(viewer)
    viewer.window.add_dock_widget(recorder, name="Flight recorder")
    settle(recorder, qtbot)
    recorder.sections["Export and import"].expand(animate=False)
    yield recorder
    settle(recorder, qtbot)


@pytest.fixture
def box(recorder):
    return recorder.exchange_box


@pytest.fixture
def dataset(recorder, tmp_path, qtbot):
    """Three episodes over two scans that this machine remembers, chosen in the dock."""
    made = dataset_over(tmp_path / "flights", remembered_scans(tmp_path), FRAMES)
    use(recorder, made, qtbot)
    return made


@pytest.fixture
def answer(box, asked, monkeypatch):
    """Answers the dialogs with a path, or with "" as one who cancels them."""

    def give(path):
        def ask(dialog, title, start, kinds=""):
            asked.append((getattr(dialog, "func", dialog), title, start, kinds))
            return str(path)

        monkeypatch.setattr(box, "ask", ask)

    return give


def settle(recorder, qtbot):
    qtbot.waitUntil(lambda: not recorder.busy and not recorder.deck.saving, timeout=60_000)


def use(recorder, dataset, qtbot):
    recorder.deck.choose_dataset(dataset.folder)
    settle(recorder, qtbot)


def choose(box, to):
    box.format.setCurrentIndex(box.format.findData(to))


def poses_of(dataset):
    return [dataset.table(number)["pose"] for number in range(len(dataset))]


def read_bids(out):
    tables = {}
    for path in out.glob("sub-*/motion/*_motion.tsv"):
        told = json.loads(path.with_suffix(".json").read_text("utf-8"))["NapariMrissl"]
        tables[told["stretch"]] = np.loadtxt(path, ndmin=2)
    return [tables[number] for number in sorted(tables)], None


def read_hdf5(out):
    h5py = pytest.importorskip("h5py")
    with h5py.File(out, "r") as file:
        ends = np.cumsum(file["ep_len"][:])
        return np.split(file["state"][:], ends[:-1]), file["pixels"].shape[1:3]


def read_lerobot(out):
    episodes = Reader(out).episodes
    columns = [one.columns for one in episodes]
    return [one["observation.state"] for one in columns], Reader(out).features["observation.image"][
        "shape"
    ][:2]


def read_minari(out):
    h5py = pytest.importorskip("h5py")
    with h5py.File(out / "mrissl" / "flights-v0" / "data" / "main_data.hdf5", "r") as file:
        seen = [file[f"episode_{number}"]["observations"] for number in range(len(file))]
        return [one["pose"][:] for one in seen], seen[0]["pixels"].shape[2:]


def read_webdataset(out):
    clips, shape = {}, None
    for shard in json.loads((out / "index.json").read_text("utf-8"))["shardlist"]:
        with tarfile.open(out / shard["url"]) as tar:
            for member in tar:
                key, _, part = member.name.partition(".")
                if part == "state.npy":
                    clips[key] = np.load(io.BytesIO(tar.extractfile(member).read()))
                elif part == "pixels.npy":
                    shape = np.load(io.BytesIO(tar.extractfile(member).read())).shape[1:]
    return [clips[key] for key in sorted(clips)], shape


READERS = {
    "bids": read_bids,
    "hdf5": read_hdf5,
    "lerobot": read_lerobot,
    "minari": read_minari,
    "webdataset": read_webdataset,
}


def test_every_format_is_written_as_its_readers_expect(
    recorder, box, dataset, answer, asked, tmp_path, qtbot
):
    assert list(FORMATS) == [box.format.itemData(n) for n in range(box.format.count())]
    assert list(READERS) == list(FORMATS)
    box.pixels.setValue(SIZE)
    for to, read in READERS.items():
        choose(box, to)
        out = tmp_path / f"out {to}"
        answer(out)
        box.export.click()
        assert not box.export.isEnabled()
        assert not box.load.isEnabled()
        assert box.cancel.isEnabled()
        settle(recorder, qtbot)
        # The suffix of a file is added.
        out = out.with_name("out hdf5.h5") if to == "hdf5" else out
        assert recorder.message.text() == f"Exported 3 episodes to {out.name}."
        poses, shape = read(out)
        kind = np.float32 if to == "lerobot" else np.float64
        # Without a step there is nothing for Minari.
        written = [flown for flown in poses_of(dataset) if to != "minari" or len(flown) > 1]
        for found, flown in zip(poses, written, strict=True):
            np.testing.assert_array_equal(found, flown.astype(kind))
        assert shape is None if to == "bids" else tuple(shape) == (SIZE, SIZE)
        assert box.export.isEnabled()
        assert box.progress.value() == 0
    names = [start.name for _, _, start, _ in asked]
    assert names == [
        "flights_bids", "flights.h5", "flights_lerobot", "flights_minari", "flights_webdataset",
    ]  # fmt: skip
    assert {start.parent for _, _, start, _ in asked} == {dataset.folder.parent}
    assert {dialog for dialog, *_ in asked} == {QFileDialog.getSaveFileName}
    # A name that is taken is not proposed, and one with another suffix of HDF5 is kept.
    (tmp_path / "flights.h5").touch()
    choose(box, "hdf5")
    answer(tmp_path / "other.HDF5")
    box.export.click()
    settle(recorder, qtbot)
    assert asked[-1][2].name == "flights_2.h5"
    assert len(read_hdf5(tmp_path / "other.HDF5")[0]) == 3


def test_what_can_be_done_is_enabled(recorder, navigator, box, tmp_path, qtbot, answer):
    assert not recorder.deck.shelf.contents.episodes
    assert not box.export.isEnabled()
    assert box.load.isEnabled()
    assert not box.cancel.isEnabled()
    choose(box, "bids")
    assert not box.pixels.isEnabled()
    assert "without images" in box.images.text()
    for to in ("hdf5", "lerobot", "minari", "webdataset"):
        choose(box, to)
        assert box.pixels.isEnabled()
        assert "identify people" in box.images.text()
    use(recorder, dataset_over(tmp_path / "flights", remembered_scans(tmp_path), FRAMES), qtbot)
    assert box.export.isEnabled()
    recorder.record_box.record.click()
    assert not box.export.isEnabled()
    assert not box.load.isEnabled()
    recorder.record_box.discard.click()
    settle(recorder, qtbot)
    # Who closes the dialog wants nothing.
    answer("")
    before = recorder.message.text()
    box.export.click()
    for action in box.loads.values():
        action.trigger()
    assert not recorder.exchange.busy
    assert recorder.message.text() == before


def test_a_target_that_is_there_is_refused_and_stays(recorder, box, dataset, answer, qtbot):
    taken = dataset.folder.parent / "taken.h5"
    taken.write_bytes(b"mine")
    folder = dataset.folder.parent / "taken"
    folder.mkdir()
    (folder / "mine").touch()
    before = sorted(dataset.folder.parent.rglob("*"))
    for to, out, why in (
        ("hdf5", taken, "there already"),
        ("lerobot", folder, "there already"),
        ("bids", dataset.folder / "out", "dataset itself"),
    ):
        choose(box, to)
        answer(out)
        box.export.click()
        settle(recorder, qtbot)
        assert why in recorder.message.text()
        assert recorder.message.styleSheet()
    assert taken.read_bytes() == b"mine"
    assert sorted(dataset.folder.parent.rglob("*")) == before


def test_a_cancelled_export_leaves_nothing(recorder, box, answer, tmp_path, qtbot):
    use(recorder, dataset_over(tmp_path / "flights", remembered_scans(tmp_path), [4000]), qtbot)
    before = sorted(tmp_path.rglob("*"))
    choose(box, "webdataset")
    box.pixels.setValue(512)
    answer(tmp_path / "out")
    box.export.click()
    qtbot.waitUntil(lambda: box.progress.value() > 0, timeout=60_000)
    assert sorted(tmp_path.rglob("*")) != before
    box.cancel.click()
    settle(recorder, qtbot)
    assert recorder.message.text() == "Cancelled; nothing was exported."
    assert sorted(tmp_path.rglob("*")) == before
    assert box.export.isEnabled()
    assert box.progress.value() == 0


def test_a_closed_dock_leaves_no_half_an_export(recorder, box, answer, viewer, tmp_path, qtbot):
    use(recorder, dataset_over(tmp_path / "flights", remembered_scans(tmp_path), [4000]), qtbot)
    before = sorted(tmp_path.rglob("*"))
    choose(box, "lerobot")
    box.pixels.setValue(512)
    answer(tmp_path / "out")
    box.export.click()
    qtbot.waitUntil(lambda: box.progress.value() > 0, timeout=60_000)
    viewer.window.remove_dock_widget(recorder)
    qtbot.waitUntil(lambda: sorted(tmp_path.rglob("*")) == before, timeout=60_000)


def cancel_at_once(recorder, monkeypatch, name):
    """Let the user cancel between the beginning and the end of what a function does."""
    real = getattr(formats, name)

    def cancelled(*words, progress, **more):
        def tell(part):
            recorder.exchange.cancel()
            progress(part)

        return real(*words, progress=tell, **more)

    monkeypatch.setattr(formats, name, cancelled)


def test_a_cancelled_import_leaves_nothing(
    recorder, box, dataset, answer, tmp_path, qtbot, monkeypatch
):
    answer(formats.export("bids", dataset, tmp_path / "bids"))
    cancel_at_once(recorder, monkeypatch, "load")
    box.loads["bids"].trigger()
    assert recorder.exchange.busy
    settle(recorder, qtbot)
    assert recorder.message.text() == "Cancelled; nothing was imported."
    assert list(work.flights_directory().iterdir()) == []
    assert recorder.deck.shelf.folder == dataset.folder


def test_what_ended_before_it_was_cancelled_is_not_denied(
    recorder, box, dataset, answer, tmp_path, qtbot, monkeypatch
):
    real, ended, go_on = formats.export, threading.Event(), threading.Event()

    def export(*words, **more):
        real(*words, **more)
        ended.set()
        assert go_on.wait(60)

    monkeypatch.setattr(formats, "export", export)
    choose(box, "bids")
    answer(tmp_path / "out")
    box.export.click()
    assert ended.wait(60)
    box.cancel.click()
    go_on.set()
    settle(recorder, qtbot)
    assert recorder.message.text() == "Cancelled; out had been written before."
    assert len(read_bids(tmp_path / "out")[0]) == 3


@pytest.mark.parametrize("source", ["bids", "hdf5"])
def test_an_import_brings_poses_bit_for_bit_and_is_chosen(
    recorder, box, dataset, answer, asked, tmp_path, qtbot, source
):
    if source == "hdf5":
        pytest.importorskip("h5py")
    out = tmp_path / ("out.h5" if source == "hdf5" else "out")
    answer(formats.export(source, dataset, out, 4))
    folder = work.new_folder()
    box.loads[source].trigger()
    settle(recorder, qtbot)
    assert recorder.deck.shelf.folder == folder
    assert folder.parent == work.flights_directory()
    imported = Dataset.open(folder)
    for found, flown in zip(poses_of(imported), poses_of(dataset), strict=True):
        np.testing.assert_array_equal(found, flown)
    listed = recorder.episodes_box.list
    shown = [listed.topLevelItem(row) for row in range(listed.topLevelItemCount())]
    assert [item.text(3) for item in shown] == [str(count) for count in FRAMES]
    assert [item.text(1) for item in shown] == [entry.task for entry in dataset.entries]
    assert "3 episodes" in recorder.message.text()
    assert folder in work.recent_folders()
    asker = {"bids": QFileDialog.getExistingDirectory, "hdf5": QFileDialog.getOpenFileName}
    assert asked[0][0] == asker[source]
    # Another import is another dataset.
    box.loads[source].trigger()
    settle(recorder, qtbot)
    assert recorder.deck.shelf.folder == folder.with_name(f"{folder.name}_2")


def test_an_import_stays_out_of_a_recording(
    recorder, navigator, box, dataset, answer, tmp_path, qtbot
):
    answer(formats.export("bids", dataset, tmp_path / "out"))
    # What is recorded next goes to today's folder, which is not there yet.
    recorder.deck.choose_dataset(work.default_folder())
    settle(recorder, qtbot)
    box.loads["bids"].trigger()
    recorder.record_box.record.click()
    assert recorder.deck.recording
    qtbot.waitUntil(lambda: not recorder.busy, timeout=60_000)
    imported = work.default_folder().with_name(f"{work.default_folder().name}_2")
    assert recorder.message.text() == (
        f"Imported 3 episodes as {imported.name}. Choose it once the recording has ended."
    )
    assert recorder.deck.recording
    assert recorder.deck.shelf.folder == work.default_folder()
    assert len(Dataset.open(imported)) == 3
    recorder.record_box.discard.click()
    settle(recorder, qtbot)
    assert str(imported) in [
        action.toolTip() for action in recorder.dataset_box.fill_menu().actions()
    ]


def test_what_is_no_source_is_refused(recorder, box, answer, tmp_path, qtbot):
    text = tmp_path / "notes.h5"
    text.write_text("no flights", "utf-8")
    for source, path in (("bids", tmp_path), ("hdf5", text)):
        answer(path)
        box.loads[source].trigger()
        settle(recorder, qtbot)
        assert path.name in recorder.message.text()
        assert recorder.message.styleSheet()
    assert list(work.flights_directory().iterdir()) == []


def test_flights_that_name_no_scan_are_of_the_one_in_the_navigator(
    recorder, box, dataset, answer, viewer, tmp_path, qtbot
):
    h5py = pytest.importorskip("h5py")
    out = formats.export("hdf5", dataset, tmp_path / "out.h5", 4)
    with h5py.File(out, "r+") as file:
        del file.attrs["napari_mrissl"]
    answer(out)
    box.loads["hdf5"].trigger()
    settle(recorder, qtbot)
    identity = volume_of(viewer.layers["scan"]).identity
    imported = Dataset.open(recorder.deck.shelf.folder)
    assert [entry.identity for entry in imported.entries] == [identity] * 3
    before = recorder.deck.shelf.folder
    viewer.layers.clear()
    qtbot.waitUntil(lambda: recorder.deck.volume is None)
    box.loads["hdf5"].trigger()
    settle(recorder, qtbot)
    assert "over which scan" in recorder.message.text()
    assert recorder.deck.shelf.folder == before


def test_a_scan_that_is_only_open_serves(recorder, box, viewer, answer, tmp_path, qtbot):
    """The navigator's, and one beside it that another program made."""
    here = volume_of(viewer.layers["scan"])
    voxels = np.random.default_rng(0).normal(size=(12, 14, 16)).astype(np.float32)
    beside = viewer.add_image(voxels, name="beside", scale=(2, 2, 2))
    made = dataset_over(tmp_path / "flights", [here, volume_of(beside)], (3, 3))
    use(recorder, made, qtbot)
    choose(box, "lerobot")
    box.pixels.setValue(SIZE)
    answer(tmp_path / "out")
    box.export.click()
    settle(recorder, qtbot)
    assert recorder.message.text() == "Exported 2 episodes to out."
    assert len(read_lerobot(tmp_path / "out")[0]) == 2
    viewer.layers.remove(beside)
    answer(tmp_path / "again")
    box.export.click()
    settle(recorder, qtbot)
    assert "not known on this machine" in recorder.message.text()
    assert not (tmp_path / "again").exists()


def test_no_other_lazy_scan_is_read():
    volume = Volume.from_stored(np.zeros((3, 4, 5), np.float32), np.eye(4))
    small = Volume.from_stored(np.zeros((2, 2, 2), np.float32), np.eye(4))
    read = []

    def reading(of):
        return lambda: read.append(of) or of

    facts = [{"shape": list(volume.shape)}]
    readings = [
        (None, reading(small)),
        ((2, 2, 2), reading(small)),
        ((3, 4, 5), reading(volume)),
        (None, reading(volume)),
    ]
    assert fitting(readings, facts) == [volume, volume]
    assert read == [small, volume, volume]


def test_a_library_that_is_missing_is_named_in_a_sentence(
    recorder, box, dataset, answer, tmp_path, qtbot, monkeypatch
):
    monkeypatch.setitem(sys.modules, "h5py", None)
    choose(box, "minari")
    answer(tmp_path / "out")
    box.export.click()
    settle(recorder, qtbot)
    assert "h5py is not installed" in recorder.message.text()
    assert "pip install" in recorder.message.text()
    assert not (tmp_path / "out").exists()


def test_the_section_is_folded_and_does_not_widen_the_dock(viewer, navigator, qtbot):
    recorder = FlightRecorder(viewer)
    viewer.window.add_dock_widget(recorder, name="Flight recorder")
    settle(recorder, qtbot)
    assert list(recorder.sections)[-1] == "Export and import"
    assert not recorder.sections["Export and import"].isExpanded()
    neighbours = (recorder.dataset_box, recorder.record_box, recorder.policy_box)
    widest = max(one.minimumSizeHint().width() for one in neighbours)
    assert recorder.exchange_box.minimumSizeHint().width() <= widest
    width = recorder.sizeHint().width()
    recorder.sections["Export and import"].expand(animate=False)
    assert recorder.sizeHint().width() == width
