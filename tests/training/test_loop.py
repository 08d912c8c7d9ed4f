"""What a run does between its steps: commands, measurements, pictures, averaged weights."""

import threading

import numpy as np
import pytest
import torch

from napari_mrissl.errors import MrisslError
from napari_mrissl.networks import weights
from napari_mrissl.training import checkpoints, control
from napari_mrissl.training.batches import Batches
from napari_mrissl.training.chance import SomeSubjects
from napari_mrissl.training.collective import device_of
from napari_mrissl.training.estimate import devices, estimate
from napari_mrissl.training.events import (
    ChanceEvent,
    CheckpointEvent,
    EventTail,
    ImageEvent,
    StateEvent,
    StepEvent,
    ValidationEvent,
    WarningEvent,
)
from napari_mrissl.training.loop import Failed, fit
from napari_mrissl.training.optimisation import learning_rate
from napari_mrissl.training.run import Run
from napari_mrissl.training.settings import OptimisationSettings
from napari_mrissl.training.trainer import Trainer
from tests.training.runs_of_toys import assert_same, newest_tensors, trained
from tests.training.toy import REGISTRY, Blobs, Toy, ToySettings, toy_settings


def events_of(run, kind):
    return [event for event in EventTail(run.folder).poll() if isinstance(event, kind)]


def test_a_run_tells_its_whole_story(tmp_path):
    settings = toy_settings(
        optimisation={"ema": 0.9},
        checkpoint={"every": 10, "validate_every": 5, "images_every": 8},
        data={"workers": 2},
    )
    run, state = trained(tmp_path / "run", settings, validation=Blobs(2, 50))
    assert (state.name, state.step, state.checkpoint) == ("finished", 20, 20)
    assert [e.name for e in events_of(run, StateEvent)] == ["queued", "running", "finished"]
    assert events_of(run, ChanceEvent)[0].terms == {"restored": 0.1}
    steps = events_of(run, StepEvent)
    assert [event.step for event in steps] == list(range(1, 21))
    for event in steps:
        terms = event.terms
        assert event.total == pytest.approx(terms["restored"] + 0.1 * terms["contrast"])
        assert 0 <= event.waiting <= event.seconds
        assert event.samples_per_second == pytest.approx(8 / event.seconds)
        assert event.memory > 1 << 20
    assert steps[-1].total < steps[0].total
    assert [event.step for event in events_of(run, ValidationEvent)] == [5, 10, 15, 20]
    assert [event.step for event in events_of(run, ImageEvent)] == [8, 16, 20]
    # Those that are due, and those that are the best so far.
    saved = {event.step: event.best for event in events_of(run, CheckpointEvent)}
    assert {10, 20} <= saved.keys()
    assert all(best for step, best in saved.items() if step not in (10, 20))
    # What is shown, measured and shipped is the average.
    tensors, _ = newest_tensors(run)
    shipped, _ = weights.load(run.folder / "weights.safetensors")
    assert all(tensors[f"average/{name}"].equal(value) for name, value in shipped.items())
    assert not tensors["average/image.weight"].equal(tensors["weights/image.weight"])


def test_the_best_checkpoint_is_the_one_with_the_lowest_held_out_loss(tmp_path):
    settings = toy_settings(
        optimisation={"learning_rate": 0.3, "warmup": 0},
        checkpoint={"every": 2, "validate_every": 2},
    )
    run, _ = trained(tmp_path / "run", settings, validation=Blobs(2, 50))
    totals = {event.step: event.total for event in events_of(run, ValidationEvent)}
    lowest = float("inf")
    for event in events_of(run, CheckpointEvent):
        assert event.best == (totals[event.step] < lowest)
        lowest = min(lowest, totals[event.step])
    assert checkpoints.best(run.folder)[0].step == min(totals, key=totals.get)


def test_the_best_is_kept_between_checkpoints_too(tmp_path):
    settings = toy_settings(checkpoint={"every": 1000, "validate_every": 1})
    run, _ = trained(tmp_path / "run", settings, validation=Blobs(2, 50))
    totals = {event.step: event.total for event in events_of(run, ValidationEvent)}
    assert checkpoints.best(run.folder)[0].step == min(totals, key=totals.get)


def test_a_save_for_a_stop_is_not_rated_by_its_few_steps(tmp_path):
    settings = toy_settings(checkpoint={"every": 5})
    run, _ = trained(tmp_path / "run", settings, stop_after=7)
    assert {e.step: e.best for e in events_of(run, CheckpointEvent)} == {5: True, 7: False}
    unbroken, _ = trained(tmp_path / "unbroken", settings)
    trained(tmp_path / "run", settings)
    rated = {e.step: e.best for e in events_of(run, CheckpointEvent) if e.step != 7}
    assert rated == {e.step: e.best for e in events_of(unbroken, CheckpointEvent)}


def test_chance_looks_at_a_few_scans_and_can_be_stopped(tmp_path, monkeypatch):
    seen, interrupted = set(), threading.Event()

    class Many(Blobs):
        def scan(self, number):
            seen.add(number)
            return super().scan(number)

    def chance(self, subjects, seed):
        for number in range(len(subjects)):
            subjects.scan(number)
            if number == stop_at:
                interrupted.set()
        return {"restored": 0.1}

    monkeypatch.setattr(Toy, "chance", chance)
    stop_at = 2
    run = Run.create(tmp_path / "run", toy_settings())
    assert fit(run, REGISTRY, Many(40), None, interrupted=interrupted).name == "stopped"
    assert (run.state().step, sorted(seen)) == (0, [0, 2, 5])
    stop_at = -1
    assert SomeSubjects(Many(40), list).chosen[-1] == 37
    assert fit(run, REGISTRY, Many(40), None).name == "finished"
    assert len(events_of(run, ChanceEvent)) == 1


def test_pause_and_resume_change_nothing(tmp_path):
    settings = toy_settings(task={"slow": 0.01}, optimisation={"steps": 40})
    unbroken, _ = trained(tmp_path / "unbroken", settings)
    run = Run.create(tmp_path / "run", settings)
    done = []
    loop = threading.Thread(target=lambda: done.append(fit(run, REGISTRY, Blobs(), None)))
    loop.start()
    watcher = Run.open(run.folder)
    wait_for(lambda: watcher.state().step >= 3)
    control.request(run.folder, "pause")
    wait_for(lambda: watcher.state().name == "paused")
    paused_at = watcher.state().step
    assert watcher.state().checkpoint == paused_at
    assert watcher.state().alive
    control.request(run.folder, "resume")
    loop.join(120)
    assert done[0].name == "finished"
    names = [event.name for event in events_of(run, StateEvent)]
    assert names == ["queued", "running", "pausing", "paused", "running", "finished"]
    assert_same(run, unbroken)


def test_a_paused_run_can_be_stopped(tmp_path):
    settings = toy_settings(task={"slow": 0.01}, optimisation={"steps": 100_000})
    run = Run.create(tmp_path / "run", settings)
    done = []
    loop = threading.Thread(target=lambda: done.append(fit(run, REGISTRY, Blobs(), None)))
    loop.start()
    watcher = Run.open(run.folder)
    wait_for(lambda: watcher.state().step >= 1)
    control.request(run.folder, "pause")
    wait_for(lambda: watcher.state().name == "paused")
    control.request(run.folder, "stop")
    loop.join(120)
    assert done[0].name == "stopped"
    assert done[0].checkpoint == done[0].step


def wait_for(condition):
    waited = threading.Event()
    for _ in range(6000):
        if condition():
            return
        waited.wait(0.01)
    raise AssertionError("too late")


def test_a_finished_run_goes_on_to_more_steps(tmp_path):
    run, _ = trained(tmp_path / "run", toy_settings())
    run.extend(25)
    run, state = trained(tmp_path / "run", None)
    assert (state.name, state.step, state.steps) == ("finished", 25, 25)
    assert [event.step for event in events_of(run, StepEvent)] == list(range(1, 26))


def test_accumulation_sees_each_sample_once(tmp_path):
    """With one ghost batch a part, sums over parts are the sums over the batch."""
    task, options = Toy(ToySettings()), toy_settings(optimisation={"batch": 8, "accumulation": 4})
    trainer = Trainer(task, options, torch.device("cpu"))
    with Batches(task, Blobs(), seed=3, batch=8, numbers=trainer.numbers) as batches:
        parts = next(batches.steps(0, 1))
    assert [len(part.keys) for part in parts] == [2, 2, 2, 2]
    network = Toy(ToySettings()).network()
    network.load_state_dict(trainer.network.state_dict())
    expected = []
    for part in parts:
        image, _, _ = network(torch.from_numpy(part.arrays["image"]))
        wrong = (image - torch.from_numpy(part.arrays["clean"])).square()
        masked = torch.from_numpy(part.arrays["masked"])
        expected.append(float(((wrong * masked).sum() / masked.sum()).detach()))
    stepped = trainer.step(0, parts)
    assert stepped.terms["restored"] == pytest.approx(np.mean(expected), rel=1e-5)


def test_the_clip_bounds_what_a_step_can_do():
    def moved(clip):
        settings = toy_settings(optimisation={"clip": clip, "warmup": 0, "betas": (0.0, 0.0)})
        trainer = Trainer(Toy(ToySettings()), settings, torch.device("cpu"))
        with Batches(trainer.task, Blobs(), seed=3, batch=8, numbers=trainer.numbers) as batches:
            stepped = trainer.step(0, next(batches.steps(0, 1)))
        gradients = [p.grad for p in trainer.network.parameters() if p.grad is not None]
        return stepped.gradient_norm, float(torch.linalg.vector_norm(
            torch.cat([gradient.flatten() for gradient in gradients])))  # fmt: skip

    free_norm, free = moved(0.0)
    assert free == pytest.approx(free_norm)
    norm, clipped = moved(0.25)
    assert norm == pytest.approx(free_norm)
    assert clipped == pytest.approx(0.25, rel=1e-4)


def test_the_learning_rate_warms_up_and_follows_a_cosine():
    options = OptimisationSettings(steps=101, warmup=10, learning_rate=2.0, final_rate=0.1)
    rates = [learning_rate(step, options) for step in range(101)]
    np.testing.assert_allclose(rates[:10], np.linspace(0.2, 2.0, 10))
    assert rates[10] == 2.0
    assert rates[55] == pytest.approx(2.0 * (0.1 + 0.9 * 0.5))
    assert rates[100] == pytest.approx(0.2)
    assert np.all(np.diff(rates[10:]) < 0)
    assert learning_rate(0, OptimisationSettings(steps=1, warmup=50)) == 1e-3


def test_the_learning_rate_falls_in_five_equal_stages():
    options = OptimisationSettings(steps=50, warmup=0, learning_rate=2e-4, schedule="stages")
    rates = [learning_rate(step, options) for step in range(50)]
    expected = [2e-4 * share for share in (1.0, 0.8, 0.6, 0.4, 0.2) for _ in range(10)]
    np.testing.assert_allclose(rates, expected)
    warmed = OptimisationSettings(steps=60, warmup=10, learning_rate=2e-4, schedule="stages")
    np.testing.assert_allclose(
        [learning_rate(step, warmed) for step in range(60)],
        [*np.linspace(2e-5, 2e-4, 10), *expected],
    )


def test_a_run_begins_from_given_weights(tmp_path):
    first, _ = trained(tmp_path / "first", toy_settings())
    given, _ = weights.load(first.folder / "weights.safetensors")
    backbone = {name: value for name, value in given.items() if name.startswith("backbone.")}
    settings = toy_settings(optimisation={"steps": 1, "learning_rate": 1e-12})
    # Heads fit as well, but belong to the task that they were trained for.
    run, _ = trained(tmp_path / "run", settings, initial=given)
    found, _ = weights.load(run.folder / "weights.safetensors")
    torch.testing.assert_close(found["backbone.0.weight"], given["backbone.0.weight"])
    assert not torch.equal(found["image.weight"], given["image.weight"])
    said = events_of(run, WarningEvent)[0].text
    assert f"{len(backbone)} of {len(given)} tensors begin from given weights" in said
    assert said.endswith("drawn anew: embedding, image, metric, unused")
    with pytest.raises(Failed, match="no weight fits"):
        trained(tmp_path / "other", settings, initial={"x": torch.ones(1)})


def test_a_run_is_trained_once_at_a_time(tmp_path):
    run = Run.create(tmp_path / "run", toy_settings())
    with run.claim(), pytest.raises(MrisslError, match=r"another process|being trained"):
        fit(Run.open(run.folder), REGISTRY, Blobs(), None)


def test_what_cannot_be_trained_is_refused(tmp_path):
    with pytest.raises(Failed, match="bfloat16 on cpu"):
        trained(tmp_path / "half", toy_settings(optimisation={"precision": "bfloat16"}))
    with pytest.raises(Failed, match="width"):
        trained(tmp_path / "width", toy_settings(task={"width": "wide"}))
    with pytest.raises(MrisslError, match="expected auto, cpu"):
        device_of("warp")
    with pytest.raises(MrisslError, match="CUDA devices of this machine"):
        device_of("cuda:99")


@pytest.mark.slow
def test_a_compiled_network_trains_and_keeps_its_names(tmp_path):
    run, state = trained(tmp_path / "run", toy_settings(optimisation={"compile": True, "steps": 5}))
    assert state.name == "finished"
    plain, _ = trained(tmp_path / "plain", toy_settings(optimisation={"steps": 5}))
    found, expected = newest_tensors(run)[0], newest_tensors(plain)[0]
    names = {name for name in expected if name.startswith("weights/")}
    assert names == {name for name in found if name.startswith("weights/")}
    for name in names:
        torch.testing.assert_close(found[name], expected[name], rtol=1e-3, atol=1e-4)


def test_the_list_of_devices_is_true():
    found = devices()
    assert [device["name"] for device in found][-1] == "cpu"
    assert len(found) == 1 + torch.cuda.device_count() + torch.backends.mps.is_available()
    for device in found:
        assert 0 < device["free_bytes"] <= device["memory_bytes"]
        assert device_of(device["name"]).type == device["name"].split(":")[0]


def test_a_step_that_is_not_alone_in_its_memory_is_estimated():
    found = estimate(toy_settings(optimisation={"batch": 4, "ema": 0.9}), REGISTRY)
    network = Toy(ToySettings()).network()
    assert found.parameters == sum(p.numel() for p in network.parameters())
    # A batch of four on a CPU is reckoned from two samples.
    assert not found.measured
    assert found.seconds_per_step > 0
    assert found.checkpoint_bytes == 4 * (
        2 * sum(t.numel() for t in network.state_dict().values()) + 2 * found.parameters
    )
