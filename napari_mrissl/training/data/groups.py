"""Scans that belong together, because they are of one person or are copies of each other."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Sequence


def grouped(keys: Sequence[Sequence[Hashable]]) -> list[int]:
    """Number the connected groups of items that share a key, in the order they appear.

    Parameters
    ----------
    keys
        The keys of each item.

    Returns
    -------
    list[int]
        The group of each item, from 0.
    """
    parents: dict[Hashable, Hashable] = {}

    def root(node: Hashable) -> Hashable:
        while parents.setdefault(node, node) != node:
            parents[node] = parents[parents[node]]
            node = parents[node]
        return node

    for number, own in enumerate(keys):
        for key in own:
            parents[root(("item", number))] = root(("key", key))
    numbers: dict[Hashable, int] = {}
    return [numbers.setdefault(root(("item", k)), len(numbers)) for k in range(len(keys))]


def held_out(groups: Sequence[str], share: float, seed: int) -> set[int]:
    """Which groups are held out: a share of them, at least one of two or more.

    It depends on what the groups hold, not on their order or names.

    Parameters
    ----------
    groups
        For each group something that stays the same wherever its files lie.
    share
        Of the groups, 0 to 1; 0 holds none out.
    seed
        Another seed, another choice.
    """
    if len(groups) < 2 or share <= 0:
        return set()
    count = min(max(1, round(share * len(groups))), len(groups) - 1)

    def rank(number: int) -> str:
        return hashlib.sha256(f"{seed}/{groups[number]}".encode()).hexdigest()

    return set(sorted(range(len(groups)), key=rank)[:count])
