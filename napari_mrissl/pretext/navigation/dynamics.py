"""The task ``dynamics``: latents of the next slice from slices and actions (stage 2; inferred).

The recipe is that of V-JEPA 2-AC (arXiv:2506.09985): absolute errors of layer-normed latents of
a frozen encoder, teacher forcing and a rollout of two frames with equal weights. Inferred: a
rollout's first frame counts with teacher forcing alone, which has predicted it already. Shortcut
forcing (``objective: shortcut``) is after Dreamer 4 (arXiv:2509.24527, equations 4 to 8) with
clean frames before the one that is drawn, and three quarters of its steps the finest.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from napari_mrissl.geometry import chained
from napari_mrissl.networks.settings import TokenizerShape
from napari_mrissl.networks.slice_dynamics import FINEST
from napari_mrissl.networks.slice_memory import remembered
from napari_mrissl.networks.slice_moves import carried
from napari_mrissl.pretext.navigation.dynamics_network import DynamicsNetwork, Noise, Predicted
from napari_mrissl.pretext.navigation.settings import DYNAMICS, DynamicsSettings, FlightSettings
from napari_mrissl.pretext.navigation.slices import CHANCE_SAMPLES, SliceTask
from napari_mrissl.pretext.subjects import Subjects
from napari_mrissl.pretext.task import Collective, LossTerm, Sample, SampleKey, Shown

_AT_ONCE = 8
_SHOWN = 3
_ROUGH = 0.25
_SIZES = FINEST.bit_length()


class Dynamics(SliceTask[DynamicsSettings]):
    """Predict what an action leads to.

    Terms: ``next``, errors of frames from all true frames before them (teacher forcing), and
    ``rollout``, of frames from predicted ones; with shortcut forcing ``finest`` and ``rough``.
    Metric: ``copied``, what the frame before is worth in place of ``next``.

    A run on shuffled targets flies true frames with the actions of other flights: the control
    without aligned actions.
    """

    info = DYNAMICS
    # Not what is predicted, but what leads there: shuffled, it is the control of this method.
    targets = ("actions",)

    @property
    def flight_settings(self) -> FlightSettings:
        """What is flown."""
        return self.settings.flights

    @property
    def slices(self) -> TokenizerShape:
        """Of the frozen tokenizer."""
        return self.settings.backbone

    def network(self) -> DynamicsNetwork:
        """New dynamics; the tokenizer's weights are to come from a run of its own."""
        return DynamicsNetwork(self.settings)

    def sample(self, subjects: Subjects, key: SampleKey) -> Sample:
        """The frames of a flight and the actions between them."""
        flight = self.flights.draw(subjects, key)
        more: dict[str, NDArray[np.generic]] = {"actions": flight.actions.astype(np.float32)}
        if self.settings.objective == "shortcut":
            more |= self._noise(key.generator("noise"))
        return self.sample_of(flight, subjects, **more)

    def _noise(self, rng: np.random.Generator) -> dict[str, NDArray[np.generic]]:
        """Noise, and for each frame the size of a step and where on the way it begins."""
        shape = self.settings.backbone
        steps = self.settings.flights.frames - 1
        rough = rng.random(steps) < _ROUGH
        size = np.where(rough, rng.integers(1, _SIZES, steps), 0)
        level = rng.integers(0, FINEST >> size) << size
        noise = rng.standard_normal((steps, shape.grid, shape.grid, shape.latent), np.float32)
        return {"noise": noise, "level": level, "size": size}

    def losses(
        self, network: torch.nn.Module, batch: dict[str, torch.Tensor], collective: Collective
    ) -> dict[str, LossTerm]:
        """``next``, ``rollout`` and ``copied``; or ``finest`` and ``rough``."""
        image, actions = batch["image"], batch["actions"].to(batch["image"].dtype)
        if self.settings.objective == "shortcut":
            noise = Noise(batch["noise"].to(image.dtype), batch["level"], batch["size"])
            return _drafted(network(image, actions, noise))
        found: Predicted = network(image, actions)
        true = found.latents
        terms = {"next": self._apart(found.next, true[:, 1:])}
        if found.rolled is not None:
            terms["rollout"] = self._apart(found.rolled, true[:, 2 : 2 + found.rolled.shape[1]])
        terms["copied"] = self._apart(true[:, :-1], true[:, 1:], weight=0.0)
        return terms

    def _apart(self, found: torch.Tensor, true: torch.Tensor, weight: float = 1.0) -> LossTerm:
        difference = found - true
        errors = difference.square() if self.settings.objective == "mse" else difference.abs()
        return LossTerm(errors.sum(), float(errors.numel()), weight)

    def chance(self, subjects: Subjects, seed: int) -> dict[str, float]:
        """None without the tokenizer; see `chance_with`."""
        return {}

    def chance_with(
        self, network: torch.nn.Module, subjects: Subjects, seed: int
    ) -> dict[str, float]:
        """The best of four answers in the latents of the frozen tokenizer.

        The last frame that is known once more; from the third frame of a flight on, where the
        last two lead on a straight line; the last frame that is known, moved in its plane as
        the true actions say; or what all that are known show of the places where these lead.
        Of a rollout only the first frame is known.
        """
        if self.settings.objective == "shortcut" or not isinstance(network, DynamicsNetwork):
            return {}
        parameter = next(network.parameters())
        sums = np.zeros((6, 2))
        rollout = self.settings.rollout
        for first in range(0, CHANCE_SAMPLES, _AT_ONCE):
            batch = self.chance_batch(subjects, seed, first, _AT_ONCE)
            true = network.latents(batch["image"].to(parameter))
            actions = batch["actions"].to(parameter)
            straight = torch.cat([true[:, :1], 2 * true[:, 1:-1] - true[:, :-2]], dim=1)
            terms = [
                self._apart(true[:, :-1], true[:, 1:]),
                self._apart(straight, true[:, 1:]),
                self._apart(carried(true[:, :-1], actions), true[:, 1:]),
                self._apart(remembered(true[:, :-1], actions), true[:, 1:]),
            ]
            if rollout > 1:
                far = true[:, 2 : rollout + 1]
                known = true[:, :1].expand_as(far)
                led = np.stack([chained(one)[1:] for one in batch["actions"][:, :rollout].numpy()])
                moved = carried(known, torch.from_numpy(led).to(parameter))
                terms += [self._apart(known, far), self._apart(moved, far)]
            for number, term in enumerate(terms):
                sums[number] += float(term.total), float(term.count)
        each = sums[: len(terms), 0] / sums[: len(terms), 1]
        found = {"next": float(each[:4].min()), "copied": float(each[0])}
        return {**found, "rollout": float(each[4:].min())} if rollout > 1 else found

    def show(self, network: torch.nn.Module, batch: dict[str, torch.Tensor]) -> list[Shown]:
        """A few flights frame by frame: true, and imagined from the first frame alone."""
        image = batch["image"][:_SHOWN]
        actions = batch["actions"][:_SHOWN].to(image.dtype)
        assert isinstance(network, DynamicsNetwork)  # noqa: S101 - the loop shows what it trains
        tiles, captions = [], []
        with torch.no_grad():
            latents = network.latents(image)
            one, past = latents[:, :1], None
            shown = [network.backbone.decode(one[:, 0])]
            for step in range(actions.shape[1]):
                one, past = network.imagine(one, actions[:, step : step + 1], past)
                shown.append(network.backbone.decode(one[:, 0]))
        for number in range(len(image)):
            tiles += [image[number, :, 0].float(), torch.stack([one[number] for one in shown])]
            frames = range(image.shape[1])
            captions += [f"true {k}" for k in frames] + [f"imagined {k}" for k in frames]
        grey = torch.cat(tiles).float().clamp(0, 1).cpu().numpy()
        return [Shown("imagined", grey, tuple(captions))]


def _drafted(found: Predicted) -> dict[str, LossTerm]:
    """The two terms of shortcut forcing, both as errors of clean latents, weighed by the level."""
    assert found.draft is not None  # noqa: S101 - there is noise
    assert found.target is not None  # noqa: S101
    assert found.rough is not None  # noqa: S101
    part = (found.draft.level.to(found.next.dtype) / FINEST)[..., None, None, None]
    weight = 0.9 * part + 0.1
    rough = found.rough[..., None, None, None].to(found.next.dtype)
    clean = (found.next - found.latents[:, 1:]).square() * weight
    velocity = (found.next - found.draft.latents) / (1 - part)
    led = ((1 - part) * (velocity - found.target)).square() * weight
    each = float(np.prod(clean.shape[2:]))
    return {
        "finest": LossTerm((clean * (1 - rough)).sum(), (1 - rough).sum() * each),
        "rough": LossTerm((led * rough).sum(), rough.sum() * each),
    }
