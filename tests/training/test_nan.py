"""A loss or gradient that is no number, and memory that is not there: said, and nothing lost."""

import random

import pytest
import torch

from napari_mrissl.networks import weights
from napari_mrissl.pretext.task import SampleKey
from napari_mrissl.training import checkpoints
from napari_mrissl.training.events import EventTail, StateEvent, StepEvent, WarningEvent
from napari_mrissl.training.failures import out_of_memory
from napari_mrissl.training.loop import Failed
from tests.training.runs_of_toys import newest_tensors, trained
from tests.training.toy import Blobs, Toy, ToySettings, toy_settings

RANDOM_STEPS = random.Random(0).sample(range(1, 20), 19)


def one_and(more):
    """A step for every day, and one that is left to the full counts."""
    return [RANDOM_STEPS[more - 1], pytest.param(RANDOM_STEPS[more], marks=pytest.mark.slow)]


def check(folder, kind, step):
    """Fail at a step (from 0); the checkpoint before stays as it is. Returns the events."""
    settings = toy_settings(task={kind: step}, checkpoint={"every": 1})
    with pytest.raises(Failed):
        trained(folder / "run", settings)
    run, state = trained_before(folder, step)
    events = EventTail(folder / "run").poll()
    assert [e.step for e in events if isinstance(e, StepEvent)] == list(range(1, step + 1))
    assert state.name == "failed"
    assert not state.alive
    found, warnings = checkpoints.newest(folder / "run")
    assert warnings == []
    assert found.step == step
    # The same as those of a run that was stopped before: not a bit of the bad step in them.
    groups, _ = found.load()
    expected, _ = newest_tensors(run)
    for group, tensors in groups.items():
        for name, tensor in tensors.items():
            assert tensor.equal(expected[f"{group}/{name}"])
    placed, _ = weights.load(folder / "run" / "weights.safetensors")
    assert all(placed[name].equal(tensor) for name, tensor in groups["weights"].items())
    return events, state


def trained_before(folder, step):
    from napari_mrissl.training.run import Run

    run, _ = trained(folder / "good", toy_settings(checkpoint={"every": 1000}), stop_after=step)
    return run, Run.open(folder / "run").state()


@pytest.mark.parametrize("step", one_and(1))
def test_a_sample_that_is_no_number_is_named(tmp_path, step):
    events, state = check(tmp_path, "poison", step)
    culprit = Toy(ToySettings()).sample(Blobs(), SampleKey(3, step, 1))
    assert f"at step {step + 1} (samples of {culprit.subject})" in state.reason
    assert state.reason.startswith("loss term restored is not a finite number")
    said = [event.text for event in events if isinstance(event, WarningEvent)]
    assert said == [
        f'step {step + 1}, sample 1 of {culprit.subject}: {{"corner": {culprit.record["corner"]}}}'
    ]


@pytest.mark.parametrize("step", one_and(3))
def test_a_gradient_that_is_no_number_names_the_batch(tmp_path, step):
    events, state = check(tmp_path, "steep", step)
    assert f"the gradient is not a finite number at step {step + 1}" in state.reason
    keys = [SampleKey(3, step, number) for number in range(8)]
    people = {Toy(ToySettings()).sample(Blobs(), key).subject for key in keys}
    assert all(person in state.reason for person in people)
    assert len([event for event in events if isinstance(event, WarningEvent)]) == 8


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["poison", "steep"])
@pytest.mark.parametrize("step", RANDOM_STEPS)
def test_at_any_step(tmp_path, kind, step):
    check(tmp_path, kind, step)


def test_the_run_goes_on_once_the_reason_is_gone(tmp_path):
    check(tmp_path, "poison", 7)
    text = (tmp_path / "run" / "settings.json").read_text(encoding="utf-8")
    mended = text.replace('"poison": 7', '"poison": null')
    (tmp_path / "run" / "settings.json").write_text(mended, encoding="utf-8")
    run, state = trained(tmp_path / "run", None)
    assert (state.name, state.step, state.reason) == ("finished", 20, "")
    unbroken, _ = trained(tmp_path / "unbroken", toy_settings())
    found, expected = newest_tensors(run)[0], newest_tensors(unbroken)[0]
    assert all(found[name].equal(expected[name]) for name in expected)


def test_too_little_memory_is_said_with_needed_and_available(tmp_path):
    with pytest.raises(Failed, match=r"1073741824.00 GiB more needed, [\d.]+ GiB available"):
        trained(tmp_path / "run", toy_settings(task={"hungry": 6}))
    events = EventTail(tmp_path / "run").poll()
    last = [event for event in events if isinstance(event, StateEvent)][-1]
    assert last.name == "failed"
    assert last.reason.startswith("out of memory on cpu: ")
    assert "smaller batch" in last.reason
    assert checkpoints.newest(tmp_path / "run")[0].step == 5


def test_a_gpus_message_is_understood(monkeypatch):
    said = "CUDA out of memory. Tried to allocate 2.50 GiB. GPU 0 has a total capacity of 79 GiB"
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (3 << 29, 80 << 30))
    sentence = out_of_memory(torch.OutOfMemoryError(said), torch.device("cuda", 0))
    assert sentence.startswith("out of memory on cuda:0: 2.50 GiB more needed, 1.50 GiB available")
    assert out_of_memory(RuntimeError("shapes differ"), torch.device("cpu")) is None
