"""Diffusion guided by body coordinates as a pretext task (arXiv:2501.19265; inferred)."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_mrissl.networks.noise_schedule import Schedule
from napari_mrissl.pretext.diffusion.network import DiffusionNetwork
from napari_mrissl.pretext.diffusion.optima import Moments
from napari_mrissl.pretext.diffusion.sampling import estimates
from napari_mrissl.pretext.diffusion.settings import INFO, DiffusionSettings
from napari_mrissl.pretext.observable import sampling
from napari_mrissl.pretext.observable.settings import ViewSettings
from napari_mrissl.pretext.observable.views import Views, cut
from napari_mrissl.pretext.subjects import Scan, Subjects
from napari_mrissl.pretext.task import Collective, LossTerm, Sample, SampleKey, Shown, Task

SHOWN_DB = (10.0, 0.0, -10.0)
"""Signal-to-noise ratios that pictures of a run are made at."""

_CHANCE_PATCHES = 64
_AT_ONCE = 8


class Diffusion(Task[DiffusionSettings]):
    """Noise, or velocity, of noisy patches.

    Terms: ``denoise``, and ``joint`` where the deepest map is to tell coordinates. Patch, noise,
    its step and whether coordinates are told follow from the sample's key alone.

    A run on shuffled targets is told the coordinates of other samples, and is measured with true
    ones; the setting ``coordinates: shuffled`` tells those of another patch there too.
    """

    info = INFO
    begun = ("backbone.", "coordinates.")

    def __init__(self, settings: DiffusionSettings) -> None:
        super().__init__(settings)
        self.targets = ("guide",) if settings.guided else ()
        self.schedule = Schedule(settings.schedule, settings.steps)
        one = self.schedule.step_of(settings.one_db)
        self.steps = np.arange(settings.steps) if settings.levels == "all" else np.array([one])
        self.bodies = sampling.Bodies()
        patch = settings.patch
        self.view = ViewSettings(
            side=patch.side, edge_mm=patch.edge_mm, body=patch.body, jitter=patch.jitter
        )

    def network(self) -> DiffusionNetwork:
        """A new denoiser; the weights of the coordinates are to come from a run of their own."""
        return DiffusionNetwork(self.settings)

    def draw(self, rng: np.random.Generator, scan: Scan) -> Views:
        """Draw where a patch of a scan is."""
        return sampling.draw(rng, scan, self.view, 1, 1.0, self.bodies)

    def sample(self, subjects: Subjects, key: SampleKey) -> Sample:
        """A patch, its noise, the noise's step, and the patch whose coordinates are told."""
        chosen = self.settings
        patch, scan, views = self._drawn(subjects, key, "")
        rng = key.generator("diffusion")
        arrays: dict[str, NDArray[Any]] = {
            "patch": patch,
            "step": self.steps[rng.integers(chosen.steps) % len(self.steps)],
            "told": np.array(rng.random() >= chosen.dropout, np.float32),
            "noise": rng.standard_normal(patch.shape, np.float32),
        }
        if chosen.guided:
            other = chosen.coordinates == "shuffled"
            arrays["guide"] = self._drawn(subjects, key, "other ")[0] if other else patch
        return Sample(arrays, scan.subject, {"views": views.plain()})

    def _drawn(
        self, subjects: Subjects, key: SampleKey, which: str
    ) -> tuple[NDArray[np.float32], Scan, Views]:
        rng = key.generator(f"{which}patch")
        scan = subjects.scan(int(rng.integers(len(subjects))))
        views = self.draw(rng, scan)
        look = key.generator(f"{which}appearance")
        image = sampling.recoloured(look, cut(scan, views), self.settings.patch.jitter)
        return 2 * image - 1, scan, views

    def losses(
        self, network: torch.nn.Module, batch: dict[str, torch.Tensor], collective: Collective
    ) -> dict[str, LossTerm]:
        """``denoise``, the simple loss of arXiv:2006.11239, and ``joint``."""
        found = network(
            batch["patch"], batch["noise"], batch["step"], batch["told"], batch.get("guide")
        )
        squares = (found.answer.to(found.wanted.dtype) - found.wanted).square()
        terms = {"denoise": LossTerm(squares.sum(), float(squares.numel()))}
        if found.joint is not None:
            errors = (found.joint.to(found.coordinates.dtype) - found.coordinates).abs()
            count = float(errors.numel())
            terms["joint"] = LossTerm(errors.sum(), count, self.settings.joint)
        return terms

    def moments(self, subjects: Subjects, seed: int, count: int = _CHANCE_PATCHES) -> Moments:
        """Those of so many patches, as they are trained on."""
        return Moments.of(self._patches(subjects, seed, count)[:, 0])

    def _patches(self, subjects: Subjects, seed: int, count: int) -> NDArray[np.float32]:
        keys = [SampleKey(seed, -1, number) for number in range(count)]
        return np.stack([self._drawn(subjects, key, "chance ")[0] for key in keys])

    def chance(self, subjects: Subjects, seed: int) -> dict[str, float]:
        """Of a denoiser that takes each voxel by itself as a Gaussian, the same for all voxels.

        In closed form from the variance of voxels, over the steps that are trained; see `optima`.
        """
        known = self.moments(subjects, seed).voxelwise(self.schedule, self.settings.prediction)
        return {"denoise": float(known[self.steps].mean())}

    def chance_with(
        self, network: torch.nn.Module, subjects: Subjects, seed: int
    ) -> dict[str, float]:
        """Also of ``joint``: the best constant coordinates, by the frozen network's."""
        found = self.chance(subjects, seed)
        if not self.settings.joint or not isinstance(network, DiffusionNetwork):
            return found
        parameter = next(network.parameters())
        patches = torch.from_numpy(self._patches(subjects, seed, _CHANCE_PATCHES)).to(parameter)
        cells = []
        for first in range(0, len(patches), _AT_ONCE):
            where = network.where(patches[first : first + _AT_ONCE])
            assert where is not None  # noqa: S101 - a joint head needs coordinates
            side = self.settings.patch.side // self.settings.denoiser.stride
            cells.append(torch.nn.functional.adaptive_avg_pool3d(where, side))
        flat = torch.cat(cells).transpose(0, 1).flatten(1).double()
        apart = (flat - flat.median(dim=1, keepdim=True).values).abs()
        return {**found, "joint": float(apart.mean())}

    def told(self, network: torch.nn.Module, subjects: Subjects, seed: int) -> dict[str, Any]:
        """``moments`` of the patches, by which the floors of the loss are known later."""
        return {"moments": self.moments(subjects, seed).plain()}

    def show(self, network: torch.nn.Module, batch: dict[str, torch.Tensor]) -> list[Shown]:
        """The middle slice of a patch with little to much noise, and what is seen behind it."""
        assert isinstance(network, DiffusionNetwork)  # noqa: S101 - the loop shows what it trains
        clean, noise = batch["patch"][:1], batch["noise"][:1]
        middle = clean.shape[2] // 2
        tiles, captions = [clean[0, 0, middle]], ["clean"]
        with torch.no_grad():
            where = network.where(batch["guide"][:1]) if self.settings.guided else None
            for ratio in SHOWN_DB:
                step = self.schedule.step_of(ratio)
                a, s = float(self.schedule.signal[step]), float(self.schedule.noise[step])
                noisy = a * clean + s * noise
                answer = network.denoised(noisy, batch["step"][:1] * 0 + step, where).answer
                found, _ = estimates(answer, noisy, a, s, self.settings.prediction)
                tiles += [noisy[0, 0, middle], found[0, 0, middle]]
                captions += [f"{ratio:g} dB", f"seen behind {ratio:g} dB"]
        grey = ((torch.stack(tiles).float() + 1) / 2).clamp(0, 1).cpu().numpy()
        return [Shown("denoised", grey, tuple(captions))]
