"""JSON and CSV meant to exhaust memory, time or the stack: a sentence, quickly."""

import json
import resource
import time

import numpy as np
import pytest

from napari_mrissl.errors import MrisslError
from napari_mrissl.segmentation import Prompts, read_prompts
from napari_mrissl.segmentation.prompts import labelled_voxels
from napari_mrissl.trajectories import read_journal
from napari_mrissl.volumes import Volume, write_labels

HEAD = '{"format": "napari-mrissl prompts", "version": 1, "points": '
PROMPTS = {
    "NaN": HEAD + "[[NaN, 0, 0, 1]]}",
    "infinite": HEAD + "[[1e999, 0, 0, 1]]}",
    "far away": HEAD + "[[1e308, 0, 0, 1]]}",
    "label 0": HEAD + "[[0, 0, 0, 0]]}",
    "label 2^70": HEAD + f"[[0, 0, 0, {2**70}]]}}",
    "label true": HEAD + "[[0, 0, 0, true]]}",
    "a number of a million digits": HEAD + "[[0, 0, 0, " + "9" * 10**6 + "]]}",
    "nested a hundred thousand deep": HEAD + "[" * 10**5 + "]" * 10**5 + "}",
    "objects nested": '{"a":' * 10**5 + "1" + "}" * 10**5,
    "points are text": HEAD + '"' + "x" * 10**6 + '"}',
    "a class of a long name": HEAD + '[], "classes": [{"label": 1, "name": "'
    + "n" * 10**6 + '", "color": "#000000"}]}',
    "two classes of one label": HEAD + '[], "classes": ['
    + ", ".join(['{"label": 1, "name": "a", "color": "#000000"}'] * 2) + "]}",
    "a colour that is code": HEAD + '[], "classes": [{"label": 1, "name": "a", '
    '"color": "#000000; background: url(x)"}]}',
    "a field of no meaning": HEAD + '[], "__class__": "os.system"}',
    "an identity that is a path": HEAD + '[], "volume_identity": "../../etc/passwd"}',
    "no object": "[1, 2, 3]",
    "nothing": "",
}  # fmt: skip


@pytest.mark.parametrize("name", PROMPTS)
def test_prompts_that_are_none_are_refused(tmp_path, name):
    (tmp_path / "a.json").write_text(PROMPTS[name], "utf-8")
    start = time.process_time()
    with pytest.raises(MrisslError) as caught:
        read_prompts(tmp_path / "a.json")
    assert time.process_time() - start < 2
    assert len(str(caught.value)) < 600
    assert caught.value.where == "a.json"


CSV = {
    "NaN": "x,y,z,label\nnan,0,0,1\n",
    "infinite": "x,y,z,label\n1e999,0,0,1\n",
    "far away": "x,y,z,label\n1e308,0,0,1\n",
    "a field of 10 MB": "x,y,z,label\n" + "1" * 10**7 + ",0,0,1\n",
    "a quote without end": 'x,y,z,label\n"' + "1\n" * 10**6,
    "a formula": "x,y,z,label\n=cmd|' /C calc'!A0,0,0,1\n",
    "NUL bytes": "x,y,z,label\n\0,0,0,1\n",
    "a million columns": "x,y,z,label\n" + "0," * 10**6 + "\n",
}


@pytest.mark.parametrize("name", CSV)
def test_csv_that_is_no_prompts_is_refused(tmp_path, name):
    (tmp_path / "a.csv").write_text(CSV[name], "utf-8")
    with pytest.raises(MrisslError) as caught:
        read_prompts(tmp_path / "a.csv")
    assert len(str(caught.value)) < 600


def test_a_sparse_file_of_a_terabyte_is_refused_at_once(tmp_path):
    for name in ("a.json", "a.csv"):
        with (tmp_path / name).open("wb") as file:
            file.truncate(2**40)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with pytest.raises(MrisslError, match="64 MiB"):
            read_prompts(tmp_path / name)
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 * 2**10


def test_prompts_far_outside_the_scan_mark_nothing():
    volume = Volume.from_stored(np.zeros((4, 5, 6), np.uint8), np.diag([1e-6, 1e-6, 1e-6, 1]))
    prompts = Prompts.from_arrays([[1e6, 1e6, 1e6], [-1e6, 0, 0]], [1, 2])
    marked = labelled_voxels(volume, prompts)
    assert marked.outside == 2
    assert marked.labels.size == 0


def test_a_journal_with_a_line_of_a_gigabyte_is_refused(tmp_path):
    with (tmp_path / "journal.jsonl").open("wb") as file:
        file.write(b'{"format":"napari-mrissl journal","version":')
        file.truncate(2**30)
    with pytest.raises(MrisslError):
        read_journal(tmp_path / "journal.jsonl")


@pytest.mark.parametrize(
    "content",
    ["[" * 10**5, json.dumps({"labels": []}), '{"generator": 1}', "\0" * 10**6, "x" * 2**21],
)
def test_a_json_file_that_is_no_label_table_is_never_replaced(tmp_path, content):
    volume = Volume.from_stored(np.zeros((2, 3, 4), np.uint8), np.eye(4))
    table = tmp_path / "seg_labels.json"
    table.write_text(content, "utf-8")
    with pytest.raises(MrisslError):
        write_labels(
            tmp_path / "seg.nii", np.zeros(volume.shape, np.uint8), volume,
            overwrite=True, names={1: "one"},
        )  # fmt: skip
    assert table.read_text("utf-8") == content
    assert not (tmp_path / "seg.nii").exists()
