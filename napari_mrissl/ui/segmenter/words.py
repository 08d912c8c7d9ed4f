"""Numbers as the panel says them."""

from __future__ import annotations

from napari_mrissl.features import Estimate
from napari_mrissl.segmentation.suggestions import Suggestion


def size(count: int) -> str:
    """Bytes as ``1.4 GB`` or ``320 MB``."""
    return f"{count / 1e9:.1f} GB" if count >= 0.95e9 else f"{max(1, round(count / 1e6))} MB"


def duration(seconds: float) -> str:
    """Seconds as ``12 s`` or ``3 min``."""
    return f"{max(1, round(seconds))} s" if seconds < 90 else f"{round(seconds / 60)} min"


def cost(needed: Estimate) -> str:
    """What a first feature pass takes, in a sentence."""
    return (
        f"First use of this scan: features take about {duration(needed.seconds)}, "
        f"{size(needed.ram_bytes)} of memory and {size(needed.disk_bytes)} of disk; "
        "then they are kept."
    )


def progress(fraction: float, text: str, elapsed: float) -> str:
    """How far a job is, with the time left once that can be told."""
    said = f"{text or 'Working'} · {fraction:.0%}".replace("%", " %")
    if fraction > 0.05 and elapsed > 1.0:
        said += f" · {duration(elapsed / fraction * (1 - fraction))} left"
    return said


def counted(number: int, one: str) -> str:
    """``1 click``, ``2 clicks``."""
    return f"{number:,} {one}" + ("" if number == 1 else "s")


def segmented(placed: int, outside: int, seconds: float) -> str:
    """From how many of the placed marks a segmentation was made, and how fast."""
    said = f"Segmented from {counted(placed - outside, 'marked place')} in {seconds:.1f} s"
    if outside:
        said += f"; {outside:,} {'lies' if outside == 1 else 'lie'} outside the scan"
    return said + "."


def next_place(scan: str, suggestion: Suggestion) -> str:
    """Which place is proposed, and why."""
    _, x, y, z = suggestion.place
    where = f"R {x:+.1f}  A {y:+.1f}  S {z:+.1f} mm"
    return f"{scan}, {suggestion.plane} plane\n{where}\n{suggestion.why}"


def notes(remarks: tuple[str, ...]) -> str:
    """Remarks on a scan as sentences."""
    return " ".join(f"{remark[:1].upper()}{remark[1:]}." for remark in remarks)
