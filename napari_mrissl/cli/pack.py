"""``mrissl pack``: scans as one collection that many machines read in parts, or its check."""

from __future__ import annotations

from typing import Annotated, Any

from cyclopts import Parameter

from napari_mrissl.cli.arguments import Flag, Whole, within
from napari_mrissl.cli.terminal import Progress, resumable, say, show, show_json
from napari_mrissl.errors import MrisslError

Sources = Annotated[tuple[str, ...], Parameter(name="SOURCE", negative="")]

_MIB = 1 << 20


def pack(
    sources: Sources = (),
    /,
    *,
    out: str | None = None,
    check: str | None = None,
    workers: Whole = 1,
    json: Flag = False,
) -> None:
    """Pack scans into zarr shards with a checksummed manifest; or check such a pack.

    `mrissl pretrain --data PACK` trains from it, from a folder or from a URL where it was
    copied to. Nothing in it names a file, a machine or a patient; voxels are as they were, so
    deface before you share. A packing that was stopped goes on by the same command, and
    packing again adds only what is new. A scan of a folder that cannot be read does not stop
    the others.

    Parameters
    ----------
    sources
        Folders, scans, a .txt list, a BIDS tree, or a .csv with columns path, subject, split
        and label.
    out
        The pack: a new folder of this machine, or one to add to.
    check
        A pack, or a URL of one, of which all checksums are verified; nothing is packed.
    workers
        Threads that read and write.
    json
        Print one JSON object.
    """
    if check is not None:
        if sources or out is not None:
            raise MrisslError("scans to pack", where="--check", expected="a pack alone")
        _checked(check, json=json)
        return
    if out is None or not sources:
        raise MrisslError(
            "nothing to pack" if not sources else "no folder for the pack",
            where="--out" if sources else "SOURCE",
            expected="mrissl pack SOURCES --out FOLDER, or mrissl pack --check PACK",
        )
    from napari_mrissl.training.data.packing import pack as packed

    within("--workers", workers, 1, 64)
    with resumable():
        made = packed(sources, out, workers=workers, progress=Progress("packing"))
    for note in made.notes:
        say(note)
    facts = {"pack": made.uuid, "added": made.added, "copies": made.copies}
    facts["left_out"] = made.left_out
    _show(facts | described(made.entries), json=json)
    if made.left_out:
        raise MrisslError(
            f"{made.left_out} of the scans were left out", remedy="the lines above say why"
        )


def described(entries: Any) -> dict[str, Any]:
    """What a pack holds, JSON-ready."""
    scans = [entry for entry in entries if entry.role == "scan"]
    return {
        "scans": len(scans),
        "label_maps": len(entries) - len(scans),
        "subjects": len({entry.subject for entry in scans}),
        "dtypes": sorted({entry.dtype for entry in scans}),
        "stored_bytes": sum(entry.bytes for entry in entries),
        "decoded_bytes": sum(entry.nbytes for entry in entries),
    }


def show_pack(where: str, *, json: bool) -> None:
    """Say what a pack holds, and remember where it lies.

    Raises
    ------
    MrisslError
        If it cannot be opened.
    """
    from napari_mrissl.training.data.known_packs import noted

    manifest = noted(where).manifest
    _show({"pack": manifest.uuid} | described(manifest.entries), json=json)


def _checked(where: str, *, json: bool) -> None:
    from napari_mrissl.packs import Pack
    from napari_mrissl.packs import check as checked

    opened = Pack.open(where)
    found = checked(opened, Progress("checking"))
    for fault in found.faults:
        say(fault)
    if found.faults:
        raise MrisslError(
            f"{len(found.faults)} of {found.volumes} volumes are damaged",
            where=opened.place.name,
            remedy="copy them again, or delete their folders and pack the scans again",
        )
    _show({"whole": True, "volumes": found.volumes, "read_bytes": found.bytes}, json=json)


def _show(facts: dict[str, Any], *, json: bool) -> None:
    if json:
        show_json(facts)
        return
    lines: dict[str, object] = {}
    for name, value in facts.items():
        said = ", ".join(value) if isinstance(value, list) else value
        if name.endswith("_bytes"):
            name, said = name.removesuffix("_bytes"), f"{value / _MIB:,.1f} MiB"
        lines[name.replace("_", " ")] = said
    show(lines)
