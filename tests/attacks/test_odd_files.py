"""Pipes, devices, loops, folders and unreadable files where a scan is expected: no hang.

Every call runs in a child process with a deadline, so that a hang is a failure, not a wait.
"""

import json
import os
import select
import subprocess
import sys
import time

import nibabel as nib
import numpy as np
import pytest
from dicom_series import write_series

SECONDS = 60
# One process for all calls, because its imports take a second; started anew after a hang.
SERVER = """
import json, sys
import numpy as np
import SimpleITK
from napari_mrissl.errors import MrisslError
from napari_mrissl.segmentation import read_prompts
from napari_mrissl.ui.reader import get_reader
from napari_mrissl.volumes import Volume, read, write_labels

def labels(path):
    volume = Volume.from_stored(np.zeros((2, 3, 4), np.uint8), np.eye(4))
    empty = np.zeros(volume.shape, np.uint8)
    write_labels(path, empty, volume, overwrite=True, names={1: "one"})

CALLS = {
    "read": lambda path: list(read(path).shape),
    "prompts": lambda path: len(read_prompts(path).points),
    "labels": labels,
    "offered": lambda path: get_reader(path) is not None,
}
for line in sys.stdin:
    name, argument = json.loads(line)
    try:
        answer = ["done", CALLS[name](argument), ""]
    except MrisslError as error:
        answer = [type(error).__name__, str(error), error.remedy or error.expected]
    print(json.dumps(answer), flush=True)
"""


class Server:
    """A child process that calls our functions, with a deadline."""

    def __init__(self):
        self.process = subprocess.Popen(
            [sys.executable, "-c", SERVER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="utf-8",
            env={**os.environ, "QT_QPA_PLATFORM": "offscreen"},
        )

    def __call__(self, name, path):
        self.process.stdin.write(json.dumps([name, str(path)]) + "\n")
        self.process.stdin.flush()
        ready, _, _ = select.select([self.process.stdout], [], [], SECONDS)
        if not ready:
            self.close()
            pytest.fail(f"{name} hangs")
        line = self.process.stdout.readline()
        assert line, "the process ended"
        return json.loads(line)

    def close(self):
        self.process.kill()
        self.process.communicate()


@pytest.fixture(scope="module")
def servers():
    running = []
    yield running
    for server in running:
        server.close()


@pytest.fixture
def call(servers, traced_children):
    """What a function answers to a path: the error's class or ``done``, and what it says."""
    if not servers or servers[-1].process.poll() is not None:
        servers.append(Server())

    def answer(name, path):
        kind, said, remedy = servers[-1](name, path)
        assert kind == "done" or remedy
        return kind, said

    return answer


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "a.mgz", "a.nrrd", "a.mha", "a.dcm"])
def test_pipes_are_refused(call, tmp_path, name):
    os.mkfifo(tmp_path / name)
    kind, said = call("read", tmp_path / name)
    assert kind == "UnreadableFile"
    assert "neither a file nor a folder" in said


def test_pipes_beside_a_header_are_refused(call, tmp_path):
    nib.save(nib.Nifti1Pair(np.zeros((2, 3, 4), np.uint8), np.eye(4)), tmp_path / "a.img")
    (tmp_path / "a.img").unlink()
    os.mkfifo(tmp_path / "a.img")
    assert call("read", tmp_path / "a.hdr")[0] == "UnreadableFile"
    head = "ObjectType = Image\nNDims = 3\nDimSize = 2 2 2\nElementType = MET_UCHAR\n"
    (tmp_path / "b.mhd").write_text(f"{head}ElementDataFile = b.raw\n", "utf-8")
    os.mkfifo(tmp_path / "b.raw")
    assert call("read", tmp_path / "b.mhd")[0] == "UnreadableFile"


def test_devices_are_refused(call, tmp_path):
    for device in ("/dev/zero", "/dev/null", "/dev/tty"):
        (tmp_path / "a.nii").symlink_to(device)
        assert call("read", tmp_path / "a.nii")[0] == "UnreadableFile"
        (tmp_path / "a.nii").unlink()


def test_links_to_themselves_are_refused(call, tmp_path):
    (tmp_path / "a.nii").symlink_to(tmp_path / "b.nii")
    (tmp_path / "b.nii").symlink_to(tmp_path / "a.nii")
    assert call("read", tmp_path / "a.nii")[0] == "UnreadableFile"
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    assert call("read", tmp_path / "loop")[0] == "UnreadableFile"


def test_a_folder_named_like_a_scan_is_no_scan(call, tmp_path):
    (tmp_path / "x.nii.gz").mkdir()
    assert call("read", tmp_path / "x.nii.gz")[0] == "UnknownFormat"
    assert call("offered", tmp_path / "x.nii.gz") == ("done", False)


def test_loops_of_folders_end(call, tmp_path):
    folder = write_series(tmp_path / "series", np.eye(4))
    (folder / "self").symlink_to(folder)
    (folder / "up").symlink_to(tmp_path)
    (folder / "gone").symlink_to(tmp_path / "nowhere")
    (folder / "round").symlink_to(folder / "round")
    assert call("read", folder)[0] == "done"
    assert call("offered", folder) == ("done", True)


@pytest.mark.parametrize("where", ["a pipe", "a link to a device"])
def test_a_pipe_among_dicom_slices_is_refused(call, tmp_path, where):
    folder = write_series(tmp_path / "series", np.eye(4))
    if where == "a pipe":
        os.mkfifo(folder / "0.dcm")
    else:
        (folder / "0.dcm").symlink_to("/dev/zero")
    kind, said = call("read", folder)
    assert kind == "UnreadableFile"
    assert said.startswith("0.dcm")
    assert call("offered", folder) == ("done", True)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable_files_and_folders_are_refused(call, tmp_path):
    (tmp_path / "a.nii").write_bytes(bytes(400))
    (tmp_path / "a.nii").chmod(0)
    assert call("read", tmp_path / "a.nii")[0] == "UnreadableFile"
    (tmp_path / "folder").mkdir(mode=0)
    assert call("read", tmp_path / "folder")[0] == "UnreadableFile"


def test_impossible_names_are_refused(call, tmp_path):
    for name in ("a" * 300 + ".nii", "a/" * 3000 + "b.nii", ""):
        kind, _ = call("read", tmp_path / name if name else "")
        assert kind in {"UnreadableFile", "UnknownFormat"}


def test_prompts_from_a_pipe_or_device_are_refused(call, tmp_path):
    os.mkfifo(tmp_path / "a.json")
    assert call("prompts", tmp_path / "a.json")[0] == "MrisslError"
    (tmp_path / "a.csv").symlink_to("/dev/zero")
    assert call("prompts", tmp_path / "a.csv")[0] == "MrisslError"
    (tmp_path / "folder.csv").mkdir()
    assert call("prompts", tmp_path / "folder.csv")[0] == "MrisslError"


def test_a_label_table_that_is_a_pipe_is_left_alone(call, tmp_path):
    os.mkfifo(tmp_path / "a_labels.json")
    assert call("labels", tmp_path / "a.nii.gz")[0] == "WriteError"
    assert not (tmp_path / "a.nii.gz").exists()


def test_a_file_that_is_cut_while_it_is_read_is_refused(tmp_path):
    """Ten shots at a file that another process shortens meanwhile."""
    from napari_mrissl.volumes import ScanError, read

    path = tmp_path / "a.nii"
    nib.save(nib.Nifti1Image(np.ones((64, 64, 64), np.float32), np.eye(4)), path)
    whole = path.read_bytes()
    for _ in range(10):
        path.write_bytes(whole)
        cutter = subprocess.Popen(["truncate", "-s", "5000", path])
        start = time.monotonic()
        while cutter.poll() is None or time.monotonic() - start < 0.01:
            try:
                voxels = read(path).data
            except ScanError:
                continue
            assert (voxels == 1).all()
