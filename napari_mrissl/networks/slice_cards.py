"""What the card of weights says of a network for slices, read without torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, Field, ValidationError

from napari_mrissl.errors import MrisslError
from napari_mrissl.networks.settings import DynamicsShape, TokenizerShape

TOKENIZER, DYNAMICS = "tokenizer", "dynamics"
"""The methods whose weights are networks for slices."""


class _Flights(BaseModel):
    frames: int = Field(ge=2)


@dataclass(frozen=True)
class SliceNetwork:
    """A tokenizer of slices, by itself or with dynamics on its latents.

    Attributes
    ----------
    slices
        How large the tokenizer is.
    dynamics
        How large the dynamics are; None for a tokenizer by itself.
    drafts
        Whether the dynamics were trained by shortcut forcing.
    heeds_actions
        Whether they were told the actions; else every action is zero to them.
    context
        The most frames that were looked at in training; later places were never learned.
    """

    slices: TokenizerShape
    dynamics: DynamicsShape | None = None
    drafts: bool = False
    heeds_actions: bool = True
    context: int = 1

    @property
    def channels(self) -> int:
        """Numbers that a patch is described by."""
        return self.slices.latent if self.dynamics is None else self.dynamics.width


def slice_network(card: Mapping[str, Any]) -> SliceNetwork:
    """The network that a card describes.

    Raises
    ------
    MrisslError
        If it is of another method, or does not say how large it is.
    """
    method, task = card.get("method"), card.get("task")
    if method not in (TOKENIZER, DYNAMICS):
        raise MrisslError(
            f"weights are of the method {str(method or 'none')[:40]}",
            where="weights",
            expected=f"a run of the method {TOKENIZER} or {DYNAMICS}",
        )
    told = task if isinstance(task, Mapping) else {}
    try:
        slices = TokenizerShape.model_validate(told.get("backbone"))
        if method == TOKENIZER:
            return SliceNetwork(slices)
        dynamics = DynamicsShape.model_validate(told.get("dynamics"))
        context = _Flights.model_validate(told.get("flights")).frames - 1
    except ValidationError as error:
        raise MrisslError(
            "the card does not say how large the network is",
            where="weights",
            expected="the weights of a run",
        ) from error
    drafts, zero = told.get("objective") == "shortcut", told.get("actions") == "zero"
    return SliceNetwork(slices, dynamics, drafts, not zero, min(context, dynamics.context))
