"""How far imagined flights are from true ones, beside answers that learned no dynamics.

Errors of latents (mean absolute difference, layer-normed) and of pictures (PSNR, SSIM) after
1, 4 and 8 steps from one true slice; the same for the first slice once more, for latents on a
straight line through the first slice and the one before it, and for those of the first slice
moved in its plane as the actions say. The ratio of the errors of single steps with the actions
of another flight and with the true ones says whether actions are heeded. The network is told
where an action takes each patch from and what the flight remembers of the place, so that its
ratio says something only beside those of the moved and the remembered latents, which heed
actions without having learned anything.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from napari_mrissl.errors import MrisslError
from napari_mrissl.geometry import chained
from napari_mrissl.networks.slice_memory import remembered
from napari_mrissl.networks.slice_moves import carried
from napari_mrissl.pretext.navigation.flights import FlownPoses, actions_of, cut
from napari_mrissl.pretext.navigation.imagination import Imagination

HORIZONS = (1, 4, 8)
_Ahead = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""From latents (1, T, grid, grid, latent) and actions (1, T, 7) those of the frames after."""

ANSWERS = ("imagined", "copied", "straight", "moved")


class Apart(NamedTuple):
    """Errors of one answer at one horizon, means over flights.

    Attributes
    ----------
    latent
        Mean absolute difference of layer-normed latents.
    psnr
        Decibels, of pictures in [0, 1]; of the mean squared error over all flights.
    ssim
        Structural similarity, mean over flights.
    """

    latent: float
    psnr: float
    ssim: float


@dataclass(frozen=True)
class Rollout:
    """What is known of the flights of one kind.

    Attributes
    ----------
    kind, flights
        Which, and how many.
    errors
        By horizon, then by answer (`ANSWERS`).
    next_error, copied_error
        Of latents one step ahead, over all frames of the flights from all that is true before
        them; and of the frame before in place of a prediction.
    shuffled_error
        As ``next_error``, with the actions of another flight.
    moved_error, moved_shuffled_error
        Of the frame before, moved by the true action, and by that of another flight.
    remembered_error, remembered_shuffled_error
        Of what the frames before show of the places that the true action leads to, and that of
        another flight; see `networks.slice_memory`.
    """

    kind: str
    flights: int
    errors: Mapping[int, Mapping[str, Apart]]
    next_error: float
    copied_error: float
    shuffled_error: float
    moved_error: float
    moved_shuffled_error: float
    remembered_error: float
    remembered_shuffled_error: float

    @property
    def shuffle_ratio(self) -> float:
        """How many times larger errors are with wrong actions; 1 where actions are not heeded."""
        return _ratio(self.shuffled_error, self.next_error)

    @property
    def below_copied(self) -> float:
        """Error one step ahead as a share of what copying comes to."""
        return _ratio(self.next_error, self.copied_error)

    @property
    def moved_shuffle_ratio(self) -> float:
        """As `shuffle_ratio`, of moved latents."""
        return _ratio(self.moved_shuffled_error, self.moved_error)

    @property
    def moved_below_copied(self) -> float:
        """As `below_copied`, of moved latents."""
        return _ratio(self.moved_error, self.copied_error)

    @property
    def remembered_shuffle_ratio(self) -> float:
        """As `shuffle_ratio`, of remembered latents."""
        return _ratio(self.remembered_shuffled_error, self.remembered_error)

    @property
    def remembered_below_copied(self) -> float:
        """As `below_copied`, of remembered latents."""
        return _ratio(self.remembered_error, self.copied_error)


def _ratio(one: float, other: float) -> float:
    return one / other if other else math.inf


@dataclass
class _Sums:
    latent: list[float] = field(default_factory=list)
    squares: list[float] = field(default_factory=list)
    ssim: list[float] = field(default_factory=list)

    def apart(self) -> Apart:
        squares = float(np.mean(self.squares))
        psnr = -10 * math.log10(squares) if squares else math.inf
        return Apart(float(np.mean(self.latent)), psnr, float(np.mean(self.ssim)))


def measure(
    imagination: Imagination,
    flights: Iterable[FlownPoses],
    horizons: Sequence[int] = HORIZONS,
) -> dict[str, Rollout]:
    """Errors for each kind of flight, and none pooled.

    Parameters
    ----------
    imagination
        The network; its own flight is left alone.
    flights
        Each begins with one frame more than the longest horizon has steps, plus one: frame 0 is
        only for the straight line, and frame 1 is where imagination begins.
    horizons
        Steps after which errors are taken; without any, only single steps are measured.

    Raises
    ------
    MrisslError
        If a flight is too short, a kind has only one flight to shuffle with, or two flights of
        a kind have the same actions, so that no shuffling would change them.
    """
    by_kind: dict[str, list[FlownPoses]] = {}
    for flight in flights:
        if len(flight.poses) < max(horizons, default=0) + 2:
            raise MrisslError(
                f"a flight of {len(flight.poses)} frames",
                expected=f"{max(horizons, default=0) + 2} frames or more",
            )
        by_kind.setdefault(flight.kind, []).append(flight)
    return {kind: _of_kind(imagination, kind, own, horizons) for kind, own in by_kind.items()}


def _of_kind(
    imagination: Imagination, kind: str, flights: list[FlownPoses], horizons: Sequence[int]
) -> Rollout:
    sums = {h: {answer: _Sums() for answer in ANSWERS} for h in horizons}
    latents = [imagination.latents_of(one.scan, one.poses) for one in flights]
    if sums:
        for flight, true in zip(flights, latents, strict=True):
            _add(imagination, flight, true, sums)
    actions = [actions_of(flight.poses) for flight in flights]
    others = derangement([one.tobytes() for one in actions])
    copied = [float((true[1:] - true[:-1]).abs().mean()) for true in latents]
    network = imagination.network
    found: list[list[float]] = []
    answers: tuple[_Ahead, ...] = (
        lambda known, led: network.imagine(known, led)[0],
        carried,
        remembered,
    )
    for ahead in answers:
        for told in (actions, [actions[other] for other in others]):
            errors = [
                _single(ahead, imagination.context, true, own)
                for true, own in zip(latents, told, strict=True)
            ]
            found.append(errors)
    single, wrong, *unlearned = (float(np.mean(errors)) for errors in found)
    return Rollout(
        kind,
        len(flights),
        {h: {answer: one.apart() for answer, one in by.items()} for h, by in sums.items()},
        single,
        float(np.mean(copied)),
        wrong,
        *unlearned,
    )


def derangement(contents: Sequence[bytes]) -> list[int]:
    """For each the number of another one with other content; each is taken once.

    Raises
    ------
    MrisslError
        If there is no such order, as where more than half are the same.
    """
    order = sorted(range(len(contents)), key=lambda number: (contents[number], number))
    most = max((contents.count(one) for one in set(contents)), default=0)
    if len(contents) < 2 or 2 * most > len(contents):
        raise MrisslError(
            f"{len(contents)} flights, {most} with the same actions",
            where="shuffled actions",
            expected="two or more, at least half of them with other actions",
        )
    # In sorted order equal ones lie side by side, never more than the shift.
    found = [0] * len(contents)
    for place, number in enumerate(order):
        found[number] = order[(place + most) % len(order)]
    return found


def _add(
    imagination: Imagination,
    flight: FlownPoses,
    true: torch.Tensor,
    sums: dict[int, dict[str, _Sums]],
) -> None:
    flown = imagination.fork()
    flown.begin(flight.scan, flight.poses[1])
    actions = actions_of(flight.poses)
    frames, _ = cut(flight.scan, flight.poses, imagination.size)
    step_of_line = true[1] - true[0]
    told = _told(chained(actions[1 : max(sums) + 1]), true)
    moved = carried(true[1].expand(len(told), -1, -1, -1), told)
    for step in range(1, max(sums) + 1):
        shown = flown.step(actions[step])
        if step not in sums:
            continue
        straight = true[1] + step * step_of_line
        answers = {
            "imagined": shown.latents,
            "copied": true[1].float().cpu().numpy(),
            "straight": straight.float().cpu().numpy(),
            "moved": moved[step - 1].float().cpu().numpy(),
        }
        wanted, frame = true[1 + step].float().cpu().numpy(), frames[1 + step]
        for name, latents in answers.items():
            # What is copied needs no network to be shown.
            picture = frames[1] if name == "copied" else imagination.decode(latents[None])[0]
            one = sums[step][name]
            one.latent.append(float(np.abs(latents - wanted).mean(dtype=np.float64)))
            one.squares.append(float(np.square(picture - frame).mean(dtype=np.float64)))
            one.ssim.append(similarity(picture, frame))


def _single(ahead: _Ahead, context: int, true: torch.Tensor, actions: NDArray[np.float64]) -> float:
    """Mean error one step ahead, in windows of the context's length."""
    told = _told(actions, true)
    errors, count = 0.0, 0
    for first in range(0, len(true) - 1, context):
        last = min(first + context, len(true) - 1)
        found = ahead(true[None, first:last], told[None, first:last])
        errors += float((found[0] - true[first + 1 : last + 1]).abs().mean((1, 2, 3)).sum())
        count += last - first
    return errors / count


def _told(actions: NDArray[np.float64], latents: torch.Tensor) -> torch.Tensor:
    return torch.from_numpy(actions.astype(np.float32)).to(latents.device)


def similarity(picture: NDArray[np.floating], frame: NDArray[np.floating]) -> float:
    """Structural similarity of two pictures in [0, 1], by scikit-image's defaults."""
    from skimage.metrics import structural_similarity

    found = structural_similarity(picture, frame, data_range=1.0)  # type: ignore[no-untyped-call]
    return float(found)
