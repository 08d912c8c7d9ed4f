"""A run that goes on is, bit for bit, the run without the break (bar D1)."""

import random

import pytest

from napari_mrissl.training import checkpoints
from napari_mrissl.training.events import EventTail, StepEvent, WarningEvent
from tests.training.runs_of_toys import assert_same, trained
from tests.training.toy import Blobs, toy_settings

# What trains is traced in `test_loop`.
pytestmark = pytest.mark.untraced
STEPS = 51
SETTINGS = toy_settings(
    task={"dropout": 0.3},
    optimisation={"steps": STEPS, "ema": 0.9, "accumulation": 2},
    checkpoint={"every": 1000, "validate_every": 10},
    data={"workers": 2},
)


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("unbroken") / "run", SETTINGS, validation=Blobs(2, 50))


@pytest.mark.parametrize("k", [7])
def test_a_run_stopped_at_a_step_goes_on_bit_for_bit(tmp_path, unbroken, k):
    check(tmp_path, unbroken[0], k)


@pytest.mark.slow
@pytest.mark.parametrize("k", range(1, 51))
def test_a_run_stopped_at_any_step_goes_on_bit_for_bit(tmp_path, unbroken, k):
    check(tmp_path, unbroken[0], k)


def check(folder, unbroken, k):
    run, state = trained(folder / "run", SETTINGS, stop_after=k, validation=Blobs(2, 50))
    assert (state.name, state.step, state.checkpoint) == ("stopped", k, k)
    run, state = trained(folder / "run", SETTINGS, validation=Blobs(2, 50))
    assert (state.name, state.step) == ("finished", STEPS)
    assert_same(run, unbroken)
    assert losses(run) == losses(unbroken)


def losses(run):
    steps = [event for event in EventTail(run.folder).poll() if isinstance(event, StepEvent)]
    assert [event.step for event in steps] == list(range(1, STEPS + 1))
    return [(event.total, event.terms, event.rate, event.gradient_norm) for event in steps]


def test_a_damaged_newest_checkpoint_is_passed_over_and_the_run_comes_out_the_same(
    tmp_path, unbroken
):
    run, _ = trained(tmp_path / "run", SETTINGS, stop_after=4)
    trained(tmp_path / "run", SETTINGS, stop_after=6)
    found, _ = checkpoints.newest(run.folder)
    assert found.step == 6
    file = found.folder / "optimizer.safetensors"
    content = bytearray(file.read_bytes())
    content[random.Random(0).randrange(len(content))] ^= 1
    file.write_bytes(bytes(content))
    run, state = trained(tmp_path / "run", SETTINGS, validation=Blobs(2, 50))
    assert state.name == "finished"
    warnings = [e.text for e in EventTail(run.folder).poll() if isinstance(e, WarningEvent)]
    assert len(warnings) == 1
    assert "6" in warnings[0]
    assert "checksum" in warnings[0]
    assert_same(run, unbroken[0])


def test_the_test_would_see_dropout_that_does_not_resume(tmp_path, unbroken, monkeypatch):
    from napari_mrissl.training import trainer

    trained(tmp_path / "run", SETTINGS, stop_after=7)
    monkeypatch.setattr(trainer, "seed_torch", lambda seed, purpose: None)
    run, _ = trained(tmp_path / "run", SETTINGS)
    with pytest.raises(AssertionError):
        assert_same(run, unbroken[0])
