"""Which files are scans and whose they are: folders, lists, BIDS trees, tables."""

from pathlib import Path

import pytest

from napari_mrissl.errors import MrisslError
from napari_mrissl.training.data.sources import Found, find
from tests.training.cohorts import write_scan


def touched(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def names(found: Found, root: Path) -> list[str]:
    return [entry.path.relative_to(root).as_posix() for entry in found.entries]


def people(found: Found) -> list[int]:
    """Persons numbered by their first scan."""
    seen: dict[str, int] = {}
    return [seen.setdefault(entry.person, len(seen)) for entry in found.entries]


def test_a_folder_gives_its_scans_by_name_each_a_subject(tmp_path: Path) -> None:
    root = touched(
        tmp_path, "b.nii.gz", "a.nii", "deep/er/c.mgz", "notes.pdf", ".hidden.nii", "d.img", "d.hdr"
    )
    found = find([root])
    assert names(found, root) == ["a.nii", "b.nii.gz", "d.hdr", "deep/er/c.mgz"]
    assert people(found) == [0, 1, 2, 3]
    assert not any(entry.named for entry in found.entries)


def test_label_maps_are_left_out_and_counted(tmp_path: Path) -> None:
    root = touched(
        tmp_path,
        "a.nii",
        "a_labels.nii",
        "b-mask.nii.gz",
        "c_dseg.nii",
        "labelsTr/a.nii",
        "Masks/b.nii",
    )
    found = find([root])
    assert names(found, root) == ["a.nii"]
    assert found.label_maps == 3
    # What is named by the user is taken as it is.
    assert len(find([root / "a_labels.nii"]).entries) == 1
    assert len(find([root / "labelsTr"]).entries) == 1


def test_folders_are_subjects_where_they_hold_the_same_names(tmp_path: Path) -> None:
    root = touched(tmp_path, "x/t1.nii", "x/t2.nii", "y/t1.nii", "z/t1.nii")
    assert people(find([root])) == [0, 0, 1, 2]
    touched(tmp_path / "flat", "x/one.nii", "x/two.nii", "y/three.nii")
    assert people(find([tmp_path / "flat"])) == [0, 1, 2]


def test_a_folder_with_dicom_files_is_one_scan(tmp_path: Path) -> None:
    root = touched(tmp_path, "one/1.dcm", "one/2.dcm", "two/1.DCM", "two/more/x.nii", "t.nii")
    found = find([root])
    assert names(found, root) == ["t.nii", "one", "two", "two/more/x.nii"]
    assert names(find([root / "one"]), root) == ["one"]


def test_a_bids_tree_gives_anatomical_scans_by_subject(tmp_path: Path) -> None:
    root = touched(
        tmp_path,
        "sub-02/ses-a/anat/sub-02_ses-a_T1w.nii.gz",
        "sub-02/ses-b/anat/sub-02_ses-b_T1w.nii.gz",
        "sub-02/ses-b/func/sub-02_ses-b_bold.nii.gz",
        "sub-01/anat/sub-01_T2w.nii.gz",
        "sub-01/anat/sub-01_T1w.nii.gz",
        "derivatives/sub-01/anat/sub-01_T1w.nii.gz",
        "dataset_description.json",
    )
    found = find([root])
    assert [Path(name).name for name in names(found, root)] == [
        "sub-01_T1w.nii.gz",
        "sub-01_T2w.nii.gz",
        "sub-02_ses-a_T1w.nii.gz",
        "sub-02_ses-b_T1w.nii.gz",
    ]
    assert people(found) == [0, 0, 1, 1]
    # The same person whether found by the tree, by a folder of it, or named.
    single = find([root / "sub-02/ses-b", root / "sub-01/anat/sub-01_T1w.nii.gz"])
    by_path = {entry.path: entry.person for entry in found.entries}
    anatomical = [entry for entry in single.entries if entry.path in by_path]
    assert len(anatomical) == 2
    assert all(by_path[entry.path] == entry.person for entry in anatomical)


def test_the_same_subject_number_in_two_datasets_is_two_people(tmp_path: Path) -> None:
    for dataset in ("one", "two"):
        touched(tmp_path, f"{dataset}/sub-01/anat/sub-01_T1w.nii.gz")
    assert people(find([tmp_path / "one", tmp_path / "two"])) == [0, 1]


def test_a_folder_above_that_looks_like_a_subject_makes_nobody_the_same(tmp_path: Path) -> None:
    root = touched(tmp_path / "sub-project", "a.nii", "b.nii")
    assert len(find([root]).entries) == 2
    root = touched(
        tmp_path / "sub-x" / "bids", "sub-1/anat/sub-1_T1w.nii", "sub-2/anat/sub-2_T1w.nii"
    )
    assert people(find([root])) == [0, 1]


def test_a_list_has_paths_beside_it_and_comments(tmp_path: Path) -> None:
    root = touched(tmp_path, "scans/a.nii", "scans/b.nii")
    table = tmp_path / "list.txt"
    table.write_text(f"# mine\nscans/b.nii\n\n{root / 'scans' / 'a.nii'}\n", encoding="utf-8")
    found = find([table])
    assert names(found, root) == ["scans/b.nii", "scans/a.nii"]
    assert all(entry.named for entry in found.entries)


def test_a_table_says_whose_scan_it_is_for_what_and_with_which_labels(tmp_path: Path) -> None:
    root = touched(tmp_path, "a.nii", "b.nii", "c.nii", "d.nii", "l/a.nii")
    table = tmp_path / "table.csv"
    table.write_text(
        "\ufeffSubject,Path,split,label\n"
        'one,a.nii,train,l/a.nii\n"o,ne",b.nii,VAL,\none,c.nii,,\n,d.nii,test,\n',
        encoding="utf-8",
    )
    found = find([table])
    assert people(found) == [0, 1, 0, 2]
    assert [entry.part for entry in found.entries] == ["train", "validation", None, "test"]
    assert found.entries[0].labels == root / "l" / "a.nii"
    assert found.entries[1].labels is None


def test_a_table_may_be_separated_by_tabs(tmp_path: Path) -> None:
    touched(tmp_path, "a.nii", "b, c.nii")
    table = tmp_path / "table.tsv"
    table.write_text("subject\tpath\nx\ta.nii\nx\tb, c.nii\n", encoding="utf-8")
    found = find([table])
    assert names(found, tmp_path) == ["a.nii", "b, c.nii"]
    assert people(found) == [0, 0]


def test_a_file_given_twice_counts_once(tmp_path: Path) -> None:
    root = touched(tmp_path, "a.nii", "b.nii")
    assert names(find([root, root / "a.nii", root / "." / "b.nii"]), root) == ["a.nii", "b.nii"]


def test_what_two_sources_say_of_a_file_is_joined_and_a_contradiction_refused(
    tmp_path: Path,
) -> None:
    root = touched(tmp_path / "scans", "a.nii", "b.nii")
    table = tmp_path / "table.csv"
    table.write_text(
        "path,subject,split\nscans/a.nii,x,\nscans/b.nii,x,validation\n", encoding="utf-8"
    )
    found = find([root, table])
    assert people(found) == [0, 0]
    assert [entry.part for entry in found.entries] == [None, "validation"]
    table.write_text("path,split\nscans/a.nii,train\nscans/a.nii,val\n", encoding="utf-8")
    with pytest.raises(MrisslError, match=r"a.nii: named for train and for validation"):
        find([table])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("file,who\na.nii,1\n", "column path"),
        ("", "columns none"),
        ("path\nmissing.nii\n", "no file missing.nii"),
        ("path,split\na.nii,holdout\n", "split 'holdout'"),
        ("path,subject\n,x\n", "no path"),
    ],
)
def test_a_table_that_cannot_be_understood_is_refused_by_line(
    tmp_path: Path, content: str, said: str
) -> None:
    touched(tmp_path, "a.nii")
    table = tmp_path / "table.csv"
    table.write_text(content, encoding="utf-8")
    with pytest.raises(MrisslError, match=said) as caught:
        find([table])
    assert str(tmp_path) not in str(caught.value)


def test_what_is_no_text_is_refused(tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_bytes(b"path\n\xff\xfe\n")
    with pytest.raises(MrisslError, match="UTF-8"):
        find([table])


def test_nothing_there_and_nothing_in_it_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MrisslError, match="no such file"):
        find([tmp_path / "absent"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(MrisslError, match="no scans found"):
        find([tmp_path / "empty"])


def test_scans_are_found_in_a_real_tree(tmp_path: Path) -> None:
    write_scan(tmp_path / "sub-1" / "anat" / "sub-1_T1w.nii.gz", 1)
    assert len(find([tmp_path]).entries) == 1
