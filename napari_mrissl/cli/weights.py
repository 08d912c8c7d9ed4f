"""``mrissl weights``: networks that ship, that others trained, and that were trained here."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from napari_mrissl.cli.arguments import Flag
from napari_mrissl.cli.terminal import one_sentence, say, show, show_json
from napari_mrissl.errors import MrisslError

if TYPE_CHECKING:
    from napari_mrissl.networks.weight_library import WeightFile

_FOREIGN = {".pth", ".pt", ".ckpt"}


def list_weights(*, json: Flag = False) -> None:
    """List the weights that have a name: shipped ones, then imported ones.

    Parameters
    ----------
    json
        Print one JSON object.
    """
    from napari_mrissl.networks.weight_library import available, unreadable

    found, broken = available(), unreadable()
    if json:
        reasons = {name: str(reason) for name, reason in broken.items()}
        show_json({"weights": [_facts(file) for file in found], "unreadable": reasons})
        return
    for name, reason in broken.items():
        say(one_sentence(f"{name} cannot be read: {reason}"))
    if not found:
        say("no weights yet; mrissl weights import reads a file, mrissl pretrain makes a run")
        return
    show({file.name: _line(file) for file in found})


def import_file(
    file: Annotated[Path, Parameter(name="FILE")],
    /,
    *,
    name: str | None = None,
    json: Flag = False,
) -> None:
    """Read weights that others trained, without running anything in the file, and keep them.

    They are kept as safetensors with a card in this user's data folder.

    Parameters
    ----------
    file
        A state dict of the plain U-Net, saved by torch (.pth) or as safetensors.
    name
        What they are called from then on; by default what the published or given file is.
    json
        Print one JSON object.
    """
    from napari_mrissl.networks.weight_library import import_weights

    _say_facts(_facts(import_weights(file, name)), json=json)


def verify(
    weights: Annotated[str, Parameter(name="NAME_OR_FILE")], /, *, json: Flag = False
) -> None:
    """Check that weights are whole, of the right layout, and whether they are published ones.

    Whether numbers are those that were written is told by a checksum that files of this program
    carry; files of its first versions, and of others, have none, and it is then not known.

    Parameters
    ----------
    weights
        A name of mrissl weights list, the folder of a run, a safetensors file, or a file of
        torch (.pth), which is not imported by this.
    json
        Print one JSON object.
    """
    _say_facts(_foreign(Path(weights)) if _is_foreign(weights) else _loaded(weights), json=json)


def export_weights(
    run: Annotated[Path, Parameter(name="RUN")],
    /,
    *,
    out: Path,
    half: Flag = False,
    measured: Path | None = None,
    licence: str = "BSD-3-Clause",
    about: str = "",
    json: Flag = False,
) -> None:
    """Write the network of a run as one small file to give to others, with a model card.

    The heads it was trained by are left out; Markdown of the same name comes beside it.

    Parameters
    ----------
    run
        The folder of a run that trained a plain U-Net.
    out
        The new file, ending in .safetensors.
    half
        Store convolutions in half precision, which takes half the room.
    measured
        table.json of mrissl benchmark features.
    licence
        Of the weights.
    about
        A sentence or two on the data, such as where its templates come from.
    json
        Print one JSON object.
    """
    from napari_mrissl.evaluation.shared_weights import share
    from napari_mrissl.training.run import Run

    written = share(Run.open(run), out, half=half, measured=measured, licence=licence, about=about)
    _say_facts(_facts(written), json=json)


def _is_foreign(weights: str) -> bool:
    from napari_mrissl.networks.weights import read_card

    path = Path(weights)
    if path.suffix in _FOREIGN:
        return True
    if path.suffix != ".safetensors" or not path.is_file():
        return False
    try:
        read_card(path)
    except MrisslError:
        # Without a card of ours it can only be somebody else's.
        return True
    return False


def _foreign(path: Path) -> dict[str, Any]:
    from napari_mrissl.networks.weight_files import described, read_foreign

    found = read_foreign(path)
    card = described(found)
    return {
        "file": path.name,
        "published": found.published,
        "git_blob": found.git_blob,
        "tensors": len(found.state),
        **card["network"],
        "method": card["method"],
        "licence": card["origin"].get("licence"),
    }


def _loaded(weights: str) -> dict[str, Any]:
    from napari_mrissl.networks.weight_library import load_unet, weights_named
    from napari_mrissl.networks.weights import has_digest

    file = weights_named(weights)
    tensors = len(load_unet(file).state_dict())
    checksum = "fits" if has_digest(file.path) else "not known"
    return {**_facts(file), "tensors": tensors, "checksum": checksum}


def _facts(file: WeightFile) -> dict[str, Any]:
    published = file.published
    facts = {
        "name": file.name,
        "origin": file.origin,
        "identity": file.identity,
        "kind": "unet",
        **vars(file.size),
        "method": file.card.get("method"),
        "steps": file.card.get("step"),
        "begun_from": file.card.get("initial"),
        "published": published,
        # What a file says of itself is not what its publisher said.
        "licence": file.card["origin"].get("licence") if published else file.card.get("licence"),
    }
    return {name: value for name, value in facts.items() if value is not None}


def _line(file: WeightFile) -> str:
    size = file.size
    parts = [
        file.origin,
        f"{size.out_channels} features",
        f"width {size.width}",
        f"depth {size.depth}",
        str(file.card.get("method", "")),
    ]
    if "step" in file.card:
        begun = ", begun from other weights" if file.card.get("initial") else ""
        parts.append(f"{file.card['step']} steps{begun}")
    return ", ".join(part for part in parts if part)


def _say_facts(facts: dict[str, Any], *, json: bool) -> None:
    if json:
        show_json(facts)
        return
    said = {name.replace("_", " "): value for name, value in facts.items() if value is not None}
    show(said | {"published": facts.get("published") or "no"})
