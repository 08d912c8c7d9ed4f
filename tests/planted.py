"""Scans that name their patient wherever a file can, and a search for those names in outputs.

Every place holds a word of its own, so that a leak says where it comes from.
"""

import base64
import gzip
import io
import json
import struct
import zipfile
from pathlib import Path

import nibabel
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import SimpleITK as sitk
from dicom_series import write_series
from PIL import Image

NIFTI = ("descrip", "aux_file", "db_name", "intent_name", "data_type", "extension comment",
         "extension dicom", "gzip name", "gzip comment")  # fmt: skip
SIDECARS = ("sidecar value", "sidecar key", "dataset description", "participants")
NAMES = ("scan name", "folder", "parent", "prompts name", "dicom folder", "dicom file",
         "nrrd file", "mha file", "mgz file")  # fmt: skip
OTHERS = ("nrrd content", "nrrd key", "nrrd value", "nrrd comment", "mha comment", "mha key",
          "mgz command", "mgz transform")  # fmt: skip
DICOM = {
    "patient name": "0010|0010", "patient id": "0010|0020", "other ids": "0010|1000",
    "birth name": "0010|1005", "address": "0010|1040", "patient comments": "0010|4000",
    "history": "0010|21b0", "institution": "0008|0080", "institution address": "0008|0081",
    "referring": "0008|0090", "station": "0008|1010", "study": "0008|1030",
    "series": "0008|103e", "department": "0008|1040", "operator": "0008|1070",
    "accession": "0008|0050", "serial": "0018|1000", "protocol": "0018|1030",
    "study id": "0020|0010", "image comments": "0020|4000",
}  # fmt: skip
MACHINE = ("user", "host", "home", "data directory", "layer")
PLACES = (*NIFTI, *SIDECARS, *NAMES, *OTHERS, *DICOM, *MACHINE)


def token(place: str) -> str:
    """A word of nine letters that can only come from one place."""
    return f"PHI{PLACES.index(place):02d}WQJX"


def plant(root: Path) -> dict[str, Path]:
    """Scans of all formats and a list of prompts, below a folder; by kind."""
    folder = root / token("parent") / token("folder")
    folder.mkdir(parents=True)
    voxels, affine = _voxels(), np.diag([-1.1, 1.2, 2.0, 1.0])
    affine[:3, 3] = (20, -24, -20)
    found = {
        "nifti": _nifti(folder, voxels, affine),
        "nrrd": _nrrd(folder, voxels),
        "mha": _mha(folder, voxels),
        "mgz": _mgz(folder, voxels, affine),
        "dicom": _dicom(folder, voxels, affine),
        "prompts": folder / f"{token('prompts name')}.csv",
    }
    sidecar = {"PatientName": token("sidecar value"), token("sidecar key"): 1}
    (folder / f"{token('scan name')}.json").write_text(json.dumps(sidecar), "utf-8")
    (folder.parent / "dataset_description.json").write_text(token("dataset description"), "utf-8")
    (folder.parent / "participants.tsv").write_text(token("participants"), "utf-8")
    inside = [(0, 0, 0), (4, 3, 2), (-5, 2, 1), (3, -6, -3)]
    outside = [(-17, -20, -16), (17, 20, 15), (-16, 19, 14), (16, -19, -15)]
    rows = [f"{a},{b},{c},2" for a, b, c in inside] + [f"{a},{b},{c},1" for a, b, c in outside]
    found["prompts"].write_text("x,y,z,label\n" + "\n".join(rows) + "\n", "utf-8")
    return found


def _voxels() -> np.ndarray:
    x, y, z = np.meshgrid(*(np.linspace(-1, 1, n) for n in (36, 40, 20)), indexing="ij")
    voxels = np.where(x**2 + y**2 + z**2 < 0.5, 400, 20).astype(np.int16)
    return voxels + (30 * np.sin(11 * x) * np.cos(7 * y)).astype(np.int16)


def _nifti(folder: Path, voxels: np.ndarray, affine: np.ndarray) -> Path:
    image = nibabel.Nifti1Image(voxels, affine)
    for field in ("descrip", "aux_file", "db_name", "intent_name", "data_type"):
        image.header[field] = token(field).encode()
    extensions = image.header.extensions
    extensions.append(nibabel.nifti1.Nifti1Extension(6, token("extension comment").encode()))
    extensions.append(nibabel.nifti1.Nifti1Extension(44, token("extension dicom").encode() * 3))
    packed = gzip.compress(image.to_bytes(), mtime=0)
    # Flags 8 and 16: a file name and a comment follow the header of ten bytes.
    texts = b"".join(token(place).encode() + b"\0" for place in ("gzip name", "gzip comment"))
    path = folder / f"{token('scan name')}.nii.gz"
    path.write_bytes(packed[:3] + b"\x18" + packed[4:10] + texts + packed[10:])
    return path


def _nrrd(folder: Path, voxels: np.ndarray) -> Path:
    path = folder / f"{token('nrrd file')}.nrrd"
    header = f"""NRRD0005
# {token("nrrd comment")}
content: {token("nrrd content")}
type: short
dimension: 3
space: right-anterior-superior
sizes: 36 40 20
space directions: (1,0,0) (0,1,0) (0,0,2)
space origin: (-18,-20,-20)
endian: little
encoding: raw
{token("nrrd key")}:={token("nrrd value")}

"""
    path.write_bytes(header.encode() + voxels.astype("<i2").tobytes(order="F"))
    return path


def _mha(folder: Path, voxels: np.ndarray) -> Path:
    image = sitk.GetImageFromArray(voxels.T)
    image.SetMetaData("Comment", token("mha comment"))
    image.SetMetaData(token("mha key"), "1")
    path = folder / f"{token('mha file')}.mha"
    sitk.WriteImage(image, str(path))
    return path


def _mgz(folder: Path, voxels: np.ndarray, affine: np.ndarray) -> Path:
    image = nibabel.MGHImage(voxels, affine)
    # FreeSurfer's tags: 31 the transform's path, 3 the command line; each with its length.
    tail = b"".join(
        struct.pack(">iq", tag, len(token(place)) + 1) + token(place).encode() + b"\0"
        for tag, place in ((31, "mgz transform"), (3, "mgz command"))
    )
    path = folder / f"{token('mgz file')}.mgz"
    path.write_bytes(gzip.compress(image.to_bytes() + tail))
    return path


def _dicom(folder: Path, voxels: np.ndarray, affine: np.ndarray) -> Path:
    tags = {tag: token(place) for place, tag in DICOM.items()}
    path = write_series(folder / token("dicom folder"), affine, voxels, shared=tags)
    for file in sorted(path.iterdir()):
        file.rename(path / f"{token('dicom file')}{file.name}")
    return path


def everything(folder: Path) -> bytes:
    """All bytes of all files, with what is packed in them, and their names below the folder."""
    found = io.BytesIO()
    for path in sorted(folder.rglob("*")):
        found.write(str(path.relative_to(folder)).encode() + b"\n")
        if path.is_file():
            found.write(unpacked(path.read_bytes()))
    return found.getvalue()


def unpacked(content: bytes) -> bytes:
    """Some bytes, and what gzip, zip, parquet, HDF5 and pictures among them hold."""
    parts = [content]
    if content[:2] == b"\x1f\x8b":
        parts.append(unpacked(gzip.decompress(content)))
    elif content[:4] == b"PK\x03\x04":
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            parts += [unpacked(archive.read(name)) for name in archive.namelist()]
    elif content[:4] == b"PAR1":
        parts.append(_parquet(content))
    elif content[:4] == b"\x89PNG" or content[:3] == b"GIF":
        with Image.open(io.BytesIO(content)) as picture:
            parts += [picture.convert("L").tobytes(), repr(picture.info).encode()]
    elif content[:4] == b"\x89HDF":
        parts.append(_hdf5(content))
    return b"\n".join(parts)


def _hdf5(content: bytes) -> bytes:
    import h5py

    parts: list[bytes] = []

    def look(name: str, thing: h5py.Group | h5py.Dataset) -> None:
        parts.append(name.encode())
        parts.extend(f"{key}={value}".encode() for key, value in thing.attrs.items())
        if isinstance(thing, h5py.Dataset):
            parts.append(np.asarray(thing[()]).tobytes())

    with h5py.File(io.BytesIO(content)) as file:
        look("", file)
        file.visititems(look)
    return b"\n".join(parts)


def _parquet(content: bytes) -> bytes:
    try:
        file = pq.ParquetFile(io.BytesIO(content))
    except pa.ArrowInvalid:  # a torn one, set aside: its bytes are all there is
        return b""
    metadata = {**(file.metadata.metadata or {}), **(file.schema_arrow.metadata or {})}
    parts = [key + b"=" + value for key, value in metadata.items()]
    parts.append(f"{file.schema} {file.metadata.created_by}".encode())

    def walk(value: object) -> None:
        if isinstance(value, bytes):
            parts.append(unpacked(value))
        elif isinstance(value, dict):
            for key, inner in value.items():
                parts.append(str(key).encode())
                walk(inner)
        elif isinstance(value, list):
            for inner in value:
                walk(inner)
        elif isinstance(value, str):
            parts.append(value.encode())

    for name in file.schema_arrow.names:
        walk(file.read(columns=[name]).to_pylist())
    return b"\n".join(parts)


def leaks(content: bytes, *paths: Path) -> list[str]:
    """Places whose words are in some bytes, in any of the usual writings; and paths."""
    # The NULs between the letters of UTF-16 are dropped, and so is the case.
    flat = content.replace(b"\0", b"").lower()
    places = [place for place in PLACES if token(place).lower().encode() in flat]
    for place in PLACES:
        word = token(place).encode()
        # In base64 a word looks one of three ways, by where it begins.
        coded = [base64.b64encode(b"\0" * k + word)[4:12] for k in range(3)]
        if word.hex().encode() in flat or any(code in content for code in coded):
            places.append(f"{place}, coded")
    return places + [f"path {path.name}" for path in paths if str(path).lower().encode() in flat]
