"""Weights by name: those that ship, those a user imported, and those of runs and files.

Only `load_unet` and `import_weights` import torch.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from napari_mrissl.assets import asset
from napari_mrissl.directories import data_directory, made_directory
from napari_mrissl.errors import MrisslError, printable
from napari_mrissl.networks import weights
from napari_mrissl.networks.diffusion_cards import refuse_frozen
from napari_mrissl.networks.unet_layout import UNetSize, size_of

if TYPE_CHECKING:
    from napari_mrissl.networks.unet import UNet3d

DEFAULT = "default"
"""The name that stands for the weights that ship."""

SHIPPED_DEFAULT = "contrastive"
"""Which of the shipped files it stands for."""

_SUFFIX = ".safetensors"
_RUN_WEIGHTS = "weights.safetensors"
_OF_A_RUN = "backbone."
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_TAKEN = (DEFAULT, "random", "filters", "intensity")
"""Words that mean something else wherever weights are named."""

T = TypeVar("T")

Origin = Literal["shipped", "imported", "run", "file"]


@dataclass(frozen=True)
class WeightFile:
    """Weights of a plain U-Net on this machine.

    Attributes
    ----------
    name
        In the library; of a run or a file its method and the start of its identity, never
        the name of a folder.
    path
        The safetensors file.
    card
        What is said of them.
    identity
        SHA-256 of the file.
    origin
        Where they come from.
    """

    name: str
    path: Path = field(repr=False)
    card: Mapping[str, Any] = field(repr=False, hash=False)
    identity: str
    origin: Origin = "file"

    @property
    def published(self) -> str | None:
        """Which published file it is, if this library read it and all its numbers are whole."""
        found = self.card.get("origin")
        name = found.get("published") if isinstance(found, Mapping) else None
        if self.origin != "imported" or not isinstance(name, str):
            return None
        try:
            return name if weights.has_digest(self.path) else None
        except MrisslError:
            return None

    @property
    def size(self) -> UNetSize:
        """Of the network, from the header of the file.

        Raises
        ------
        MrisslError
            If it is no plain U-Net, or cannot be read.
        """
        return size_of(_network(weights.read_shapes(self.path)), self.path.name)


def names() -> tuple[str, ...]:
    """All names, shipped ones first: what a list on screen needs, without opening a file."""
    return tuple(name for _, name, _ in _named())


def available() -> list[WeightFile]:
    """All weights that have a name: shipped ones first, then imported ones; torch is not needed.

    Files that cannot be read are left out; `unreadable` says why.
    """
    return [file for file in _opened().values() if isinstance(file, WeightFile)]


def unreadable() -> dict[str, MrisslError]:
    """Why files in the library cannot be read, by name; torch is not needed."""
    return {name: one for name, one in _opened().items() if isinstance(one, MrisslError)}


def weights_named(source: str | Path) -> WeightFile:
    """The weights that a name, a run's folder or a file stands for; torch is not needed.

    Parameters
    ----------
    source
        ``"default"`` for the shipped ones, a name of `available`, the folder of a run, or a
        safetensors file. A name goes before a file of the same name in the working folder.

    Raises
    ------
    MrisslError
        If there are none, or they are not those of a plain U-Net.
    """
    known = {name: (path, origin) for origin, name, path in _named()}
    if isinstance(source, str):
        wanted = SHIPPED_DEFAULT if source == DEFAULT else source
        if wanted in known:
            path, origin = known[wanted]
            return _file(wanted, path, origin)
        if source == DEFAULT:
            raise MrisslError(
                "no weights ship with this version",
                where="weights",
                remedy="import some by mrissl weights import, or give the folder of a run",
            )
    path = Path(source)
    if path.is_dir():
        if not (path / _RUN_WEIGHTS).is_file():
            raise MrisslError(
                "has no weights yet",
                where=path,
                expected="a run with a checkpoint",
                remedy="train it for some steps first",
            )
        return _file(None, path / _RUN_WEIGHTS, "run")
    if not path.exists():
        raise MrisslError(
            f"{printable(str(path.name))!r} is not there",
            where="weights",
            expected="one of " + ", ".join(known) + ", a run or a file"
            if known
            else "a run or a file",
            remedy="mrissl weights list shows the names",
        )
    if path.suffix in {".pth", ".pt", ".ckpt"}:
        raise MrisslError(
            "is a file of torch",
            where=path,
            expected="safetensors",
            remedy="import it first by mrissl weights import",
        )
    return _file(None, path, "file")


def network_named(source: str | Path) -> WeightFile:
    """As `weights_named`, of whatever network a run or a file of this program holds.

    Raises
    ------
    MrisslError
        If there are none, or they cannot be read.
    """
    path = Path(source)
    named = isinstance(source, str) and (source == DEFAULT or source in names())
    path = path / _RUN_WEIGHTS if path.is_dir() else path
    if named or not path.is_file() or path.suffix != _SUFFIX:
        return weights_named(source)
    return _opened_file(None, path, "run" if path != Path(source) else "file")


def load_unet(file: WeightFile | None, seed: int = 0, *, size: UNetSize | None = None) -> UNet3d:
    """The network with these weights in float32, for evaluation; it needs no gradients.

    Parameters
    ----------
    file
        None for a network with weights drawn at random, as a control.
    seed
        Of the random weights.
    size
        Of the random network; by default the published one.

    Raises
    ------
    MrisslError
        If the file was changed since it was named, cannot be read, or its numbers are not
        those that were written.
    """
    import torch

    from napari_mrissl.networks.unet import UNet3d

    state = None
    if file is not None:
        if _sha256(file.path) != file.identity:
            raise MrisslError("has changed meanwhile", where=file.path, remedy="choose it again")
        content, _ = weights.load(file.path)
        state = {name: t.float() if t.is_floating_point() else t for name, t in content.items()}
        state = _network(state)
        size = size_of({name: tuple(t.shape) for name, t in state.items()}, file.path.name)
        if not all(bool(tensor.isfinite().all()) for tensor in state.values()):
            raise MrisslError("holds values that are not finite", where=file.path)
    size = size or UNetSize()
    # Drawing weights must not change what other code draws.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = UNet3d(size.in_channels, size.out_channels, size.width, size.depth)
    if state is not None:
        network.load_state_dict(state, strict=True)
    return network.eval().requires_grad_(False)


def import_weights(path: str | Path, name: str | None = None) -> WeightFile:
    """Read weights that others trained, and keep them as safetensors in the user's folder.

    Parameters
    ----------
    path
        A file of torch or of safetensors.
    name
        In the library; by default that of the published file, or the file's own.

    Raises
    ------
    MrisslError
        If it is no such file, or the name is taken; nothing is then changed. A name is free
        again where its file can no longer be read.
    """
    from napari_mrissl.networks.weight_files import PUBLISHED, described, read_foreign

    path = Path(path)
    foreign = read_foreign(path)
    chosen = name or foreign.published or re.sub(r"[^A-Za-z0-9._-]+", "-", path.stem).strip("-._")
    if not _NAME.fullmatch(chosen) or chosen in _TAKEN:
        raise MrisslError(
            f"{printable(chosen)[:80]!r} cannot be their name",
            where=path,
            expected="up to 64 letters, digits, dots, dashes",
            remedy="give another by --name",
        )
    published = {known.casefold() for known in PUBLISHED.values()}
    if chosen.casefold() in published and chosen != foreign.published:
        raise MrisslError(
            f"is not the published file {chosen!r}: its hash is another",
            where=path,
            remedy="get the file again from where it was published, or give a name by --name",
        )
    card = described(foreign)
    taken = {known: (origin, place) for origin, known, place in _named()}.get(chosen)
    if taken is not None and not (taken[0] == "imported" and _replaceable(taken[1], card)):
        raise MrisslError(
            f"{chosen!r} is the name of other weights", where=path, remedy="give one by --name"
        )
    place = made_directory(_imported()) / f"{chosen}{_SUFFIX}"
    weights.save(place, foreign.state, card)
    return _file(chosen, place, "imported")


def _opened() -> dict[str, WeightFile | MrisslError]:
    found: dict[str, WeightFile | MrisslError] = {}
    for origin, name, path in _named():
        try:
            found[name] = _file(name, path, origin)
        except MrisslError as error:
            found[name] = error
    return found


def _named() -> list[tuple[Origin, str, Path]]:
    found: list[tuple[Origin, str, Path]] = []
    with contextlib.suppress(MrisslError):
        found += [("shipped", path.stem, path) for path in _files(asset("weights"))]
    shipped = {name for _, name, _ in found}
    found += [
        ("imported", path.stem, path) for path in _files(_imported()) if path.stem not in shipped
    ]
    return found


def _replaceable(path: Path, card: Mapping[str, Any]) -> bool:
    """Whether a file is of these very weights, or of nothing that could still be read."""
    try:
        weights.has_digest(path)
    except MrisslError:
        return True
    return weights.read_card(path) == card


def _imported() -> Path:
    return data_directory() / "weights"


def _files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.glob(f"*{_SUFFIX}") if _NAME.fullmatch(p.stem))


def _file(name: str | None, path: Path, origin: Origin) -> WeightFile:
    file = _opened_file(name, path, origin)
    refuse_frozen(file.card, path)
    _ = file.size  # other networks are refused here, not when they are loaded
    return file


def _opened_file(name: str | None, path: Path, origin: Origin) -> WeightFile:
    card = weights.read_card(path)
    identity = _sha256(path)
    if name is None:
        name = f"{printable(str(card.get('method', 'weights')))[:40]} {identity[:8]}"
    return WeightFile(name, path, card, identity, origin)


def _network(content: Mapping[str, T]) -> dict[str, T]:
    """What belongs to the network itself; a run's file also has the heads it was trained by."""
    if any(name.startswith(_OF_A_RUN) for name in content):
        return {
            name.removeprefix(_OF_A_RUN): value
            for name, value in content.items()
            if name.startswith(_OF_A_RUN)
        }
    return dict(content)


def _sha256(path: Path) -> str:
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise MrisslError(
            f"could not be read ({error.strerror or type(error).__name__})", where=path
        ) from error
