"""A finetuning from labels to a network: it learns, resumes, is cancelled, and is found again."""

import threading

import numpy as np
import pytest
import torch

from napari_mrissl.errors import MrisslError
from napari_mrissl.features import Cancelled
from napari_mrissl.segmentation import Prompts
from napari_mrissl.segmentation.finetuning import (
    REGISTRY,
    LabelClass,
    LabelledInput,
    SavedSegmenter,
    finetune,
    go_on,
    prepare,
)
from napari_mrissl.segmentation.finetuning.task import PREVIEW
from napari_mrissl.training.checkpoints import best
from napari_mrissl.training.data.cohort import subjects
from napari_mrissl.training.events import ChanceEvent, EventTail, ImageEvent, ValidationEvent
from napari_mrissl.training.loop import fit
from napari_mrissl.training.run import Run
from tests.segmentation.finetuning.balls import arrays, save, tiny, write

QUIET = {"appearance.noise": 0, "appearance.chain.bias.probability": 0}


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    """A run of two scans, measured on a third, and what was said of its progress."""
    folder = tmp_path_factory.mktemp("learned")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MRISSL_DATA_DIR", str(folder / "data"))
        patch.setenv("MRISSL_CACHE_DIR", str(folder / "cache"))
        inputs = write(folder, 3)
        inputs[2] = LabelledInput(inputs[2].image, inputs[2].labels, held_out=True)
        told = []
        settings = tiny(
            steps=60, classes=(LabelClass(label=2, name="core", color="#ff0000"),), changes=QUIET
        )
        out = finetune(
            settings, inputs, folder / "run", progress=lambda part, said: told.append((part, said))
        )
        yield out, told


def test_it_learns_more_than_a_constant_answer(learned):
    out, told = learned
    events = EventTail(out).poll()
    (chance,) = (event.terms for event in events if isinstance(event, ChanceEvent))
    measured = [event for event in events if isinstance(event, ValidationEvent)]
    assert [event.step for event in measured] == [20, 40, 60]
    last = measured[-1].terms
    assert last["dice"] > chance["dice"] + 0.2
    assert last["overlap"] < chance["overlap"]
    assert last["cross entropy"] < chance["cross entropy"]
    assert chance["overlap"] == pytest.approx(1 - chance["dice"])
    parts = [part for part, _ in told]
    assert parts == sorted(parts)
    assert told[-1] == (1.0, "finished")


def test_a_picture_shows_a_slice_of_the_held_out_scan(learned):
    out, _ = learned
    pictures = [event for event in EventTail(out).poll() if isinstance(event, ImageEvent)]
    assert [event.step for event in pictures] == [20, 40, 60]
    assert {event.name for event in pictures} == {PREVIEW}
    assert pictures[0].captions == ("scan", "predicted", "labels")
    held_out = [
        one.identity for one in Run.open(out).settings.data.subjects if one.split == "validation"
    ]
    assert [event.scan for event in pictures] == 3 * held_out
    assert (out / "images" / pictures[-1].file).is_file()


def test_what_was_saved_knows_its_classes_and_works(learned):
    out, _ = learned
    segmenter = SavedSegmenter.load(out)
    assert segmenter.classes == {0: "background", 1: "class 1", 2: "core"}
    assert segmenter.colors == {2: "#ff0000"}
    assert (segmenter.stride, segmenter.least_side) == (4, 8)
    assert segmenter.spacing == (1.0, 1.0, 1.0)
    assert segmenter.card["step"] == best(out)[0].step
    # The same of the file alone.
    alone = SavedSegmenter.load(segmenter.path)
    assert alone.classes == segmenter.classes
    voxels, labels = arrays(2)
    image = torch.zeros(1, 1, 16, 20, 20)
    low, high = np.percentile(voxels, (0.5, 99.5))
    scaled = np.clip((voxels - low) / (high - low), 0, 1).transpose(2, 1, 0)
    image[0, 0, :, :, :18] = torch.from_numpy(scaled)
    with torch.no_grad():
        found = alone.network()(image)[0].argmax(dim=0)[:, :, :18].numpy()
    truth = labels.transpose(2, 1, 0)
    for label in (1, 2):
        both = ((found == label) & (truth == label)).sum()
        assert 2 * both / ((found == label).sum() + (truth == label).sum()) > 0.5


def test_only_finetunings_with_weights_are_loaded(tmp_path):
    with pytest.raises(MrisslError, match="is not there"):
        SavedSegmenter.load(tmp_path / "none")
    with pytest.raises(MrisslError, match="is no run"):
        SavedSegmenter.load(tmp_path)
    run = prepare(tiny(), write(tmp_path, 1), tmp_path / "run")
    with pytest.raises(MrisslError, match="has no weights yet"):
        SavedSegmenter.load(run.folder)


class AtStep(threading.Event):
    """Set once a run has done some steps."""

    def __init__(self, run: Run, step: int) -> None:
        super().__init__()
        self.run, self.step = run, step

    def is_set(self) -> bool:
        return self.run.state().step >= self.step


def test_an_interrupted_finetuning_goes_on_to_the_same_end(tmp_path):
    inputs = write(tmp_path, 1)
    settings = tiny(steps=8, changes={"checkpoint.every": 2, "checkpoint.images_every": 0})
    whole = finetune(settings, inputs, tmp_path / "whole")
    run = prepare(settings, inputs, tmp_path / "broken")
    interrupted = AtStep(run, 3)
    state = fit(run, REGISTRY, subjects(run.settings, "train"), None, interrupted=interrupted)
    assert state.name == "stopped"
    assert 0 < state.step < 8
    assert go_on(run.folder) == run.folder
    assert go_on(run.folder) == run.folder
    states = [SavedSegmenter.load(folder).network().state_dict() for folder in (whole, run.folder)]
    for name, tensor in states[0].items():
        assert torch.equal(tensor, states[1][name]), name


def test_a_cancelled_finetuning_keeps_its_run(tmp_path):
    inputs = write(tmp_path, 1)
    run = prepare(tiny(steps=4), inputs, tmp_path / "run")
    with pytest.raises(Cancelled):
        go_on(run.folder, cancelled=lambda: True)
    assert run.state().name == "stopped"
    with pytest.raises(Cancelled):
        finetune(tiny(), inputs, tmp_path / "never", cancelled=lambda: True)
    assert not (tmp_path / "never").exists()


@pytest.mark.parametrize("mode", ["linear", "nonlinear"])
def test_clicks_in_one_scan_train_a_head(tmp_path, mode):
    voxels, labels = arrays(0)
    image = save(tmp_path / "scan.nii.gz", voxels)
    rng = np.random.default_rng(0)
    places = np.concatenate([rng.permutation(np.argwhere(labels == n))[:8] for n in range(3)])
    prompts = Prompts.from_arrays(places, np.repeat([1, 2, 3], 8))
    settings = tiny(mode=mode, steps=6, changes={"checkpoint.images_every": 3})
    out = finetune(settings, [LabelledInput(image, prompts=prompts)], tmp_path / "run")
    segmenter = SavedSegmenter.load(out)
    assert segmenter.classes == {1: "class 1", 2: "class 2", 3: "class 3"}
    assert Run.open(out).settings.task["mode"] == mode
    assert segmenter.network()(torch.zeros(1, 1, 8, 12, 8)).shape == (1, 3, 8, 12, 8)


def test_what_was_committed_is_used_where_the_run_was_killed_before_its_copy(tmp_path):
    run = finetune(tiny(steps=1), write(tmp_path, 1), tmp_path / "run")
    whole = SavedSegmenter.load(run).network().state_dict()
    (run / "weights.safetensors").unlink()
    found = SavedSegmenter.load(run)
    assert found.card["step"] == 1
    for name, tensor in found.network().state_dict().items():
        assert torch.equal(tensor, whole[name]), name


def test_a_finetuning_starts_from_another_one(tmp_path):
    inputs = write(tmp_path, 1)
    first = finetune(tiny(steps=2, batch=2), inputs, tmp_path / "first")
    settings = tiny(weights=str(first), steps=1, mode="linear", changes={})
    settings = settings.model_copy(
        update={"changes": {k: v for k, v in settings.changes.items() if "backbone" not in k}}
    )
    second = finetune(settings, inputs, tmp_path / "second")
    before = SavedSegmenter.load(first).network().state_dict()
    after = SavedSegmenter.load(second).network().state_dict()
    # Batches are counted anew.
    for name in (name for name in before if not name.endswith("num_batches_tracked")):
        same = torch.equal(before[name], after[name])
        assert same == name.startswith("backbone."), name
