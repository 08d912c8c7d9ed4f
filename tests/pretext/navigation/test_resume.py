"""Runs of both methods: dynamics from a tokenizer's run, stopped or killed, go on bit for bit."""

import threading

import pytest
import torch

from napari_mrissl.errors import MrisslError
from napari_mrissl.networks import weights
from napari_mrissl.pretext.navigation.imagination import Imagination
from napari_mrissl.pretext.registry import TASKS
from napari_mrissl.training import initial
from napari_mrissl.training.layout import WEIGHTS
from napari_mrissl.training.loop import fit
from napari_mrissl.training.run import Run
from tests.pretext.navigation.small import Smooth, small_run, smooth
from tests.training.killed import ROOT, check_killed
from tests.training.runs_of_toys import assert_same

# What trains is traced in other tests.
pytestmark = pytest.mark.untraced
STEPS = 4


def short(settings):
    options = settings.optimisation.model_copy(update={"steps": STEPS, "warmup": 2})
    return settings.model_copy(update={"optimisation": options})


def created(folder, settings, source=None):
    """A run that begins from the weights of another."""
    if source is None:
        return Run.create(folder, settings)
    path, sha256 = initial.weights_file(source)
    run = Run.create(folder, initial.begun_from(settings, path, sha256))
    initial.keep(run, path)
    return run


def trained(folder, settings, *, stopped=False, source=None):
    """A run, begun or gone on; stopped after its second step if wanted."""
    run = Run.open(folder) if folder.exists() else created(folder, settings, source)
    interrupted = threading.Event()
    method = TASKS[run.settings.method].load()
    right = method.losses

    def losses(self, network, batch, collective):
        # Asked for within the first step, and heard before the second, which is then the last.
        if stopped and network.training:
            interrupted.set()
        return right(self, network, batch, collective)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(method, "losses", losses)
        state = fit(
            run, TASKS, Smooth(), Smooth(10, 1), interrupted=interrupted, initial=initial.of(run)
        )
    assert state.name == ("stopped" if stopped else "finished")
    assert state.step == (2 if stopped else STEPS)
    return run


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("tokenizer") / "run", short(small_run("tokenizer")))


def test_a_tokenizer_goes_on_bit_for_bit(tmp_path, tokenizer):
    settings = short(small_run("tokenizer"))
    trained(tmp_path / "run", settings, stopped=True)
    assert_same(trained(tmp_path / "run", settings), tokenizer)


def test_dynamics_begin_from_a_tokenizer_and_go_on_bit_for_bit(tmp_path, tokenizer):
    """The tokenizer's shape is nowhere said: it comes with its weights."""
    plain = short(small_run("dynamics"))
    task = {name: value for name, value in plain.task.items() if name != "backbone"}
    settings = plain.model_copy(update={"task": task})
    unbroken = trained(tmp_path / "unbroken", settings, source=tokenizer.folder)
    assert unbroken.settings.task["backbone"] == tokenizer.settings.task["backbone"]
    trained(tmp_path / "run", settings, stopped=True, source=tokenizer.folder)
    assert_same(trained(tmp_path / "run", settings), unbroken)
    begun, _ = weights.load(tokenizer.folder / WEIGHTS)
    ended, _ = weights.load(unbroken.folder / WEIGHTS)
    assert all(torch.equal(ended[name], tensor) for name, tensor in begun.items())
    terms = unbroken.summary()["terms"]
    assert terms["next"]["chance"] > 0
    assert terms["copied"]["chance"] == pytest.approx(terms["copied"]["last"], rel=0.5)
    flown = Imagination.open(unbroken.folder)
    scan = smooth(0)
    pose = TASKS["dynamics"].load()(flown.network.settings).flights.fly(scan, "pan", 1, 0)[0]
    assert flown.begin(scan.volume, pose).image.shape == (32, 32)


def test_dynamics_that_are_killed_end_as_if_nothing_had_been(tmp_path, tokenizer, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    settings = small_run("dynamics")
    settings = settings.model_copy(
        update={
            "optimisation": settings.optimisation.model_copy(update={"steps": 24, "ema": 0.9}),
            "checkpoint": settings.checkpoint.model_copy(update={"every": 3, "validate_every": 7}),
        }
    )
    unbroken, run = (
        created(tmp_path / name, settings, tokenizer.folder) for name in ("unbroken", "killed")
    )
    check_killed(run, unbroken, 2, ["-m", "tests.pretext.navigation.child"])
    begun, _ = weights.load(tokenizer.folder / WEIGHTS)
    ended, _ = weights.load(run.folder / WEIGHTS)
    assert all(torch.equal(ended[name], tensor) for name, tensor in begun.items())


def test_dynamics_need_a_tokenizer(tmp_path, tokenizer):
    settings = short(small_run("dynamics"))
    with pytest.raises(MrisslError, match=r"no weights to begin from.*tokenizer.*--init"):
        initial.check_needed(settings)
    with pytest.raises(MrisslError, match="no weights to begin from"):
        initial.of(Run.create(tmp_path / "run", settings))
    other = tmp_path / "other.safetensors"
    weights.save(other, {"backbone.x": torch.zeros(1)}, {"method": "masked", "task": {}})
    with pytest.raises(MrisslError, match=r"method masked.*a run of the method tokenizer"):
        initial.begun_from(settings, *initial.weights_file(other))
    damaged = tmp_path / "damaged.safetensors"
    card = {"method": "tokenizer", "task": {"backbone": {"width": "wide"}}}
    weights.save(damaged, {"backbone.x": torch.zeros(1)}, card)
    with pytest.raises(MrisslError, match=r"backbone\.width"):
        initial.begun_from(settings, *initial.weights_file(damaged))
    # Methods that draw their own weights take whatever fits, as before.
    initial.check_needed(short(small_run("tokenizer")))
    path, sha256 = initial.weights_file(tokenizer.folder)
    assert initial.begun_from(small_run("tokenizer"), path, sha256).initial == sha256
