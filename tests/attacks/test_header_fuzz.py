"""F2: any NIfTI header, from the file to the layer and back to a file, or a sentence why not.

Hypothesis changes header fields and bytes of small scans. Each is opened by napari's reader,
put into a viewer, sliced along one of its axes or in 3D, saved as an image or a label map,
and read again. 200 examples by default, 10,000 under ``slow``
(``MRISSL_FUZZ_EXAMPLES`` says another number).
"""

import gzip
import os
import time
import warnings
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import nibabel
import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from napari.components import ViewerModel
from napari.layers import Layer
from scipy.spatial.transform import Rotation

from napari_mrissl import volumes
from napari_mrissl.errors import MrisslError
from napari_mrissl.ui import reader, writer
from napari_mrissl.ui.layers import labels_array, prepare_viewer, volume_of
from napari_mrissl.volumes.nifti_header import DATATYPES, NIFTI1, NIFTI2

SECONDS = 2.0
"""Of a thread's own time, on a machine that does nothing else."""

BUSY = 3
"""So many times as long it may be in the default suite, whose tests share cores and caches."""

MEMORY = 300 * 2**20
MANY = int(os.environ.get("MRISSL_FUZZ_EXAMPLES", "10000"))

NUMBERS = [0, 1, -1, 2, 3, 127, 255, 256, 1002, 32767, -32768, 2**31 - 1, 2**31, 2**63 - 1]
REALS = [0.0, -0.0, 1.0, -1.0, 0.5, 0.1, -3.0, 1e-45, 1e-30, 1e-6, 1e3, 1e6, 1e30, 3e38]
REALS += [-3e38, np.inf, -np.inf, np.nan, 352.0, 353.0, 0.7071]
TURNED = np.c_[Rotation.from_rotvec((0.3, 0.2, 0.4)).as_matrix() * (1, 1.2, 0.8), (-4, 5, 6)]


@st.composite
def scans(draw):
    """A whole NIfTI file of up to 9 voxels a side, its header hurt in one to four places."""
    record = draw(st.sampled_from([NIFTI1, NIFTI1, NIFTI2]))
    record = record.newbyteorder(draw(st.sampled_from("<>")))
    dims = draw(st.lists(st.integers(1, 9), min_size=3, max_size=4))
    code = draw(st.sampled_from(sorted(DATATYPES)))
    dtype = np.dtype(DATATYPES[code]).newbyteorder(record["sizeof_hdr"].byteorder)
    head = np.zeros((), record)
    first = record == NIFTI1.newbyteorder(record["sizeof_hdr"].byteorder)
    head["sizeof_hdr"] = record.itemsize
    head["magic"] = b"n+1" if first else b"n+2\0\r\n\x1a\n"
    head["dim"] = [len(dims), *dims, *[1] * (7 - len(dims))]
    head["datatype"], head["bitpix"] = code, 8 * dtype.itemsize
    head["pixdim"] = [1, 1, 1.2, 0.8, 1, 1, 1, 1]
    head["vox_offset"], head["xyzt_units"] = record.itemsize + 4, 2
    turned = draw(st.booleans())
    head["sform_code"], head["srow"] = 1, TURNED if turned else np.eye(4)[:3]
    head["qform_code"] = draw(st.sampled_from([0, 1]))
    names = [n for n in record.names if n not in ("magic", "sizeof_hdr")]
    # What places and scales the voxels gets past the first checks: hurt it more often.
    names += 4 * ["pixdim", "srow", "quatern", "qoffset", "scl_slope", "scl_inter", "sform_code"]
    for _ in range(draw(st.integers(0, 3))):
        name = draw(st.sampled_from(names))
        field = record[name].base
        if field.kind == "S":
            head[name] = draw(st.binary(max_size=field.itemsize))
            continue
        values = REALS if field.kind == "f" else NUMBERS
        place = draw(st.sampled_from(list(np.ndindex(record[name].shape)))) or ()
        value = draw(st.sampled_from(values))
        with np.errstate(over="ignore"):
            cast = np.array(value).astype(field)
        head[name][place] = cast
    seed = draw(st.integers(0, 2**16))
    rng = np.random.default_rng(seed)
    content = bytearray(head.tobytes() + bytes(4))
    for _ in range(draw(st.integers(0, 2))):
        content[draw(st.integers(0, record.itemsize - 1))] = draw(st.integers(0, 255))
    size = int(np.prod(dims)) * dtype.itemsize
    voxels = rng.integers(0, 256, size, dtype=np.uint8)
    if dtype.kind == "f" and draw(st.booleans()):
        voxels = rng.normal(size=size // dtype.itemsize).astype(dtype)
    if draw(st.booleans()):
        voxels = (np.arange(size // dtype.itemsize) // 9 % 3).astype(dtype)
    content += voxels.tobytes()
    return gzip.compress(bytes(content), 1, mtime=0) if draw(st.booleans()) else bytes(content)


def memory(field):
    status = Path("/proc/self/status").read_text("utf-8")
    return 1024 * int(status.split(f"{field}:")[1].split()[0])


@contextmanager
def bounded(what, limit):
    """Assert that what happens inside takes no more time of this thread and memory than it may."""
    Path("/proc/self/clear_refs").write_text("5", "utf-8")  # the peak counts from here
    before, start = memory("VmRSS"), time.thread_time()
    yield
    seconds, growth = time.thread_time() - start, memory("VmHWM") - before
    assert seconds <= limit, (what, seconds)
    assert growth <= MEMORY, (what, growth)


def attempt(refusal, function, *arguments):
    """The result and None, or None and the refusal."""
    try:
        return function(*arguments), None
    except refusal as error:
        return None, error


def through(path, folder, viewer):
    """Read, show, save and read again; what came of it."""
    described, refusal = attempt(MrisslError, reader.read_layers, str(path))
    if refusal is not None:
        assert refusal.where == path.name
        assert all((refusal.found, refusal.expected, refusal.remedy))
        assert str(refusal).isprintable()
        assert str(folder) not in str(refusal)
        return type(refusal).__name__
    (described,) = described
    layer = Layer.create(*described)
    viewer.add_layer(layer)
    turn = sum(described[0].shape)
    if turn % 2:
        viewer.dims.order = [(1, 0, 2), (2, 0, 1)][turn // 2 % 2]
    viewer.dims.set_current_step(viewer.dims.order[0], turn % 3)
    if turn % 8 == 0:
        viewer.dims.ndisplay = 3
    volume = volume_of(layer)
    data, attributes, kind = layer.as_layer_data_tuple()
    saved = []
    for suffix in (".nii", ".nrrd") if turn % 4 == 0 else (".nii.gz",):
        target = folder / f"saved{suffix}"
        write = writer.write_labels if kind == "labels" else writer.write_image
        _, refusal = attempt(writer.SaveError, write, str(target), data, attributes)
        if refusal is not None:
            assert str(folder) not in str(refusal)
            saved.append("unsaved")
            continue
        again = volumes.read(target)
        shown = labels_array(layer) if kind == "labels" else volume.data
        if (volume.slope, volume.intercept) != (1.0, 0.0):
            with np.errstate(over="ignore", invalid="ignore"):
                shown = (shown * np.float64(volume.slope) + volume.intercept).astype(np.float32)
        np.testing.assert_array_equal(again.data, shown)
        np.testing.assert_allclose(again.affine, volume.affine, rtol=1e-5, atol=1e-4)
        saved.append(kind)
    return "+".join(saved)


def clear(viewer):
    viewer.layers.clear()
    viewer.dims.ndisplay = 2
    viewer.dims.order = (0, 1, 2)


def fuzz(folder, examples):
    seen = Counter()
    viewer = ViewerModel()
    prepare_viewer(viewer)
    slowest = 0.0
    limit = SECONDS if examples >= MANY else BUSY * SECONDS

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    @given(content=scans())
    def one(content):
        nonlocal slowest
        path = folder / ("scan.nii.gz" if content[:2] == b"\x1f\x8b" else "scan.nii")
        path.write_bytes(content)
        start = time.thread_time()
        with warnings.catch_warnings():
            # Values beyond all reason overflow in napari's own arithmetic, not in ours.
            warnings.simplefilter("ignore")
            warnings.filterwarnings("error", module="napari_mrissl")
            with bounded(content[:560], limit):
                seen[through(path, folder, viewer)] += 1
        slowest = max(slowest, time.thread_time() - start)
        clear(viewer)

    one()
    print(f"{seen.total()} headers, slowest {slowest:.2f} s CPU: {dict(seen.most_common())}")
    return seen


@pytest.fixture
def compiled(tmp_path):
    """Everything that is compiled or loaded once, for every type and both kinds of grid."""
    viewer = ViewerModel()
    prepare_viewer(viewer)
    turned = np.vstack([TURNED, [0, 0, 0, 1]])
    for code in DATATYPES.values():
        voxels = np.arange(60).reshape(3, 4, 5).astype(code)
        image = nibabel.Nifti1Image(voxels, turned, dtype=code)
        image.header["intent_code"] = 1002 if code == "u1" else 0
        nibabel.save(image, tmp_path / "first.nii")
        through(tmp_path / "first.nii", tmp_path, viewer)
        clear(viewer)


@pytest.mark.untraced
@pytest.mark.parametrize(
    "examples", [200, pytest.param(MANY, marks=[pytest.mark.slow, pytest.mark.timeout(3600)])]
)
def test_any_header_is_shown_and_saved_or_refused_by_name(tmp_path, compiled, examples):
    before = memory("VmRSS")
    seen = fuzz(tmp_path, examples)
    assert seen.total() >= examples
    assert sum(n for kind, n in seen.items() if "image" in kind) > 0.1 * examples
    assert sum(n for kind, n in seen.items() if "labels" in kind) > 0.02 * examples
    assert sum(n for kind, n in seen.items() if "+" not in kind) > 0.1 * examples
    assert memory("VmRSS") - before <= MEMORY
