"""Body coordinates as a pretext task (arXiv:2409.10291)."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_mrissl.errors import MrisslError
from napari_mrissl.networks.coordinate_network import CoordinateNetwork
from napari_mrissl.pretext.coordinates import body_axes, losses, pairs
from napari_mrissl.pretext.coordinates.settings import INFO, CoordinateSettings
from napari_mrissl.pretext.observable.sampling import Bodies, recoloured
from napari_mrissl.pretext.subjects import Scan, Subjects
from napari_mrissl.pretext.task import Collective, LossTerm, Sample, SampleKey, Shown, Task
from napari_mrissl.synthesis.draws import generator

_CHANCE_DRAWS = 64
_FEW_POINTS = {"points": 24, "anywhere": 24}
_AXES_SCANS = 8
_SHOWN = 3


class Coordinates(Task[CoordinateSettings]):
    """Coordinates of points in overlapping crops.

    Terms: ``distance`` and ``same``, or ``order`` and ``even``. Metrics: ``distance_mm`` and
    ``apart_mm``, how far apart one point is found in two crops. A run on shuffled targets is
    told where the points of another scan's crops are.
    """

    info = INFO
    targets = ("positions",)

    def __init__(self, settings: CoordinateSettings) -> None:
        super().__init__(settings)
        self.bodies = Bodies()

    def network(self) -> CoordinateNetwork:
        """A new backbone with its head of coordinates."""
        return CoordinateNetwork(self.settings.backbone)

    def draw(self, rng: np.random.Generator, scan: Scan, **changes: Any) -> pairs.Pairs:
        """Draw pairs of crops of a scan, with changes of the settings of crops."""
        return pairs.draw(rng, scan, self.settings.crop.model_copy(update=changes), self.bodies)

    def sample(self, subjects: Subjects, key: SampleKey) -> Sample:
        """Pairs of crops of one scan, each crop with its own look, and where points are."""
        rng = key.generator("pairs")
        scan = subjects.scan(int(rng.integers(len(subjects))))
        drawn = self.draw(rng, scan)
        crop = self.settings.crop
        images = pairs.cut(scan, drawn)
        shape = images.shape
        flat = recoloured(key.generator("appearance"), images.reshape(-1, *shape[2:]), crop.jitter)
        flat = pairs.masked(key.generator("masks"), flat, crop)
        arrays: dict[str, NDArray[Any]] = {
            "image": flat.reshape(shape),
            "places": drawn.places.astype(np.float32),
            "positions": (drawn.points_mm / self.settings.scale_mm).astype(np.float32),
        }
        record = {"identity": drawn.identity, "centers_mm": drawn.centers_mm.tolist()}
        return Sample(arrays, scan.subject, {**record, "edges_mm": drawn.edges_mm.tolist()})

    def losses(
        self, network: torch.nn.Module, batch: dict[str, torch.Tensor], collective: Collective
    ) -> dict[str, LossTerm]:
        """The terms of the objective, and both metrics."""
        settings = self.settings
        places, positions = batch["places"], batch["positions"]
        shared = settings.crop.points
        image = batch["image"].flatten(0, 2)
        whole = settings.objective == "order"
        found = network(image, places.flatten(0, 2), whole=whole)
        answers = found["points"].reshape(places.shape)
        if settings.objective == "order":
            sureness = settings.slope * settings.scale_mm
            terms = losses.order_terms(answers, positions, found["cells"], sureness, settings.even)
        else:
            terms = losses.distance_terms(answers, positions, shared, settings.same)
        return terms | losses.shown_terms(answers, positions, shared, settings.scale_mm)

    def chance(self, subjects: Subjects, seed: int) -> dict[str, float]:
        """The better of two answers that know no anatomy, on pairs that are not cut.

        One says that all points are as far apart as the best constant, or of order nothing; the
        other knows where in its crop a point is, which borders tell, but not where the crop is.
        """
        rng = generator(seed, 0, "chance of coordinates")
        scale = self.settings.scale_mm
        known: dict[str, list[float]] = {}
        lengths: list[NDArray[np.float64]] = []
        for _ in range(_CHANCE_DRAWS):
            scan = subjects.scan(int(rng.integers(len(subjects))))
            drawn = self.draw(rng, scan, **_FEW_POINTS)
            true = torch.from_numpy(drawn.points_mm / scale)[None]
            own = torch.from_numpy((drawn.points_mm - drawn.centers_mm[:, :, None]) / scale)[None]
            for name, value in self._worth(own, true).items():
                known.setdefault(name, []).append(value)
            first, second = true[0].flatten(1, 2)
            lengths.append(losses.distances(first, second).flatten().numpy())
            known.setdefault("undecided", []).append(self._worth(true * 0, true).get("order", 0.0))
        every = np.concatenate(lengths)
        middle = float(np.abs(every - np.median(every)).mean()) * scale
        mean = {name: float(np.mean(values)) for name, values in known.items()}
        found = {"distance_mm": min(middle, mean["distance_mm"])}
        if self.settings.objective == "order":
            return {**found, "order": min(mean["undecided"], mean["order"])}
        return {**found, "distance": min(float(every.var()), mean["distance"])}

    def _worth(self, answers: torch.Tensor, true: torch.Tensor) -> dict[str, float]:
        settings = self.settings
        shared = _FEW_POINTS["points"]
        if settings.objective == "order":
            cells = torch.zeros((1, 3, 3, 3, 3), dtype=true.dtype)
            sureness = settings.slope * settings.scale_mm
            terms = losses.order_terms(answers, true, cells, sureness, settings.even)
        else:
            terms = losses.distance_terms(answers, true, shared, settings.same)
        terms |= losses.shown_terms(answers, true, shared, settings.scale_mm)
        return {name: float(term.total) / float(term.count) for name, term in terms.items()}

    def told(self, network: torch.nn.Module, subjects: Subjects, seed: int) -> dict[str, Any]:
        """``body_axes`` of a few scans, see `body_axes`; None where all points are one."""
        assert isinstance(network, CoordinateNetwork)  # noqa: S101 - the loop tells of what it trains
        rng = generator(seed, 0, "body axes")
        parameter = next(network.parameters())
        groups = []
        count = min(len(subjects), _AXES_SCANS)
        for number in range(count):
            scan = subjects.scan(number * len(subjects) // count)
            drawn = self.draw(rng, scan)
            image = torch.from_numpy(pairs.cut(scan, drawn)).to(parameter).flatten(0, 1)
            places = torch.from_numpy(drawn.places).to(parameter).flatten(0, 1)
            with torch.no_grad():
                points = network(image, places)["points"]
            answers = points.double().cpu().numpy().reshape(drawn.points_mm.shape)
            body = np.s_[:, :, : drawn.shared]
            groups.append((answers[body].reshape(-1, 3), drawn.points_mm[body].reshape(-1, 3)))
        try:
            return {"body_axes": body_axes.fitted(groups).plain()}
        except MrisslError:
            # A network that says the same of all points has no axes; the run goes on.
            return {"body_axes": None}

    def show(self, network: torch.nn.Module, batch: dict[str, torch.Tensor]) -> list[Shown]:
        """The middle slice of a few crops, and the three coordinates in it."""
        assert isinstance(network, CoordinateNetwork)  # noqa: S101 - the loop shows what it trains
        image = batch["image"][:_SHOWN, 0, 0]
        with torch.no_grad():
            voxels = network.voxels(image)
        middle = image.shape[1] // 2
        tiles = torch.cat([image[:, None], voxels], dim=1)[:, :, middle].flatten(0, 1)
        grey = tiles.float().clamp(0, 1).cpu().numpy()
        captions = ("crop", "coordinate 1", "coordinate 2", "coordinate 3") * len(image)
        return [Shown("coordinates", grey, captions)]
