"""A run on a pack makes the samples of the same run on the files that were packed."""

import errno
import functools
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest

pytest.importorskip("zarr")
pytest.importorskip("torch")

from zarr.codecs import BloscCodec

from napari_mrissl.cli import main
from napari_mrissl.errors import MrisslError
from napari_mrissl.packs import MANIFEST, Pack, check, writing
from napari_mrissl.packs.shards import shard_of
from napari_mrissl.pretext.task import SampleKey
from napari_mrissl.training.building import settings_for, task_of
from napari_mrissl.training.data import cohort, known_packs
from napari_mrissl.training.data.cohort import load
from napari_mrissl.training.data.packing import pack
from napari_mrissl.training.data.sources import find
from napari_mrissl.training.known_scans import is_among, trained_on
from napari_mrissl.training.run import Run
from napari_mrissl.training.settings import DataSettings, Preprocessing, RunSettings
from napari_mrissl.volumes import read
from tests.packed import TURNED, counted, volume_of
from tests.training.cohorts import voxels, write_scan

SIDE = (90, 70, 80)


def scans(folder: Path, count: int) -> Path:
    """Scans that are too large for one chunk, as a scanner stores them."""
    folder.mkdir(parents=True)
    for number in range(count):
        volume = volume_of(number, SIDE)
        stored = volume.to_stored(volume.data)
        image = nibabel.Nifti1Image(stored, volume.stored.affine)
        image.header.set_slope_inter(0.5, -3.0)
        nibabel.save(image, folder / f"Doe_{number}.nii.gz")
    return folder


def samples(data: DataSettings, method: str, seed: int = 0) -> list[dict[str, np.ndarray]]:
    """Samples of a few steps of a run."""
    settings = settings_for(method, data, "tiny", {"seed": seed})
    subjects = cohort.subjects(settings, "train")
    task = task_of(settings)
    keys = [SampleKey(seed, step, number) for step in range(4) for number in range(3)]
    return [dict(task.sample(subjects, key).arrays) for key in keys]


@pytest.mark.parametrize("method", ["masked", "vectorpose"])
def test_samples_are_those_of_the_files_bit_for_bit(tmp_path: Path, method) -> None:
    folder = scans(tmp_path / "scans", 4)
    pack([folder], tmp_path / "pack")
    files, packed = load([folder]), load([tmp_path / "pack"])
    assert packed.records == files.records
    assert packed.facts == files.facts
    assert packed.preprocessing == files.preprocessing
    assert (files.packs, len(packed.packs)) == ((), 1)
    of_pack = samples(packed.settings(), method)
    expected = samples(files.settings(), method)
    for ours, theirs in zip(of_pack, expected, strict=True):
        assert ours.keys() == theirs.keys()
        for name in ours:
            assert ours[name].tobytes() == theirs[name].tobytes()


def test_a_pack_is_enough_where_the_files_never_were(tmp_path: Path, monkeypatch) -> None:
    folder = scans(tmp_path / "scans", 3)
    pack([folder], tmp_path / "pack")
    expected = samples(load([folder]).settings(), "masked", seed=3)
    monkeypatch.setenv("MRISSL_DATA_DIR", str(tmp_path / "another machine"))
    monkeypatch.setenv("MRISSL_CACHE_DIR", str(tmp_path / "its cache"))
    folder.rename(tmp_path / "gone")
    known_packs._open.clear()
    with counted() as reads:
        data = load([f"counted://{tmp_path / 'pack'}"]).settings()
        found = samples(data, "masked", seed=3)
    assert all(
        one[name].tobytes() == two[name].tobytes()
        for one, two in zip(found, expected, strict=True)
        for name in one
    )
    # Files are as many as are asked for, and no metadata of zarr is among them.
    assert {Path(path).name for path, _ in reads} == {MANIFEST, "c.0.0.0"}
    assert not (tmp_path / "its cache" / "decoded").exists()


def test_a_run_says_which_pack_and_not_where(tmp_path: Path, monkeypatch) -> None:
    pack([scans(tmp_path / "scans", 2)], tmp_path / "pack")
    data = load([tmp_path / "pack"]).settings()
    said = RunSettings(method="toy", data=data).model_dump_json()
    assert str(tmp_path) not in said
    assert "Doe" not in said
    assert Pack.open(tmp_path / "pack").manifest.uuid in said
    monkeypatch.setenv("MRISSL_DATA_DIR", str(tmp_path / "another machine"))
    known_packs._open.clear()
    with pytest.raises(MrisslError, match=r"pack .* of this run is not known on this machine"):
        cohort.subjects(RunSettings(method="toy", data=data), "train")
    known_packs.noted(tmp_path / "pack")
    assert len(cohort.subjects(RunSettings(method="toy", data=data), "train")) == 1
    (tmp_path / "pack").rename(tmp_path / "moved")
    known_packs._open.clear()
    with pytest.raises(MrisslError, match="could not be read"):
        cohort.subjects(RunSettings(method="toy", data=data), "train")
    pack([write_scan(tmp_path / "other.nii", 9)], tmp_path / "pack")
    known_packs._open.clear()
    with pytest.raises(MrisslError, match="another pack lies"):
        cohort.subjects(RunSettings(method="toy", data=data), "train")


def test_other_percentiles_are_those_of_the_files(tmp_path: Path) -> None:
    folder = scans(tmp_path / "scans", 2)
    pack([folder], tmp_path / "pack")
    scale = Preprocessing(low=3.0, high=88.0)
    found = [
        cohort.subjects(RunSettings(method="toy", data=load([place]).settings(scale)), "train")
        for place in (folder, tmp_path / "pack")
    ]
    first, second = (subjects.scan(0) for subjects in found)
    assert (first.low, first.high) == (second.low, second.high)


def test_packs_and_files_of_one_cohort_share_copies_and_subjects(tmp_path: Path) -> None:
    for number in range(4):
        write_scan(tmp_path / "a" / f"sub-{number // 2}_run-{number % 2}_T1w.nii.gz", number)
    pack([tmp_path / "a"], tmp_path / "pack")
    write_scan(tmp_path / "b" / "copy.nii", voxels(3).astype(np.float32))
    write_scan(tmp_path / "b" / "other.nii", 7)
    made = load([tmp_path / "pack", tmp_path / "b"])
    assert len(made.records) == 5
    assert made.duplicates == (("copy.nii", "scan-000004"),)
    people = [record.subject for record in made.records]
    assert people == [f"subject-00{k}" for k in (1, 1, 2, 2, 3)]
    with pytest.raises(MrisslError, match="of the same subject"):
        load([tmp_path / "pack"], exclude=[tmp_path / "b" / "copy.nii"], validation=[tmp_path])


def test_labels_and_parts_of_a_table_come_along(tmp_path: Path) -> None:
    lines = ["path,subject,split,label"]
    for number, split in enumerate(("train", "train", "validation", "test")):
        write_scan(tmp_path / f"s{number}.nii.gz", number)
        write_scan(tmp_path / f"l{number}.nii.gz", (voxels(number) > 60).astype("u1"))
        person = max(1, number)
        lines.append(f"s{number}.nii.gz,Doe {person},{split},l{number}.nii.gz")
    (tmp_path / "table.csv").write_text("\n".join(lines), "utf-8")
    made = pack([tmp_path / "table.csv"], tmp_path / "pack")
    assert [entry.name for entry in made.entries if entry.role == "labels"] == [
        f"labels-00000{k}" for k in (1, 2, 3, 4)
    ]
    files, packed = load([tmp_path / "table.csv"]), load([tmp_path / "pack"])
    assert packed.records == files.records
    assert [record.split for record in packed.records] == ["train", "train", "validation"]
    of_files, of_pack = (
        cohort.subjects(RunSettings(method="toy", data=one.settings()), "train").scan(1)
        for one in (files, packed)
    )
    assert np.array_equal(of_files.labels, of_pack.labels)
    assert of_pack.labels.dtype == of_files.labels.dtype
    assert check(Pack.open(tmp_path / "pack")).faults == ()


def test_a_label_map_that_does_not_fit_is_not_packed(tmp_path: Path) -> None:
    write_scan(tmp_path / "s.nii", 1)
    write_scan(tmp_path / "l.nii", voxels(1, "u1", (7, 6, 4)))
    (tmp_path / "table.csv").write_text("path,label\ns.nii,l.nii", "utf-8")
    with pytest.raises(MrisslError, match="labels of"):
        pack([tmp_path / "table.csv"], tmp_path / "pack")
    write_scan(tmp_path / "l.nii", voxels(1, "u1", (7, 6, 5, 2)))
    with pytest.raises(MrisslError, match="2 frames"):
        pack([tmp_path / "table.csv"], tmp_path / "pack")
    assert not (tmp_path / "pack" / MANIFEST).exists()


def test_packing_again_adds_what_is_new_and_touches_nothing_else(tmp_path: Path) -> None:
    for number in range(3):
        write_scan(tmp_path / "a" / f"sub-{number}_T1w.nii.gz", number)
    first = pack([tmp_path / "a"], tmp_path / "pack")
    assert (first.added, first.copies) == (3, 0)
    shards = {path: path.stat().st_mtime_ns for path in (tmp_path / "pack").rglob("c.*")}
    again = pack([tmp_path / "a"], tmp_path / "pack")
    assert (again.added, again.copies, again.entries) == (0, 0, first.entries)
    write_scan(tmp_path / "a" / "sub-1_run-2_T1w.nii.gz", 10)
    write_scan(tmp_path / "a" / "sub-9_T1w.nii.gz", 1)
    third = pack([tmp_path / "a"], tmp_path / "pack")
    assert (third.added, third.uuid) == (1, first.uuid)
    assert third.entries[:3] == first.entries
    # The same person's later scan; who it is cannot be told from the word.
    assert third.entries[3].subject == first.entries[1].subject
    assert {path: path.stat().st_mtime_ns for path in shards} == shards


def test_people_who_share_a_scan_are_one(tmp_path: Path) -> None:
    write_scan(tmp_path / "sub-1_T1w.nii", 1)
    write_scan(tmp_path / "sub-2_T1w.nii", 1)
    write_scan(tmp_path / "sub-2_T2w.nii", 2)
    write_scan(tmp_path / "sub-3_T1w.nii", 3)
    made = pack([tmp_path], tmp_path / "pack")
    one, two, three = (entry.subject for entry in made.entries)
    assert one == two != three
    assert made.copies == 1
    assert load([tmp_path / "pack"]).subject_count == load([tmp_path]).subject_count


def scaled(path: Path, seed: int, slope: float, intercept: float) -> Path:
    """The same stored voxels as of every file of this seed, in another scale."""
    image = nibabel.load(write_scan(path, seed))
    image.header.set_slope_inter(slope, intercept)
    stored = np.asanyarray(image.dataobj.get_unscaled())
    with path.open("wb") as file:
        image.header.write_to(file)
        file.seek(352)
        file.write(np.asfortranarray(stored).tobytes("F"))
    return path


@pytest.mark.parametrize("workers", [1, 4])
def test_another_scale_of_the_same_voxels_is_left_out_and_said(tmp_path: Path, workers) -> None:
    plain = scaled(tmp_path / "in" / "a.nii", 1, 1.0, 0.0)
    other = scaled(tmp_path / "in" / "b.nii", 1, 2.5, -10.0)
    assert read(plain).identity == read(other).identity
    made = pack([tmp_path / "in"], tmp_path / "pack", workers=workers)
    assert (made.added, made.copies) == (1, 0)
    kept = made.entries[0]
    (said,) = made.notes
    assert f"{'b' if kept.slope == 1 else 'a'}.nii: the voxels are in the pack" in said
    assert check(Pack.open(tmp_path / "pack")).faults == ()
    # What is asked for brings the other one in.
    folder = said.split("delete ")[1].split(" in it")[0]
    shutil.rmtree(tmp_path / "pack" / folder)
    left_out = other if kept.slope == 1 else plain
    again = pack([left_out], tmp_path / "pack")
    assert (again.added, again.copies, again.notes) == (0, 0, ())
    volume = Pack.open(tmp_path / "pack").volume(kept.identity)
    assert (volume.slope, volume.intercept) == (read(left_out).slope, read(left_out).intercept)
    assert again.entries[0].name == kept.name
    assert check(Pack.open(tmp_path / "pack")).faults == ()


def test_a_shard_that_is_written_again_is_known_by_what_it_has_become(
    tmp_path: Path, monkeypatch
) -> None:
    scan = write_scan(tmp_path / "a.nii", 1)
    entry = pack([scan], tmp_path / "pack").entries[0]
    shard = tmp_path / "pack" / shard_of(entry.identity)
    shard.write_bytes(shard.read_bytes()[:-1])
    # As another version of the compressor may do.
    in_blocks = functools.partial(BloscCodec, blocksize=4096)
    monkeypatch.setattr("zarr.codecs.BloscCodec", in_blocks)
    pack([scan], tmp_path / "pack")
    assert shard.stat().st_size != entry.bytes
    assert Pack.open(tmp_path / "pack").manifest.entries[0].bytes == shard.stat().st_size


def test_a_pack_is_not_written_to_a_url(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    write_scan(tmp_path / "a.nii", 1)
    assert main(["pack", "a.nii", "--out", "s3://bucket/pack"]) == 2
    assert "a folder of this machine" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("s3")] == []


def test_two_users_have_two_words_for_a_person(tmp_path: Path, monkeypatch) -> None:
    scan = write_scan(tmp_path / "sub-1_T1w.nii", 1)
    words = []
    for user in ("one", "two"):
        monkeypatch.setenv("MRISSL_DATA_DIR", str(tmp_path / user))
        words.append(pack([scan], tmp_path / f"pack {user}").entries[0].subject)
        assert os.stat(tmp_path / user / "pack_secret").st_mode & 0o077 == 0
        assert len((tmp_path / user / "pack_secret").read_bytes()) == 32
        assert len(list((tmp_path / user).glob("pack_secret*"))) == 1
    assert words[0] != words[1]


def test_what_cannot_be_read_is_left_out_if_it_was_found_and_refused_if_named(tmp_path) -> None:
    write_scan(tmp_path / "in" / "good.nii", 1)
    (tmp_path / "in" / "bad.nii").write_bytes(b"nothing")
    made = pack([tmp_path / "in"], tmp_path / "pack")
    assert len(made.entries) == 1
    assert "bad.nii" in made.notes[0]
    with pytest.raises(MrisslError, match=r"bad\.nii"):
        pack([tmp_path / "in" / "bad.nii"], tmp_path / "pack 2")
    (tmp_path / "in" / "good.nii").unlink()
    with pytest.raises(MrisslError, match=r"no scan could be read \(bad\.nii: "):
        pack([tmp_path / "in"], tmp_path / "pack 3")


def test_a_full_disk_ends_a_packing_which_goes_on_later(tmp_path: Path, monkeypatch) -> None:
    for number in range(3):
        write_scan(tmp_path / "in" / f"{number}.nii", number)
    left = [3]

    def sync(folder: Path) -> None:
        left[0] -= 1
        if not left[0]:
            raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(writing, "sync_folder", sync)
        with pytest.raises(MrisslError, match="No space left on device"):
            pack([tmp_path / "in"], tmp_path / "pack")
    assert not (tmp_path / "pack" / MANIFEST).exists()
    assert pack([tmp_path / "in"], tmp_path / "pack").added == 3
    assert check(Pack.open(tmp_path / "pack")).faults == ()


def test_what_a_pack_has_not_of_a_file_is_said(tmp_path: Path) -> None:
    frames = np.stack([voxels(1), voxels(2)], axis=-1)
    write_scan(tmp_path / "in" / "a.nii", frames, np.eye(4))
    write_scan(tmp_path / "in" / "b.nii", 3)
    said = "scans with several volumes, of which the first is in the pack: 1"
    assert pack([tmp_path / "in"], tmp_path / "pack").notes == (said,)


def test_one_scan_is_not_in_two_parts(tmp_path: Path) -> None:
    write_scan(tmp_path / "a.nii", 1)
    write_scan(tmp_path / "b.nii", 1)
    (tmp_path / "t.csv").write_text("path,split\na.nii,train\nb.nii,test", "utf-8")
    with pytest.raises(MrisslError, match="named for train and for test"):
        pack([tmp_path / "t.csv"], tmp_path / "pack")


def test_threads_pack_what_one_packs(tmp_path: Path) -> None:
    for number in range(12):
        write_scan(tmp_path / "in" / f"{number:02d}.nii", number % 9)
    one, many = (
        pack([tmp_path / "in"], tmp_path / f"pack {workers}", workers=workers) for workers in (1, 6)
    )
    assert one.entries == many.entries
    assert check(Pack.open(tmp_path / "pack 6")).faults == ()


def test_only_a_run_looks_into_packs(tmp_path: Path) -> None:
    pack([write_scan(tmp_path / "a.nii", 1)], tmp_path / "pack")
    with pytest.raises(MrisslError, match="no scans found"):
        find([tmp_path / "pack"])
    assert len(find([tmp_path / "pack"], packs=True).entries) == 1


STOPPED = """
import os, signal, sys
from napari_mrissl.packs import PackWriter
from napari_mrissl.training.data.packing import pack
left, write = [int(sys.argv[3])], PackWriter.write
def written(self, *words):
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)
    left[0] -= 1
    return write(self, *words)
PackWriter.write = written
pack([sys.argv[1]], sys.argv[2])
"""


def test_a_killed_packing_goes_on_and_ends_as_if_nothing_had_been(tmp_path: Path) -> None:
    for number in range(5):
        write_scan(tmp_path / "in" / f"{number}.nii", number)
    whole = pack([tmp_path / "in"], tmp_path / "whole")
    for left in (3, 1):
        words = [sys.executable, "-c", STOPPED, str(tmp_path / "in"), str(tmp_path / "pack")]
        ended = subprocess.run([*words, str(left)], check=False, timeout=120)
        assert ended.returncode == -signal.SIGKILL
    made = sorted((tmp_path / "pack").rglob("c.0.0.0"))
    assert len(made) == 4
    before = [path.stat().st_mtime_ns for path in made]
    finished = pack([tmp_path / "in"], tmp_path / "pack")
    assert finished.entries == whole.entries
    assert [path.stat().st_mtime_ns for path in made] == before


def test_a_pack_of_turned_scans_has_their_places(tmp_path: Path) -> None:
    values = voxels(1)
    write_scan(tmp_path / "a.nii", values, TURNED)
    made = pack([tmp_path / "a.nii"], tmp_path / "pack")
    volume = Pack.open(tmp_path / "pack").volume(made.entries[0].identity)
    reference = nibabel.load(tmp_path / "a.nii")
    for place in np.random.default_rng(0).integers(0, values.shape, (20, 3)):
        world = nibabel.affines.apply_affine(reference.affine, place)
        s, a, r = np.rint(nibabel.affines.apply_affine(volume.to_index, world)).astype(int)
        assert volume.data[s, a, r] == values[tuple(place)]


def test_a_copy_of_a_packed_scan_is_known_to_what_was_trained_on_it(tmp_path: Path) -> None:
    pack([write_scan(tmp_path / f"{k}.nii", k) for k in (1, 2)], tmp_path / "pack")
    settings = RunSettings(method="toy", data=load([tmp_path / "pack"]).settings())
    run = Run.create(tmp_path / "run", settings)
    for path in tmp_path.glob("*.nii"):
        path.unlink()
    known_packs._open.clear()
    copy, other = (
        read(write_scan(tmp_path / f"copy {k}.nii", voxels(k).astype("f4"))) for k in (1, 3)
    )
    assert copy.identity not in {record.identity for record in settings.data.subjects}
    assert is_among(copy, trained_on(run.folder))
    assert not is_among(other, trained_on(run.folder))
    (tmp_path / "pack").rename(tmp_path / "gone")
    known_packs._open.clear()
    assert not is_among(copy, trained_on(run.folder))
