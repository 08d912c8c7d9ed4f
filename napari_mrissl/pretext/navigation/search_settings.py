"""How a slice is searched for, without torch."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class SearchSettings(BaseModel):
    """How long is searched, and how."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    plans: int = Field(
        default=4, ge=1, le=32, title="Plans", description="Looks at a true slice, and new plans."
    )
    steps: int = Field(
        default=6, ge=1, le=32, title="Steps", description="Actions of one plan, at most."
    )
    legs: int = Field(
        default=2, ge=1, le=8, title="Legs", description="Stretches of equal actions of a plan."
    )
    candidates: int = Field(
        default=48, ge=8, le=4096, title="Candidates", description="Plans imagined at once."
    )
    rounds: int = Field(
        default=4, ge=1, le=64, title="Rounds", description="Times that the best are varied."
    )
    seed: int = Field(default=0, ge=0, title="Seed", description="The same seed, the same search.")


EFFORTS = {
    "quick": SearchSettings(plans=2, candidates=24, rounds=3),
    "usual": SearchSettings(),
    "thorough": SearchSettings(plans=8, candidates=96, rounds=6),
}
"""Settings by the word that a panel has for them."""
