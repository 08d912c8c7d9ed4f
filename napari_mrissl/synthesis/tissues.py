"""What the structures of a head are made of, and how bright that is in common MRI contrasts.

Label numbers are FreeSurfer's, those from 500 on SimNIBS' for the tissues outside the brain.
Grey values are our own estimates, not published ones: an ordering of tissues as in common
T1-, T2- and proton-density-weighted scans, between 0 and 255.
"""

from __future__ import annotations

from typing import NamedTuple


class Look(NamedTuple):
    """Mean grey value of a tissue in each contrast, and the spread within the tissue."""

    t1: float
    t2: float
    pd: float
    spread: float


CONTRASTS = ("t1", "t2", "pd")

LOOKS = {
    "background": Look(2, 2, 2, 1),
    "air": Look(5, 5, 5, 2),
    "white matter": Look(172, 82, 128, 3),
    "grey matter": Look(118, 112, 158, 4),
    "thalamus": Look(142, 96, 145, 4),
    "striatum": Look(130, 104, 152, 3),
    "pallidum": Look(152, 66, 128, 3),
    "brainstem": Look(158, 90, 134, 4),
    "fluid": Look(42, 215, 178, 4),
    "choroid plexus": Look(80, 165, 170, 8),
    "lesion": Look(95, 185, 180, 8),
    "vessel": Look(70, 45, 80, 10),
    "nerve": Look(145, 92, 135, 4),
    "eye": Look(50, 220, 175, 5),
    "compact bone": Look(18, 14, 20, 4),
    "marrow": Look(150, 100, 110, 14),
    "skin": Look(120, 80, 115, 10),
    "fat": Look(215, 140, 150, 12),
    "muscle": Look(88, 42, 105, 8),
    "mucosa": Look(105, 165, 150, 12),
}
"""By tissue; ``"soft tissue"`` is fat under the skin and muscle below."""

SOFT_TISSUE = "soft tissue"

FREESURFER_TISSUES = {
    2: "white matter",
    3: "grey matter",
    4: "fluid",
    5: "fluid",
    7: "white matter",
    8: "grey matter",
    10: "thalamus",
    11: "striatum",
    12: "striatum",
    13: "pallidum",
    14: "fluid",
    15: "fluid",
    16: "brainstem",
    17: "grey matter",
    18: "grey matter",
    24: "fluid",
    25: "lesion",
    26: "striatum",
    28: "brainstem",
    30: "vessel",
    31: "choroid plexus",
    72: "fluid",
    77: "lesion",
    80: "lesion",
    85: "nerve",
    136: "choroid plexus",
    137: "choroid plexus",
    502: "air",
    503: "vessel",
    506: "eye",
    507: SOFT_TISSUE,
    508: "muscle",
    509: "mucosa",
    511: "skin",
    512: "nerve",
    514: "vessel",
    515: "compact bone",
    516: "marrow",
    517: "background",
    520: "fluid",
    530: "nerve",
}
"""By label; a structure of both sides stands under its left label."""

LEFT_OF_RIGHT = {
    41: 2,
    42: 3,
    43: 4,
    44: 5,
    46: 7,
    47: 8,
    49: 10,
    50: 11,
    51: 12,
    52: 13,
    53: 17,
    54: 18,
    57: 25,
    58: 26,
    60: 28,
    62: 30,
    63: 31,
    163: 136,
    164: 137,
}
"""The left label of the same structure, by right label."""


def structure_of(label: int) -> int:
    """The label under which a structure's tissue stands: of a pair, the left one."""
    return LEFT_OF_RIGHT.get(label, label)


def freesurfer_tissue(label: int) -> str | None:
    """The tissue of a label, None if the label is not known."""
    return FREESURFER_TISSUES.get(structure_of(label))
