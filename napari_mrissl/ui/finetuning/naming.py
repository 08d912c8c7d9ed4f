"""Whether what the user labelled in several scans means the same by the same number."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from napari_mrissl.errors import MrisslError, printable


class Named(NamedTuple):
    """Names of what is labelled in one place.

    Attributes
    ----------
    where
        For people, e.g. the name of a layer.
    names
        By label, of those that occur there.
    """

    where: str
    names: Mapping[int, str]


def check_names(places: Iterable[Named], given: Collection[int] = ()) -> None:
    """Refuse a label that has two names, and a name that has two labels.

    Names that nobody gave do not count, and one layer may give one name to several labels, as
    tables of atlases do.

    Parameters
    ----------
    places
        All that is learned or measured on.
    given
        Labels whose names the user gave for all scans.

    Raises
    ------
    MrisslError
        If it is so, with the two places.
    """
    of_label: dict[int, tuple[str, str]] = {}
    of_name: dict[str, tuple[set[int], str]] = {}
    for place in places:
        own: dict[str, set[int]] = {}
        for label, name in place.names.items():
            if label in given or not name or name == f"class {label}":
                continue
            own.setdefault(name, set()).add(label)
            first, where = of_label.setdefault(label, (name, place.where))
            if first != name:
                raise _refused(
                    f"label {label} is {first!r} in {where} and {name!r} in {place.where}",
                    "one name for each label",
                )
        for name, labels in own.items():
            others, where = of_name.setdefault(name, (labels, place.where))
            if not others & labels:
                raise _refused(
                    f"{name!r} is label {min(others)} in {where} and label {min(labels)} in "
                    f"{place.where}",
                    "one label for each name",
                )
            others |= labels


def _refused(found: str, expected: str) -> MrisslError:
    return MrisslError(
        printable(found),
        where="classes",
        expected=expected,
        remedy="rename the class in the table for all scans, or leave one of both out",
    )
