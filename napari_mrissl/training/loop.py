"""The fit loop: a run's folder, its subjects and a registry of methods in, a trained network out.

Process 0 alone writes into the folder. What happens between two steps follows from sums
over all processes, so that they all do the same.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from contextlib import ExitStack, suppress

import psutil  # type: ignore[import-untyped]
import torch

from napari_mrissl.errors import MrisslError
from napari_mrissl.pretext.info import TaskInfo
from napari_mrissl.pretext.subjects import Subjects
from napari_mrissl.training import checkpoints
from napari_mrissl.training.batches import Batches, Part
from napari_mrissl.training.building import task_of
from napari_mrissl.training.chance import chance_of
from napari_mrissl.training.collective import Alone, Processes, device_of, joined, own_rank
from napari_mrissl.training.cores import computing
from napari_mrissl.training.events import EventWriter
from napari_mrissl.training.failures import explained, lost_another, not_finite
from napari_mrissl.training.looking import look_of
from napari_mrissl.training.parting import told_to_others
from napari_mrissl.training.run import Run
from napari_mrissl.training.states import RunState
from napari_mrissl.training.trainer import Stepped, Trainer
from napari_mrissl.training.validation import Validation
from napari_mrissl.training.watch import Watch

_PAUSED_SECONDS = 0.1


class Failed(MrisslError):
    """A run that failed, said in one sentence; its folder says the same."""


def fit(
    run: Run,
    registry: Mapping[str, TaskInfo],
    train: Subjects,
    validation: Subjects | None,
    *,
    interrupted: threading.Event | None = None,
    initial: Mapping[str, torch.Tensor] | None = None,
) -> RunState:
    """Train until the run's last step, or until it is told to stop.

    Goes on from the newest checkpoint where there is one; on the CPU the result is then,
    bit for bit, that of a run without the break.

    Parameters
    ----------
    run
        Its folder and settings.
    registry
        The methods there are, by name.
    train, validation
        Subjects to learn from, and held-out ones to measure on.
    interrupted
        Set to ask for a stop after the running step, e.g. by a signal's handler.
    initial
        Weights to start a new run from: of the backbone, those with its names and shapes.
        Heads are drawn anew.

    Raises
    ------
    Failed
        If training failed; the state in the folder says so, and the last checkpoint stays.
    """
    interrupted = interrupted or threading.Event()
    reports: EventWriter | None = None
    device = torch.device("cpu")
    collective: Alone | Processes = Alone()
    with ExitStack() as stack:
        stack.enter_context(computing(run.settings.optimisation.threads))
        try:
            with told_to_others():
                device = device_of(run.settings.device)
                if own_rank() == 0:
                    stack.enter_context(run.claim())
                    reports = stack.enter_context(EventWriter(run.folder))
            collective = stack.enter_context(joined(device, interrupted.is_set))
            fitting = _Fit(run, registry, (train, validation), collective, device, reports)
            fitting.go(interrupted, initial)
        except Exception as error:
            lost = collective.world_size > 1 and lost_another(error)
            sentence = collective.broken(None if lost else explained(error, device))
            if reports is not None:
                # On a full disk the run's own claim finds another place for it.
                with suppress(MrisslError):
                    reports.state("failed", sentence)
            raise Failed(sentence) from error
    return run.state()


class _Fit:
    """One call of `fit`, in one process."""

    def __init__(
        self,
        run: Run,
        registry: Mapping[str, TaskInfo],
        subjects: tuple[Subjects, Subjects | None],
        collective: Alone | Processes,
        device: torch.device,
        reports: EventWriter | None,
    ) -> None:
        self.run = run
        self.settings = run.settings
        self.collective = collective
        self.reports = reports
        self.train, self.held_out = subjects
        self.task = task_of(run.settings, registry)
        self.trainer = Trainer(self.task, run.settings, device, collective)
        self.validation = None
        held_out, measuring = self.held_out, run.settings.checkpoint.validate_every
        if held_out is not None and len(held_out) and measuring:
            self.validation = Validation(self.trainer, held_out)
        self.best: float | None = None
        self.losses: list[float] = []

    def go(self, interrupted: threading.Event, initial: Mapping[str, torch.Tensor] | None) -> None:
        """Train; returns when the run is finished or stopped."""
        watch = None if self.reports is None else Watch(self.reports, interrupted)
        first = self._restored()
        if first == 0 and initial is not None:
            self._begin_from(initial)
        if self.reports is not None:
            checkpoints.check_space(self.run.folder, self.trainer.checkpoint_bytes)
            self.reports.state("running")
        stopped = first == 0 and not self._chance(watch, interrupted)
        if not stopped:
            with self._batches() as batches:
                stopped = self._steps(first, batches, watch, interrupted)
        if self.reports is not None:
            self.reports.state("stopped" if stopped else "finished")

    def _chance(self, watch: Watch | None, interrupted: threading.Event) -> bool:
        """Report chance values; false, in all processes, if the run is to stop instead."""
        found: Mapping[str, float] | None = {}
        if watch is not None:

            def look() -> bool:
                watch.busy()
                return watch.wanted() == "stop" or interrupted.is_set()

            found = chance_of(self.task, self.trainer.network, self.train, self.settings.seed, look)
        if self.reports is not None and found is not None:
            self.reports.chance(found)
        ended = torch.tensor([float(found is None)], device=self.trainer.device)
        return not float(self.collective.sum(ended)[0])

    def _batches(self) -> Batches:
        return Batches(
            self.task,
            self.train,
            seed=self.settings.seed,
            batch=self.settings.optimisation.batch,
            numbers=self.trainer.numbers,
            workers=self.settings.data.workers,
            shuffled=self.settings.shuffled,
        )

    def _steps(
        self, first: int, batches: Batches, watch: Watch | None, interrupted: threading.Event
    ) -> bool:
        """Take the steps that are left, with all that is due between them; whether to stop."""
        last = self.settings.optimisation.steps
        began, waited = time.perf_counter(), batches.waited
        for done, parts in enumerate(batches.steps(first, last), first + 1):
            stepped = self.trainer.step(done - 1, parts, self._flags(watch, interrupted))
            if not stepped.finite:
                self._give_up(done - 1, stepped)
            self.losses.append(stepped.total)
            seconds = time.perf_counter() - began
            self._report(done, stepped, seconds, batches.waited - waited)
            stop, pause = (flag > 0 for flag in stepped.flags)
            self._between(done, parts, watch, saving=stop or pause, ending=done == last)
            if done < last and (stop or (pause and self._paused(watch, interrupted))):
                return True
            began, waited = time.perf_counter(), batches.waited
        return False

    def _restored(self) -> int:
        """The step to go on from, with everything as it was there."""
        look = checkpoints.newest if self.reports is None else checkpoints.recover
        found, warnings = look(self.run.folder)
        for warning in warnings:
            if self.reports is not None:
                self.reports.warning(warning)
        step = 0 if found is None else found.step
        steps = self.collective.sum(torch.tensor([step], device=self.trainer.device))
        if int(steps[0]) != step * self.collective.world_size:
            raise MrisslError(
                "processes of this run see different checkpoints",
                where=self.run.folder,
                expected="a folder that all machines share",
            )
        if found is None:
            return 0
        tensors, plain = found.load()
        self.trainer.restore(tensors, plain)
        self.best = plain["best"]
        self.losses = list(plain.get("losses", ()))
        return int(plain["step"])

    def _begin_from(self, initial: Mapping[str, torch.Tensor]) -> None:
        own = self.trainer.network.state_dict()
        taken = {
            name: value
            for name, value in initial.items()
            if name.startswith(self.task.begun) and name in own and own[name].shape == value.shape
        }
        if not taken:
            raise MrisslError(
                "no weight fits this network", where="initial weights", expected="its backbone"
            )
        lacking = [n for n in own if n.startswith(self.task.begun) and n not in taken]
        if self.task.info.begins_from and lacking:
            # What is not taken over would stay as it was drawn: no step changes it.
            raise MrisslError(
                f"have no {lacking[0]} of this network",
                where="initial weights",
                expected=f"a run of the method {self.task.info.begins_from}",
            )
        self.trainer.network.load_state_dict({**own, **taken})
        if self.reports is not None:
            drawn = sorted({name.partition(".")[0] for name in own.keys() - taken.keys()})
            self.reports.warning(
                f"{len(taken)} of {len(own)} tensors begin from given weights, those of the "
                f"backbone; drawn anew: {', '.join(drawn) or 'none'}"
            )

    def _flags(self, watch: Watch | None, interrupted: threading.Event) -> tuple[float, float]:
        """What this process wants: to stop, to pause."""
        wanted = None if watch is None else watch.wanted()
        return float(wanted == "stop" or interrupted.is_set()), float(wanted == "pause")

    def _report(self, done: int, stepped: Stepped, seconds: float, waiting: float) -> None:
        if self.reports is None:
            return
        options = self.settings.optimisation
        self.reports.step(
            done,
            stepped.total,
            stepped.terms,
            rate=stepped.rate,
            seconds=seconds,
            waiting=waiting,
            samples_per_second=options.batch / seconds,
            gradient_norm=stepped.gradient_norm,
            memory=_memory(self.trainer.device),
        )

    def _between(
        self, done: int, parts: list[Part], watch: Watch | None, *, saving: bool, ending: bool
    ) -> None:
        """Measure, show and save what is due after a step."""
        when = self.settings.checkpoint

        def due(every: int) -> bool:
            return every > 0 and (ending or done % every == 0)

        measuring = self.validation is not None and due(when.validate_every)
        showing, saving = due(when.images_every), saving or due(when.every)
        if watch is not None and (measuring or showing or saving):
            watch.busy()
        total: float | None = None
        if self.validation is not None and measuring:
            terms, total = self.validation.measure()
            if self.reports is not None:
                self.reports.validation(done, total, terms)
            # The best is kept whenever it is met.
            saving = saving or self.best is None or total < self.best
        if showing:
            self._show(done, parts[0])
        if saving:
            self._save(done, total, ending=ending)
        if watch is not None:
            watch.progress()

    def _show(self, done: int, part: Part) -> None:
        if self.reports is None:
            return
        with torch.no_grad():
            batch = self.task.prepare(self.trainer.on_device(part), part.keys)
            network = self.trainer.shown.eval()
            pictures = self.task.show(network, batch)
            if (look := look_of(self.run.folder)) is not None:
                self.task.look_at(look)
            for shown in [*pictures, *self.task.preview(network, self.train, self.held_out)]:
                self.reports.image(done, shown)

    def _save(self, done: int, measured: float | None, *, ending: bool) -> None:
        """Commit a checkpoint; it is the best one by held-out subjects, or by its own steps.

        By its steps it is rated where there are as many as between two checkpoints: a save
        for a pause or a stop would else be rated by the luck of a step or two.
        """
        whole = len(self.losses) >= self.settings.checkpoint.every
        if self.validation is None and (whole or (ending and self.best is None)):
            measured = sum(self.losses) / len(self.losses)
        if whole or self.validation is not None:
            self.losses = []
        best = measured is not None and (self.best is None or measured < self.best)
        if best:
            self.best = measured
        if self.reports is None:
            return
        plain = {
            **self.trainer.plain(),
            "step": done,
            "best": self.best,
            "losses": self.losses,
            "method": self.settings.method,
            "seed": self.settings.seed,
        }
        keep = self.settings.checkpoint.keep
        told = self.task.told(self.trainer.shown.eval(), self.train, self.settings.seed)
        checkpoints.save(
            self.run.folder, done, self.trainer.tensors(), plain, best=best, keep=keep, told=told
        )
        self.reports.checkpoint(done, best)

    def _paused(self, watch: Watch | None, interrupted: threading.Event) -> bool:
        """Wait until the run goes on; whether it is to stop instead."""
        if self.reports is not None:
            self.reports.state("paused")
        while True:
            flags = torch.tensor(self._flags(watch, interrupted), dtype=torch.float32)
            stop, pause = self.collective.sum(flags.to(self.trainer.device)).tolist()
            if stop:
                return True
            if not pause:
                if self.reports is not None:
                    self.reports.state("running")
                return False
            if watch is not None:
                watch.progress()
            time.sleep(_PAUSED_SECONDS)

    def _give_up(self, step: int, stepped: Stepped) -> None:
        sentence, records = not_finite(self.trainer, self.train, step, stepped)
        if self.reports is not None:
            for record in records:
                self.reports.warning(record)
        raise MrisslError(sentence)


def _memory(device: torch.device) -> int:
    """Bytes: the most the GPU has held, or what the process holds now."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    return int(psutil.Process().memory_info().rss)
