"""What the types of settings allow: the inner kind, the rules of a number, a first value."""

from __future__ import annotations

import types
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

DECIMALS = 8
LARGEST = 1_000_000
_LARGEST_WHOLE = 2**31 - 1


def inner_type(annotation: Any) -> Any:
    """A type without what `Annotated` says about it, and without ``None``."""
    kind = bare(annotation)
    if get_origin(kind) in (Union, types.UnionType):
        kinds = [one for one in get_args(kind) if one is not type(None)]
        if len(kinds) == 1:
            return bare(kinds[0])
    return kind


def limits_of(rules: list[Any], kind: Any = float) -> tuple[float, float]:
    """Least and largest value that the rules of a number allow."""
    largest = float(_LARGEST_WHOLE if kind is int else LARGEST)
    least = 1.0 if kind is int else 10.0**-DECIMALS
    low, high = -largest, largest
    for rule in flat(rules):
        for bound, more in (("ge", 0.0), ("gt", least)):
            if getattr(rule, bound, None) is not None:
                low = float(getattr(rule, bound)) + more
        for bound, less in (("le", 0.0), ("lt", least)):
            if getattr(rule, bound, None) is not None:
                high = float(getattr(rule, bound)) - less
    return low, high


def first_value(annotation: Any, rules: list[Any], default: Any) -> Any:
    """A value to begin with where there is none."""
    if default is not None and default is not PydanticUndefined:
        return default
    kind = bare(annotation)
    rules = [*rules, *rules_of(annotation)]
    if get_origin(kind) is Literal:
        return get_args(kind)[0]
    if get_origin(kind) is tuple:
        items = get_args(kind)
        return () if Ellipsis in items else tuple(first_value(one, [], None) for one in items)
    if kind in (int, float):
        low, high = limits_of(rules, kind)
        return kind(min(max(low, 0), high))
    return kind()


def flat(rules: list[Any]) -> list[Any]:
    """Rules of annotations within annotations."""
    found = []
    for rule in rules:
        inner = rule.metadata if isinstance(rule, FieldInfo) else [rule]
        found.extend(inner)
    return found


def bare(kind: Any) -> Any:
    """A type without what `Annotated` says about it."""
    return get_args(kind)[0] if get_origin(kind) is Annotated else kind


def rules_of(kind: Any) -> list[Any]:
    """What `Annotated` says about a type."""
    return list(get_args(kind)[1:]) if get_origin(kind) is Annotated else []
