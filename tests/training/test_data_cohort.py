"""Splits by subject, copies and overlap; what a run's settings may hold (X4, X5)."""

import hashlib
import json
import threading
from pathlib import Path

import nibabel
import numpy as np
import pytest

from napari_mrissl.errors import MrisslError
from napari_mrissl.training.data import cohort
from napari_mrissl.training.data.cohort import load
from napari_mrissl.training.data.groups import grouped, held_out
from napari_mrissl.training.data.preprocessing import CT_WINDOW
from napari_mrissl.training.settings import DataSettings, Preprocessing, RunSettings
from napari_mrissl.volumes import read
from tests.data import shared_data
from tests.training.cohorts import SHAPE, voxels, write_scan

FLIPPED = np.array([[-1.0, 0, 0, 9], [0, 1.5, 0, 0], [0, 0, 2, 0], [0, 0, 0, 1]])


def run_of(data: DataSettings) -> RunSettings:
    return RunSettings(method="toy", data=data)


def folder_of(root: Path, count: int) -> Path:
    for number in range(count):
        write_scan(root / f"Doe_{number}.nii.gz", number)
    return root


def test_a_fifth_of_the_subjects_is_held_out_wherever_the_files_lie(tmp_path: Path) -> None:
    first = load([folder_of(tmp_path / "here", 10)])
    assert first.subject_count == {"train": 8, "validation": 2}
    moved = tmp_path / "there"
    for number in range(10):
        write_scan(moved / f"{9 - number}_other.nii.gz", number)
    again = load([moved])
    assert {r.identity: r.split for r in again.records} == {
        r.identity: r.split for r in first.records
    }
    other = load([moved], seed=1)
    assert {r.identity: r.split for r in other.records} != {
        r.identity: r.split for r in first.records
    }


def test_one_subject_trains_and_two_hold_one_out(tmp_path: Path) -> None:
    one = load([write_scan(tmp_path / "a.nii", 1)])
    assert one.subject_count == {"train": 1, "validation": 0}
    assert any("held out" in note for note in one.notes)
    assert cohort.subjects(run_of(one.settings()), "validation") is None
    two = load([tmp_path / "a.nii", write_scan(tmp_path / "b.nii", 2)])
    assert two.subject_count == {"train": 1, "validation": 1}


def test_scans_of_one_person_are_never_parted(tmp_path: Path) -> None:
    for person in range(6):
        for session in range(3):
            name = f"sub-{person}/ses-{session}/anat/sub-{person}_ses-{session}_T1w.nii.gz"
            write_scan(tmp_path / name, 10 * person + session)
    made = load([tmp_path])
    assert len(made.records) == 18
    assert made.subject_count == {"train": 5, "validation": 1}


def test_copies_count_once_whatever_their_name_type_header_or_orientation(tmp_path: Path) -> None:
    values = voxels(1)
    write_scan(tmp_path / "a.nii.gz", values)
    write_scan(tmp_path / "b_renamed.nii", values)
    write_scan(tmp_path / "c_float.nii.gz", values.astype(np.float32))
    write_scan(tmp_path / "d_scaled.nii", (values * 2).astype(np.int16), slope=0.5, inter=0)
    write_scan(tmp_path / "e_moved.nii", values, np.diag([1.0, 1.5, 2.5, 1]))
    write_scan(tmp_path / "f_flipped.nii", values[::-1], FLIPPED)
    write_scan(tmp_path / "g_other.nii", 2)
    made = load([tmp_path])
    assert len(made.records) == 2
    assert [copy for copy, _ in made.duplicates] == [
        "b_renamed.nii",
        "c_float.nii.gz",
        "d_scaled.nii",
        "e_moved.nii",
        "f_flipped.nii",
    ]
    assert {original for _, original in made.duplicates} == {"a.nii.gz"}
    assert any("copies, left out: 5" in note for note in made.notes)
    assert "copies, left out: 5" in made.remarks


def test_a_copy_under_another_subject_makes_both_one(tmp_path: Path) -> None:
    for number, name in enumerate(("a", "b", "c", "d")):
        write_scan(tmp_path / name / "t1.nii", number)
        write_scan(tmp_path / name / "t2.nii", 10 + number)
    write_scan(tmp_path / "e" / "t1.nii", 0)
    write_scan(tmp_path / "e" / "t2.nii", 99)
    made = load([tmp_path])
    assert len(made.records) == 9
    subjects = {read(path).identity: path.parent.name for path in tmp_path.rglob("*.nii")}
    shared = {r.subject for r in made.records if subjects[r.identity] in ("a", "e")}
    assert len(shared) == 1
    assert len({r.subject for r in made.records}) == 4


def test_overlap_of_training_and_validation_is_refused(tmp_path: Path) -> None:
    train, held = folder_of(tmp_path / "train", 3), tmp_path / "validation"
    write_scan(held / "new.nii", 50)
    made = load([train], validation=[held])
    assert made.subject_count == {"train": 3, "validation": 1}
    # A copy with another header.
    write_scan(held / "copy.nii", voxels(2).astype(np.float32), np.eye(4))
    with pytest.raises(
        MrisslError, match=r"Doe_2.nii.gz .train. and copy.nii .validation."
    ) as said:
        load([train], validation=[held])
    assert str(tmp_path) not in str(said.value)


def test_overlap_with_scans_to_be_excluded_is_refused(tmp_path: Path) -> None:
    train = folder_of(tmp_path / "train", 3)
    later = tmp_path / "later.txt"
    later.write_text(str(write_scan(tmp_path / "test" / "x.nii", 70)), encoding="utf-8")
    assert len(load([train], exclude=[later]).records) == 3
    write_scan(tmp_path / "test" / "x.nii", voxels(1).astype(np.float64))
    with pytest.raises(MrisslError, match=r"Doe_1.nii.gz .* excluded|excluded.*Doe_1.nii.gz"):
        load([train], exclude=[later])


def test_another_scan_of_an_excluded_bids_subject_is_refused(tmp_path: Path) -> None:
    for name in ("sub-1/ses-1/anat/sub-1_ses-1_T1w.nii", "sub-1/ses-2/anat/sub-1_ses-2_T1w.nii"):
        write_scan(tmp_path / name, len(name) + int(name[10]))
    write_scan(tmp_path / "sub-2/anat/sub-2_T1w.nii", 5)
    with pytest.raises(MrisslError, match="same subject"):
        load(
            [tmp_path / "sub-1/ses-1/anat/sub-1_ses-1_T1w.nii", tmp_path / "sub-2"],
            exclude=[tmp_path / "sub-1/ses-2/anat/sub-1_ses-2_T1w.nii"],
        )


def table(root: Path, rows: list[tuple[str, str, str]]) -> Path:
    path = root / "table.csv"
    lines = ["path,subject,split", *(",".join(row) for row in rows)]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def test_a_table_splits_and_its_tests_stay_out(tmp_path: Path) -> None:
    folder_of(tmp_path, 4)
    rows = [("Doe_0.nii.gz", "a", "train"), ("Doe_1.nii.gz", "b", "validation")]
    made = load(
        [table(tmp_path, [*rows, ("Doe_2.nii.gz", "c", "test"), ("Doe_3.nii.gz", "a", "")])]
    )
    assert [record.split for record in made.records] == ["train", "validation", "train"]
    assert made.records[0].subject == made.records[2].subject
    with pytest.raises(MrisslError, match="same subject"):
        load([table(tmp_path, [*rows, ("Doe_2.nii.gz", "a", "validation")])])
    with pytest.raises(MrisslError, match="excluded"):
        load([table(tmp_path, [*rows, ("Doe_2.nii.gz", "a", "test")])])


def splits(tmp_path: Path, count: int) -> None:
    """Random splits of people with repeats, sessions and renamed or re-saved copies."""
    rng = np.random.default_rng(0)
    truth: dict[str, tuple[int, str]] = {}
    rows = []
    for number in range(36):
        person, content = int(rng.integers(14)), number
        values = voxels(content)
        if number > 24:
            # A copy of an earlier scan, under a name and a person of its own.
            earlier = rows[int(rng.integers(20))][0]
            values = np.asarray(nibabel.load(tmp_path / earlier).dataobj)
            values = values.astype(("i2", "f4", "f8")[number % 3])
        path = write_scan(tmp_path / f"scan_{rng.integers(1 << 30)}.nii", values)
        rows.append((path.name, str(person), ""))
        digest = hashlib.sha256(values.astype("<f8").tobytes()).hexdigest()
        truth[read(path).identity] = person, digest
    where = table(tmp_path, rows)
    held = set()
    for seed in range(count):
        made = load([where], seed=seed, share=float(rng.uniform(0.1, 0.6)))
        for what in (0, 1):
            sides = [
                {truth[r.identity][what] for r in made.records if r.split == split}
                for split in ("train", "validation")
            ]
            assert not sides[0] & sides[1]
            assert all(sides)
        held.add(frozenset(r.identity for r in made.records if r.split == "validation"))
    # There are few groups, so few different splits.
    assert len(held) > min(count, 40) / 4


def test_no_subject_and_no_voxels_are_on_both_sides_of_random_splits(tmp_path: Path) -> None:
    splits(tmp_path, 25)


@pytest.mark.slow
def test_no_subject_and_no_voxels_are_on_both_sides_of_1000_splits(tmp_path: Path) -> None:
    splits(tmp_path, 1000)


def test_settings_of_a_run_hold_no_name_and_no_place(tmp_path: Path) -> None:
    made = load([folder_of(tmp_path / "Doe_Jane_1970", 5)])
    text = run_of(made.settings()).model_dump_json()
    for planted in ("Doe", "Jane", "1970", str(tmp_path), tmp_path.name, ".nii"):
        assert planted not in text
    assert json.loads(text)["data"]["subjects"][0]["subject"] == "subject-001"


def test_subjects_are_found_by_identity_and_decoded_as_stored(tmp_path: Path) -> None:
    made = load([folder_of(tmp_path, 5)], seed=3)
    settings = RunSettings.model_validate_json(run_of(made.settings()).model_dump_json())
    by_identity = {read(path).identity: path for path in tmp_path.iterdir()}
    for split in ("train", "validation"):
        subjects = cohort.subjects(settings, split)
        assert subjects is not None
        for number in range(len(subjects)):
            scan = subjects.scan(number)
            expected = np.asarray(nibabel.load(by_identity[scan.identity]).dataobj)
            np.testing.assert_array_equal(scan.volume.data, expected.T)
            low, high = np.percentile(expected, (0.5, 99.5))
            assert (scan.low, scan.high) == pytest.approx((low, high))


def test_labels_of_a_table_come_with_the_scan(tmp_path: Path) -> None:
    write_scan(tmp_path / "a.nii", 1)
    write_scan(tmp_path / "a_l.nii", voxels(2, "u1") % 4)
    write_scan(tmp_path / "b.nii", 3)
    where = tmp_path / "table.csv"
    where.write_text("path,label,split\na.nii,a_l.nii,train\nb.nii,,validation\n", encoding="utf-8")
    settings = run_of(load([where]).settings())
    scan = cohort.subjects(settings, "train").scan(0)
    np.testing.assert_array_equal(scan.labels, (voxels(2, "u1") % 4).T)
    assert cohort.subjects(settings, "validation").scan(0).labels is None
    write_scan(tmp_path / "a_l.nii", voxels(2, "u1", (7, 6, 6)))
    with pytest.raises(MrisslError, match="labels of"):
        load([where])


def test_a_scan_this_machine_does_not_know_is_refused_before_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = run_of(load([folder_of(tmp_path / "scans", 3)]).settings())
    monkeypatch.setenv("MRISSL_DATA_DIR", str(tmp_path / "elsewhere"))
    with pytest.raises(MrisslError, match=r"subject-00\d: the scan .* is not known"):
        cohort.subjects(settings, "train")
    load([tmp_path / "scans"])
    assert len(cohort.subjects(settings, "train")) == 2


def test_a_file_that_changed_since_is_refused(tmp_path: Path) -> None:
    settings = run_of(load([write_scan(tmp_path / "a.nii", 1)]).settings())
    write_scan(tmp_path / "a.nii", 2)
    with pytest.raises(MrisslError, match=r"^subject-001: the file has changed"):
        cohort.subjects(settings, "train").scan(0)


def test_a_changed_file_is_read_again_and_an_unchanged_one_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_scan(tmp_path / "a.nii", 1)
    first = load([path])
    from napari_mrissl.training.data import facts

    def unread(path: Path) -> None:
        raise AssertionError(path.name)

    with monkeypatch.context() as patched:
        patched.setattr(facts, "read", unread)
        assert load([path]) == first
    write_scan(path, voxels(2, shape=(9, 6, 5)))
    assert load([path]).records != first.records


def test_a_damaged_file_found_by_searching_becomes_a_note_and_a_named_one_an_error(
    tmp_path: Path,
) -> None:
    folder_of(tmp_path, 3)
    (tmp_path / "broken.nii").write_bytes(b"no scan at all")
    made = load([tmp_path])
    assert len(made.records) == 3
    assert any("left out: broken.nii" in note for note in made.notes)
    assert made.remarks == ("files that could not be read: 1",)
    with pytest.raises(MrisslError, match=r"broken\.nii"):
        load([tmp_path / "broken.nii", tmp_path / "Doe_0.nii.gz"])


def test_memory_is_known_before_the_start(tmp_path: Path) -> None:
    made = load([folder_of(tmp_path, 4)])
    assert made.cache_bytes == 4 * np.prod(SHAPE) * 2


def test_reading_can_be_ended_from_its_progress(tmp_path: Path) -> None:
    folder_of(tmp_path, 8)
    heard: list[float] = []

    def progress(done: float) -> None:
        heard.append(done)
        if len(heard) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load([tmp_path], progress=progress)
    assert heard == sorted(heard)
    assert not [t for t in threading.enumerate() if t.name.startswith("reading scans")]


def test_ct_gets_a_window_and_a_mixture_is_told(tmp_path: Path) -> None:
    ct, mr = shared_data("body/example_ct.nii.gz"), shared_data("body/example_mr.nii.gz")
    alone = load([ct])
    assert alone.settings().preprocessing == CT_WINDOW
    assert any("the window -1000 to 1000 HU is used" in note for note in alone.notes)
    mixed = load([ct, mr])
    assert mixed.settings().preprocessing == Preprocessing()
    assert any("look like CT: 1 of 2" in note for note in mixed.notes)


def test_a_file_of_several_volumes_gives_its_first_and_says_so(tmp_path: Path) -> None:
    write_scan(tmp_path / "a.nii", voxels(1, shape=(*SHAPE, 3)))
    made = load([tmp_path / "a.nii"])
    assert "files with several volumes, of which the first is taken: 1" in made.notes
    scan = cohort.subjects(run_of(made.settings()), "train").scan(0)
    np.testing.assert_array_equal(scan.volume.data, voxels(1, shape=(*SHAPE, 3))[..., 0].T)


def test_both_parts_together_stay_within_the_cache(tmp_path: Path) -> None:
    made = load([folder_of(tmp_path, 10)])
    all_of_it = made.cache_bytes / 2**30
    settings = run_of(made.settings(cache_gib=all_of_it / 2))
    parts = [cohort.subjects(settings, split) for split in ("train", "validation")]
    for subjects in parts:
        for number in range(len(subjects)):
            subjects.scan(number)
    assert sum(subjects._cache.nbytes for subjects in parts) <= made.cache_bytes / 2


def test_groups_are_connected_components() -> None:
    assert grouped([("a",), ("b",), ("a", "c"), ("d", "c"), ("e",)]) == [0, 1, 0, 0, 2]
    assert grouped([]) == []


def test_held_out_is_at_least_one_and_never_all() -> None:
    names = [str(number) for number in range(7)]
    assert len(held_out(names, 0.2, 0)) == 1
    assert len(held_out(names, 0.99, 0)) == 6
    assert held_out(names, 0, 0) == set()
    assert held_out(names[:1], 0.5, 0) == set()
