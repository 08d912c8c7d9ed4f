"""How much a scan may weigh: bounds that hold before anything is allocated."""

from __future__ import annotations

import os
from pathlib import Path

from napari_mrissl.volumes.errors import TooLarge

_CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")
_LARGE_STREAM = 512 * 2**20
_SUSPICIOUS_RATIO = 400


def memory_budget() -> int:
    """Bytes that one scan's voxels may take: a third of the memory of this machine.

    A third, because stored and reordered voxels coexist while a scan is opened.
    """
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if _CGROUP_LIMIT.exists():
        limit = _CGROUP_LIMIT.read_text("utf-8").strip()
        if limit.isdigit():
            total = min(total, int(limit))
    return total // 3


def check_voxels(size: int, where: Path) -> None:
    """Refuse voxels of ``size`` bytes that would not fit the memory budget."""
    budget = memory_budget()
    if size > budget:
        raise TooLarge(
            f"voxels would take {_readable(size)} of memory",
            where=where,
            field="dimensions",
            expected=f"at most {_readable(budget)} on this machine",
            remedy="crop or downsample the scan, or check its header",
        )


def check_expansion(decoded: int, compressed: int, where: Path) -> None:
    """Refuse a compressed stream that would grow like a decompression bomb.

    Deflate can expand a thousandfold. Scans above 512 MiB do not come near 400-fold;
    empty label maps do, and can be opened uncompressed.
    """
    if decoded > _LARGE_STREAM and decoded > _SUSPICIOUS_RATIO * max(compressed, 1):
        raise TooLarge(
            f"{_readable(compressed)} would expand to {_readable(decoded)}",
            where=where,
            field="compressed stream",
            expected=f"at most {_SUSPICIOUS_RATIO} times its size",
            remedy="if you trust the file, decompress it and open the result",
        )


def _readable(size: int) -> str:
    amount = float(size)
    for unit in ("B", "kiB", "MiB", "GiB"):
        if amount < 1024:
            return f"{amount:.4g} {unit}"
        amount /= 1024
    return f"{amount:.4g} TiB"
