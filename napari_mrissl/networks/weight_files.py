"""Weights that others trained: a user's file is looked through, read strictly, and never run."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickletools
import stat
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_mrissl.errors import MrisslError, printable
from napari_mrissl.networks.unet_layout import UNetSize, size_of

if TYPE_CHECKING:
    import torch

MOST_BYTES = 400 << 20
"""Of a file; the largest network that is read has 94 million parameters."""

PUBLISHED = {"d13b2f335850a0a3a9042dcaf9a7181631098b80": "anatomix"}
"""Names of published files by the SHA-1 that git gives their content."""

_MOST_PICKLE = 1 << 20
_MOST_MEMBERS = 4096
_PREFIXES = ("_orig_mod.", "module.")
_NAMES = {
    "collections OrderedDict",
    "torch._utils _rebuild_tensor_v2",
    "torch._utils _rebuild_parameter",
    *(f"torch {kind}Storage" for kind in ("Float", "Double", "Half", "BFloat16", "Long")),
}
"""All that a file of weights has to name."""


@dataclass(frozen=True, eq=False)
class ForeignWeights:
    """What a file of somebody else holds.

    Attributes
    ----------
    state
        Tensors by their published names; floating ones in float32.
    size
        Of the network.
    git_blob
        SHA-1 that git gives the file's content.
    published
        What the file is, if it is a published one.
    """

    state: Mapping[str, torch.Tensor]
    size: UNetSize
    git_blob: str
    published: str | None


def git_blob(content: bytes) -> str:
    """SHA-1 under which git keeps a content; not a protection, but how files are published."""
    start = b"blob %d\0" % len(content)
    return hashlib.sha1(start + content, usedforsecurity=False).hexdigest()


def read_foreign(path: str | Path) -> ForeignWeights:
    """The plain U-Net in a file of torch, or in a safetensors file without a card.

    Nothing in the file is run: a file of torch may name nothing but tensors, and is read by
    ``torch.load(weights_only=True)``; the size of every part is known before it is read.

    Raises
    ------
    MrisslError
        If it is no such file, is damaged, or holds other tensors than such a network has.
    """
    path = Path(path)
    content = _content(path)
    if content[:4] == b"PK\x03\x04":
        found = _from_torch(content, path)
    elif content[8:9] == b"{":
        found = _from_safetensors(content, path)
    else:
        raise _refused(path, _looks_like(content))
    state = _plain(found, path)
    size = size_of({name: tuple(tensor.shape) for name, tensor in state.items()}, path.name)
    blob = git_blob(content)
    return ForeignWeights(_checked(state, path), size, blob, PUBLISHED.get(blob))


def _content(path: Path) -> bytes:
    # Without O_NONBLOCK a pipe would block before it could be recognised.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        with os.fdopen(os.open(path, flags), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise _refused(path, "is no regular file")
            if os.fstat(file.fileno()).st_size > MOST_BYTES:
                raise _refused(path, f"has more than {MOST_BYTES >> 20} MiB")
            return file.read(MOST_BYTES)
    except (OSError, ValueError) as error:
        if isinstance(error, MrisslError):
            raise
        raise _refused(path, getattr(error, "strerror", None) or type(error).__name__) from error


def _from_torch(content: bytes, path: Path) -> object:
    import torch

    members = _members(content, path)
    pickles = [name for name in members if name.rpartition("/")[2] == "data.pkl"]
    if len(pickles) != 1:
        raise _refused(path, "is a zip file without weights")
    _check_names(members[pickles[0]], path)
    # Written again, so that torch sees what was looked at and nothing else.
    rewritten = io.BytesIO()
    with zipfile.ZipFile(rewritten, "w", zipfile.ZIP_STORED) as archive:
        for name, member in members.items():
            archive.writestr(name, member)
    rewritten.seek(0)
    try:
        return torch.load(rewritten, map_location="cpu", weights_only=True)
    except Exception as error:
        # A damaged or hostile file can make torch raise nearly anything.
        raise _refused(path, f"torch says {type(error).__name__}") from error


def _members(content: bytes, path: Path) -> dict[str, bytes]:
    """Content of all files of a zip file, with their checksums verified."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = archive.infolist()
            if len(entries) > _MOST_MEMBERS or len({e.filename for e in entries}) < len(entries):
                raise _refused(path, "is a zip file with too many parts, or one of them twice")
            if any(e.compress_type != zipfile.ZIP_STORED or e.flag_bits & 1 for e in entries):
                raise _refused(path, "is compressed or encrypted, as files of torch never are")
            if sum(entry.file_size for entry in entries) > len(content):
                raise _refused(path, "has parts that are larger than the file")
            return {entry.filename: archive.read(entry) for entry in entries}
    except (zipfile.BadZipFile, EOFError, NotImplementedError, OSError, ValueError) as error:
        if isinstance(error, MrisslError):
            raise
        raise _refused(path, "is a damaged zip file") from error


def _check_names(code: bytes, path: Path) -> None:
    """Refuse a pickle that names anything but what tensors are made of."""
    if len(code) > _MOST_PICKLE:
        raise _refused(path, "has an index that is too long")
    try:
        for operation, argument, _ in pickletools.genops(code):
            if operation.name in {"STACK_GLOBAL", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX"} or (
                operation.name.startswith("EXT")
            ):
                raise _refused(path, "holds more than tensors")
            if operation.name == "GLOBAL" and argument not in _NAMES:
                named = printable(str(argument).replace(" ", "."))[:80]
                raise _refused(path, f"names {named}, which weights have no use for")
    except MrisslError:
        raise
    except Exception as error:
        # pickletools has no exceptions of its own for broken code.
        raise _refused(path, "has a damaged index") from error


def _from_safetensors(content: bytes, path: Path) -> object:
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        return load(content)
    except (SafetensorError, OSError, ValueError, KeyError, RuntimeError) as error:
        raise _refused(path, printable(" ".join(str(error).split()))[:120]) from error


def _plain(found: object, path: Path) -> dict[str, torch.Tensor]:
    import torch

    if not isinstance(found, Mapping):
        raise _refused(path, f"holds a {type(found).__name__}, not tensors by name")
    state: dict[str, torch.Tensor] = {}
    for name, tensor in found.items():
        if not isinstance(name, str) or not isinstance(tensor, torch.Tensor):
            raise _refused(path, "holds something else than tensors by name")
        plain = name
        for prefix in _PREFIXES:
            plain = plain.removeprefix(prefix)
        if plain in state:
            raise _refused(path, f"holds {printable(plain)[:80]} twice")
        state[plain] = tensor
    return state


def _checked(state: Mapping[str, torch.Tensor], path: Path) -> dict[str, torch.Tensor]:
    """Tensors of known shapes as plain float32, whole numbers as int64."""
    import torch

    floating = (torch.float32, torch.float64, torch.float16, torch.bfloat16)
    found = {}
    for name, tensor in state.items():
        counts = name.endswith(".num_batches_tracked")
        allowed = (torch.int64,) if counts else floating
        if tensor.dtype not in allowed or tensor.layout != torch.strided or tensor.is_meta:
            kind = str(tensor.dtype).removeprefix("torch.")
            raise _refused(path, f"tensor {name} has type {kind}")
        # A copy of its own: a tensor may be a view of something else.
        value = tensor.detach().to(torch.int64 if counts else torch.float32, copy=True)
        if not value.isfinite().all() or (name.endswith("running_var") and (value < 0).any()):
            raise _refused(path, f"tensor {name} has values that are no numbers of a network")
        found[name] = value.contiguous()
    return found


def _looks_like(content: bytes) -> str:
    if content.startswith(b"version https://git-lfs"):
        return "is the pointer to a file that was not downloaded"
    if not content:
        return "is empty"
    if content[:1] == b"\x80":
        return "is a bare pickle, which could run anything"
    return "is neither a file of torch nor of safetensors"


def _refused(path: Path, reason: str) -> MrisslError:
    return MrisslError(
        f"weights were not read ({reason})",
        where=path,
        expected="a state dict saved by torch 1.6 or later, or safetensors",
        remedy="get the file again from where it was published",
    )


def described(foreign: ForeignWeights) -> dict[str, Any]:
    """The card of weights that were read from somebody else's file; JSON-able."""
    origin: dict[str, Any] = {"kind": "imported", "git_blob": foreign.git_blob}
    method = "imported"
    if foreign.published is not None:
        method = f"contrast of synthetic views ({foreign.published}, as published)"
        origin |= {
            "published": foreign.published,
            "source": "arXiv:2411.02372",
            "licence": "MIT, (c) 2024 Neel Dey",
        }
    card: dict[str, Any] = {
        "method": method,
        "network": {"kind": "unet", **vars(foreign.size)},
        # As in training; the published inference uses the least and the largest value
        # (corrected: one bright voxel would make all others alike).
        "preprocessing": {"kind": "percentile", "low": 0.0, "high": 99.99},
        "origin": origin,
    }
    return json.loads(json.dumps(card))  # type: ignore[no-any-return]
