"""How long, and at which rate, a network from scratch is trained: decided on a spare subject.

A pretrained network is compared with one that had every chance: its learning rate is the best of
three, and it is trained until more steps do not help.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

FACTORS = (1 / 3, 1.0, 3.0)
"""Of the preset's learning rate: those that are tried."""

FLAT = 0.01
"""Gain of the spare subject's mean Dice from twice the steps below which it counts as flat."""

MOST = 2
"""Times the first number of steps that are tried at most."""


def best_rate(validate: Callable[[float], float], rates: Sequence[float]) -> float:
    """The learning rate with the best Dice on the spare subject; the lowest of equal ones."""
    return max(sorted(rates), key=validate)


def lengths(start: int) -> list[int]:
    """All numbers of steps that may be tried."""
    found = [start]
    while 2 * found[-1] <= MOST * start:
        found.append(2 * found[-1])
    return found


def flat_steps(validate: Callable[[int], float], start: int) -> tuple[int, bool]:
    """From how many steps on the Dice on the spare subject is flat, and whether it is.

    Steps are doubled until that gains less than `FLAT`, or they are `MOST` times the first; of
    the last two numbers of steps the better one counts, so nothing that helps is withheld.

    Parameters
    ----------
    validate
        The mean Dice on the spare subject after so many steps.
    start
        The first number of steps.
    """
    steps, dice = start, validate(start)
    for longer in lengths(start)[1:]:
        further = validate(longer)
        gain = further - dice
        if gain < FLAT:
            return (longer if gain > 0 else steps), True
        steps, dice = longer, further
    return steps, False
