"""One process against several with the same global batch: the test every method inherits.

`assert_worlds_agree` trains in this process, and under torchrun by running this file.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from napari_mrissl.pretext.registry import TASKS
from napari_mrissl.training.batches import Batches
from napari_mrissl.training.building import task_of
from napari_mrissl.training.collective import Alone, Processes, joined
from napari_mrissl.training.data.engine_subjects import painted_subjects
from napari_mrissl.training.settings import Precision, RunSettings
from napari_mrissl.training.trainer import Trainer
from tests.training.hosts import ended, started
from tests.training.toy import REGISTRY, Blobs

BOUNDS: dict[Precision, float] = {"float64": 1e-12, "float32": 1e-4}

SLOWLY = 2e-5
"""A learning rate at which 200 steps can be compared: at 1e-3 rounding grows eightfold in 15."""


@dataclass(frozen=True)
class Leg:
    """Some steps of a run: from a state or from the beginning, to a state."""

    settings: str
    side: int
    first: int
    last: int
    end: str
    begin: str | None = None


def train(leg: Leg, collective: Alone | Processes) -> None:
    """Take a leg's steps; process 0 writes the state at the end."""
    settings = RunSettings.model_validate_json(leg.settings)
    task = task_of(settings, {**TASKS, **REGISTRY})
    trainer = Trainer(task, settings, torch.device("cpu"), collective)
    if leg.begin is not None:
        state = load_file(leg.begin)
        kinds = ("weights", "optimizer", "average")
        parts = {k: {n[len(k) + 1 :]: t for n, t in state.items() if n.startswith(f"{k}|")}
                 for k in kinds}  # fmt: skip
        trainer.restore({k: v for k, v in parts.items() if v}, {"averaged": leg.first})
    engine = settings.data.kind == "ensembles"
    with Batches(
        task,
        painted_subjects(settings.data, settings.seed, "train") if engine else Blobs(side=leg.side),
        seed=settings.seed,
        batch=settings.optimisation.batch,
        numbers=trainer.numbers,
        workers=settings.data.workers,
        shuffled=settings.shuffled,
    ) as batches:
        for step, parts in enumerate(batches.steps(leg.first, leg.last), leg.first):
            stepped = trainer.step(step, parts)
            assert stepped.taken, stepped
    if collective.rank == 0:
        tensors = trainer.tensors()
        flat = {f"{kind}|{name}": t for kind, of in tensors.items() for name, t in of.items()}
        save_file(flat, leg.end)


def train_in_processes(legs: Sequence[Leg], processes: int, folder: Path, limit: float) -> None:
    """Take legs one after the other under torchrun."""
    plan = folder / f"legs-{processes}.json"
    plan.write_text(json.dumps([asdict(leg) for leg in legs]), encoding="utf-8")
    words = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    words += ["--nproc-per-node", str(processes), "-m", "tests.training.worlds", str(plan)]
    ((code, said),) = ended([started(words)], limit)
    assert code == 0, said[-3000:]


@dataclass(frozen=True)
class World:
    """A run that is to come to the same weights in one process and in several.

    Attributes
    ----------
    settings
        Of a run of any method; dropout must be off, and ghost batches must fit a share.
    steps, precisions
        How long, in which precisions; the hand-over is tried in the first of them.
    side
        Voxels along each side of the generated scans; label ensembles are the engine's.
    learning_rate
        Instead of that of the settings.
    """

    settings: RunSettings
    steps: int = 200
    precisions: Sequence[Precision] = ("float64", "float32")
    side: int = 20
    learning_rate: float | None = None

    def legs(self, folder: Path) -> tuple[list[Leg], list[Leg]]:
        """What several processes take, and what one takes after them."""
        many: list[Leg] = []
        alone: list[Leg] = []
        for precision in self.precisions:
            changes: dict[str, object] = {"precision": precision, "steps": self.steps}
            if self.learning_rate is not None:
                changes["learning_rate"] = self.learning_rate
            options = self.settings.optimisation.model_copy(update=changes)
            settings = self.settings.model_copy(update={"optimisation": options})
            text = settings.model_dump_json()

            def leg(name: str, first: int, last: int, begin: str | None = None, text: str = text,
                    precision: str = precision) -> Leg:  # fmt: skip
                end = str(folder / f"{precision}-{name}.safetensors")
                return Leg(text, self.side, first, last, end, begin)

            middle = self.steps // 2
            half = leg("half", 0, middle)
            many += [half, leg("many", middle, self.steps, half.end)]
            alone.append(leg("alone", 0, self.steps))
            if precision == self.precisions[0]:
                alone.append(leg("handed over", middle, self.steps, half.end))
        return many, alone

    def check(self, folder: Path) -> None:
        """Compare what the legs have left."""
        for precision in self.precisions:
            alone_file = folder / f"{precision}-alone.safetensors"
            for other in ("many", "handed over")[: 2 if precision == self.precisions[0] else 1]:
                worst = difference(folder / f"{precision}-{other}.safetensors", alone_file)
                assert worst <= BOUNDS[precision], (
                    f"{self.settings.method}, {precision}, {other}: {worst:g}"
                )


def assert_worlds_agree(
    *worlds: World, folder: Path, processes: int = 2, limit: float = 240.0
) -> None:
    """Train alone, in several processes, and in several and then alone: all come to the same.

    Parameters
    ----------
    worlds
        Runs that take their turns in the same processes: it takes long to start them.
    folder
        For what the processes write.
    processes
        How many.
    limit
        Seconds after which processes that hang are ended.
    """
    places = [folder / str(number) for number in range(len(worlds))]
    for place in places:
        place.mkdir()
    legs = [world.legs(place) for world, place in zip(worlds, places, strict=True)]
    train_in_processes([leg for many, _ in legs for leg in many], processes, folder, limit)
    for (_, alone), world, place in zip(legs, worlds, places, strict=True):
        for leg in alone:
            train(leg, Alone())
        world.check(place)


def difference(found: Path, expected: Path) -> float:
    """The largest difference of a weight, averaged ones and running statistics among them."""
    first, second = load_file(found), load_file(expected)
    names = [name for name in second if not name.startswith("optimizer|")]
    assert names
    return max(float((first[n].double() - second[n].double()).abs().max()) for n in names)


def main() -> None:
    """Take the legs of a plan, as one of torchrun's processes."""
    torch.set_num_threads(1)
    plan = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    with joined(torch.device("cpu")) as collective:
        for leg in plan:
            train(Leg(**leg), collective)


if __name__ == "__main__":
    main()
