"""Weights on disk: safetensors with a card, whole or not at all, and never a pickle.

The card is one JSON object in the file's metadata: what the network is, how scans are
prepared for it, how it was trained. It names no file, person or machine.
"""

from __future__ import annotations

import json
import os
import secrets
import stat
from collections.abc import Mapping
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from napari_mrissl.errors import MrisslError, printable
from napari_mrissl.networks.tensor_digest import digest_of, with_digest
from napari_mrissl.volumes.atomic import write_atomically

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

_KEY = "napari-mrissl"
_DIGEST = "tensors_sha256"
"""Beside what is in the card, see `tensor_digest`."""

_MOST_CARD = 1 << 22
_MOST_HEADER = 1 << 25
_DEEPEST = 32


def save(path: str | Path, state: Mapping[str, torch.Tensor], card: Mapping[str, Any]) -> None:
    """Write tensors and their card so that a reader finds the old file or the new one, whole.

    Parameters
    ----------
    path
        The file.
    state
        Tensors by name, on any device; those that share memory are written each.
    card
        JSON-able.

    Raises
    ------
    WriteError
        If the disk refuses; the old file is as it was.
    MrisslError
        If the card is no JSON or too long.
    """
    from safetensors.torch import save as serialised

    # One entry: of several, the library does not keep the order, nor with it the file's digest.
    mark = secrets.token_hex(32)
    metadata = {_KEY: _card_text(card, Path(path), mark)}
    content = with_digest(serialised(_separate(state), metadata), mark)

    def write(file: BinaryIO) -> None:
        file.write(content)

    write_atomically(path, write)


def save_arrays(
    path: str | Path, state: Mapping[str, NDArray[Any]], card: Mapping[str, Any]
) -> None:
    """As `save`, of arrays and without torch.

    Raises
    ------
    WriteError, MrisslError
    """
    from safetensors.numpy import save as serialised

    # Rows one after the other; a number of numpy's is no array.
    whole = {name: np.asarray(value, order="C") for name, value in state.items()}
    mark = secrets.token_hex(32)
    metadata = {"format": "pt", _KEY: _card_text(card, Path(path), mark)}
    content = with_digest(serialised(whole, metadata), mark)

    def write(file: BinaryIO) -> None:
        file.write(content)

    write_atomically(path, write)


def load_arrays(path: str | Path) -> dict[str, NDArray[Any]]:
    """The tensors of a file that `save` wrote, as arrays and without torch.

    Raises
    ------
    MrisslError
        If it is no such file, or numpy has no such type, as for bfloat16.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    path = Path(path)
    has_digest(path)
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError, TypeError, KeyError) as error:
        raise _refused(path, _reason(error)) from error


def load(path: str | Path, device: str = "cpu") -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Tensors and card of a file that `save` wrote.

    Raises
    ------
    MrisslError
        If it is no such file, or its numbers are others than those that were written; nothing
        in it is ever run.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = Path(path)
    card = read_card(path)
    has_digest(path)
    try:
        return load_file(path, device), card
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        raise _refused(path, _reason(error)) from error


def read_card(path: str | Path) -> dict[str, Any]:
    """The card alone: fast, and without torch.

    Raises
    ------
    MrisslError
        If it is no file that `save` wrote.
    """
    card = _card(Path(path))
    card.pop(_DIGEST, None)
    return card


def has_digest(path: str | Path) -> bool:
    """Whether the card holds a digest of the tensors, which then fits; older files have none.

    Raises
    ------
    MrisslError
        If it does not fit, or it is no file that `save` wrote.
    """
    path = Path(path)
    known = _card(path).get(_DIGEST)
    check(path)
    if known is None:
        return False
    try:
        # Not read into memory, where the tensors will be as well.
        with open(path, "rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as content:
            found = digest_of(content)
    except OSError as error:
        raise _refused(path, error.strerror or type(error).__name__) from error
    if found != known:
        raise _refused(path, "its numbers are not those that were written")
    return True


def _card(path: Path) -> dict[str, Any]:
    """The card with the digest of the tensors."""
    try:
        metadata = _header(path).get("__metadata__", {})
        text = metadata.get(_KEY) if isinstance(metadata, dict) else None
        if not isinstance(text, str):
            raise _refused(path, "has no card")
        if len(text) > _MOST_CARD:
            raise _refused(path, "card is too long")
        card = json.loads(text, parse_constant=_no_constant)
    except OSError as error:
        raise _refused(path, error.strerror or type(error).__name__) from error
    except (ValueError, RecursionError) as error:
        if isinstance(error, MrisslError):
            raise
        raise _refused(path, "header or card is no JSON") from error
    if not isinstance(card, dict) or _depth(card) > _DEEPEST:
        raise _refused(path, "card is no plain JSON object")
    return card


def check(path: str | Path) -> None:
    """Refuse a file that `load` would refuse, without reading its numbers or importing torch.

    Raises
    ------
    MrisslError
        If it is no file that `save` wrote.
    """
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    read_card(path)
    try:
        with safe_open(path, framework="numpy"):
            pass
    except (SafetensorError, OSError, ValueError) as error:
        raise _refused(path, _reason(error)) from error


def read_shapes(path: str | Path) -> dict[str, tuple[int, ...]]:
    """Shapes of the tensors by name: fast, and without torch.

    Raises
    ------
    MrisslError
        If it is no safetensors file; a card is not asked for.
    """
    path = Path(path)
    try:
        header = _header(path)
    except OSError as error:
        raise _refused(path, error.strerror or type(error).__name__) from error
    except (ValueError, RecursionError) as error:
        if isinstance(error, MrisslError):
            raise
        raise _refused(path, "header is no JSON") from error
    found = {}
    for name, entry in header.items():
        shape = entry.get("shape") if isinstance(entry, dict) else None
        if name == "__metadata__":
            continue
        if not isinstance(shape, list) or not all(type(side) is int for side in shape):
            raise _refused(path, "header has a tensor without a shape")
        found[name] = tuple(shape)
    return found


def check_preprocessing(card: Mapping[str, Any], wanted: Mapping[str, Any], where: str) -> None:
    """Refuse weights that expect scans to be prepared in another way.

    Raises
    ------
    MrisslError
        If the card says something else, or nothing.
    """
    found = card.get("preprocessing")
    if found != dict(wanted):
        raise MrisslError(
            f"weights were trained with preprocessing {_said(found)}",
            where=where,
            expected=_said(dict(wanted)),
            remedy="use weights and settings of one run",
        )


def _header(path: Path) -> dict[str, Any]:
    # Without O_NONBLOCK a pipe would block before it could be recognised.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    with os.fdopen(os.open(path, flags), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise _refused(path, "is no regular file")
        size = os.fstat(file.fileno()).st_size
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > min(size - 8, _MOST_HEADER):
            raise _refused(path, "has no header of its length")
        header = json.loads(file.read(length))
    if not isinstance(header, dict):
        raise _refused(path, "header is no JSON object")
    return header


def _separate(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    seen: set[int] = set()
    found = {}
    for name, tensor in state.items():
        kept = tensor.detach().to("cpu").contiguous()
        address = kept.untyped_storage().data_ptr()
        # The format has no shared memory; tied weights are written twice.
        found[name] = kept.clone() if address and address in seen else kept
        seen.add(address)
    return found


def _card_text(card: Mapping[str, Any], path: Path, digest: str) -> str:
    try:
        text = json.dumps({**card, _DIGEST: digest}, sort_keys=True, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise MrisslError(f"card is no JSON ({error})", where=path) from error
    if len(text) > _MOST_CARD or _depth(dict(card)) > _DEEPEST:
        raise MrisslError("card is too long or too deep", where=path)
    return text


def _depth(content: object) -> int:
    deepest = 0
    left: list[tuple[object, int]] = [(content, 1)]
    while left:
        part, depth = left.pop()
        deepest = max(deepest, depth)
        if isinstance(part, Mapping):
            left += [(value, depth + 1) for value in part.values()]
        elif isinstance(part, list | tuple):
            left += [(value, depth + 1) for value in part]
    return deepest


def _said(preprocessing: object) -> str:
    if not isinstance(preprocessing, Mapping):
        return "unknown"
    return ", ".join(f"{name} {value}" for name, value in sorted(preprocessing.items()))[:200]


def _reason(error: Exception) -> str:
    return printable(" ".join(str(error).split()))[:120] or type(error).__name__


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")


def _refused(path: Path, reason: str) -> MrisslError:
    return MrisslError(
        f"weights could not be read ({reason})",
        where=path,
        expected="a safetensors file that this program wrote",
        remedy="use a copy, or the weights of another checkpoint",
    )
