"""Contrastive pretraining as a task: its samples, its terms, and what they are worth by chance."""

import math

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from napari_mrissl.pretext.registry import TASKS
from napari_mrissl.pretext.synthesis.label_crops import index_of
from napari_mrissl.pretext.synthesis.settings import OFFLINE, SynthesisSettings
from napari_mrissl.pretext.synthesis.task import Synthesis
from napari_mrissl.pretext.task import SampleKey
from napari_mrissl.synthesis import Engine, EngineSettings, Templates
from napari_mrissl.training.batches import made, stacked
from napari_mrissl.training.building import settings_for
from napari_mrissl.training.data.engine_subjects import painted_subjects, procedural_shapes
from napari_mrissl.training.estimate import Phantoms
from napari_mrissl.training.settings import DataSettings
from tests.pretext.restoring import Alone, batch_of, terms_of

SIDE = 32
KEY = SampleKey(3, 5, 1)


def small(**changes):
    settings = {
        "backbone": {"width": 8, "depth": 4},
        "crop": {"side": SIDE, "element": "none"},
        "samples": 50,
        "hidden": 16,
        "online": OFFLINE,
        **changes,
    }
    return Synthesis(SynthesisSettings.model_validate(settings))


@pytest.fixture(scope="module")
def subjects():
    data = DataSettings(kind="ensembles", engine={"side": SIDE}, heads=2)
    return painted_subjects(data, KEY.seed, "train")


def test_views_are_a_pair_of_the_engine(subjects):
    sample = small().sample(subjects, KEY)
    pool = procedural_shapes()
    shapes = Templates(pool.bits, pool.starts[:90], pool.extents[:90])
    pair = Engine(shapes, EngineSettings.of_side(SIDE), KEY.seed).pair(index_of(KEY))
    np.testing.assert_array_equal(sample.arrays["views"], pair.views)
    np.testing.assert_array_equal(sample.arrays["labels"], pair.labels)


def test_settings_of_the_engine_say_how_views_are_painted():
    still = {"background_skip": 0.0, "mean": (100.0, 100.0), "std": (0.0, 0.0)}
    engine = {"side": SIDE, "appearance": still}
    data = DataSettings(kind="ensembles", engine=engine, heads=1)
    subjects = painted_subjects(data, 0, "train")
    plain = small().sample(subjects, KEY).arrays["views"]
    coloured = painted_subjects(
        DataSettings(kind="ensembles", engine={"side": SIDE}, heads=1), 0, "train"
    )
    other = small().sample(coloured, KEY)
    labels = other.arrays["labels"]
    means = [
        [view[labels == label].mean() for label in np.unique(labels)]
        for view in (plain[0], other.arrays["views"][0])
    ]
    assert np.std(means[1]) > 3 * np.std(means[0])


def test_a_sample_follows_from_its_key(subjects):
    task = small(online={})
    first, again = (task.sample(subjects, KEY).arrays for _ in range(2))
    other = task.sample(subjects, SampleKey(3, 6, 1)).arrays
    for name, array in first.items():
        np.testing.assert_array_equal(array, again[name])
    assert not np.array_equal(first["labels"], other["labels"])
    assert not np.array_equal(first["places51"], other["places51"])


def test_compared_voxels_have_the_label_in_their_middle(subjects):
    task = small()
    sample = task.sample(subjects, SampleKey(0, 5, 1)).arrays
    batch = batch_of(task, subjects, 5, 2)
    np.testing.assert_array_equal(batch["labels"][1], sample["labels"])
    assert task.taps == (20, 24, 31, 38, 51)
    for tap, side, count in ((20, 8, 50), (24, 4, 50), (31, 8, 50), (38, 16, 50), (51, 32, 50)):
        places = sample[f"places{tap}"]
        assert places.shape == (count,)
        step = SIDE // side
        z, y, x = np.unravel_index(places, (side,) * 3)
        half = step // 2
        expected = sample["labels"][z * step + half, y * step + half, x * step + half]
        np.testing.assert_array_equal(batch[f"classes{tap}"][1], expected)


def test_views_painted_on_the_device_are_those_of_the_loader(subjects):
    online = {"blur": 1.0, "motion": 1.0}
    loader, device = small(online=online), small(online=online, on_device=True)
    one, other = (batch_of(task, subjects, 5, 2)["views"] for task in (loader, device))
    assert torch.equal(one, other)
    # Shuffled labels are compared, and have no part in painting.
    for task in (loader, device):
        keys = [SampleKey(3, 5, number) for number in range(2)]
        samples = [made(task, subjects, key, 2, shuffled=True) for key in keys]
        arrays = stacked(samples, keys).arrays
        batch = {name: torch.from_numpy(array) for name, array in arrays.items()}
        own = [task.sample(subjects, key).arrays["labels"] for key in keys]
        np.testing.assert_array_equal(batch["labels"], own[::-1])
        views = task.prepare(batch, keys)["views"].numpy()
        straight = [loader.sample(subjects, key).arrays["views"] for key in keys]
        np.testing.assert_array_equal(views, straight)


def test_terms_are_means_over_anchors_with_equal_weights(subjects):
    task = small()
    torch.manual_seed(0)
    network = task.network()
    terms = task.losses(network, batch_of(task, subjects, 0, 2), Alone())
    taps = [name for name in terms if name.startswith("tap")]
    assert taps == ["tap20", "tap24", "tap31", "tap38", "tap51"]
    assert [terms[name].weight for name in taps] == [0.2] * 5
    assert all(terms[name].count == 2 * 2 * 50 for name in taps)
    assert {name: terms[name].weight for name in terms if name not in taps} == {
        "misplaced": 0.0,
        "mislabelled": 0.0,
    }
    values = terms_of(task, network, batch_of(task, subjects, 0, 2))
    halves = [terms_of(task, network, part(task, subjects, number)) for number in range(2)]
    for name, value in values.items():
        assert value == pytest.approx(np.mean([half[name] for half in halves]), rel=1e-5)


def part(task, subjects, number):
    """One of two pairs of a batch."""
    return {name: array[number : number + 1] for name, array in
            batch_of(task, subjects, 0, 2).items()}  # fmt: skip


def test_features_that_say_nothing_are_worth_chance(subjects):
    for options in ({}, {"rarity": "raw"}, {"balanced": True}):
        task = small(samples=200, **options)
        chance = task.chance(subjects, 0)

        def blind(views, places):
            same = [torch.ones(len(views), 2 * where.shape[1], 4) for where in places]
            return same, torch.rand(len(views), 400, 16)

        network = Blind(blind)
        values = [terms_of(task, network, batch_of(task, subjects, step, 4)) for step in range(4)]
        tolerance = 0.1 if options.get("balanced") else 1e-6
        for tap in task.taps:
            found = np.mean([value[f"tap{tap}"] for value in values])
            assert found == pytest.approx(chance[f"tap{tap}"], rel=tolerance)
        if not options:
            assert chance["tap51"] == pytest.approx(math.log(399))
            assert chance["tap24"] == pytest.approx(math.log(2 * 64 - 1))
        found = np.mean([value["misplaced"] for value in values])
        assert found == pytest.approx(chance["misplaced"], abs=0.01)
        # A random voxel is a worse guess than one of the most frequent label.
        found = np.mean([value["mislabelled"] for value in values])
        assert chance["mislabelled"] < found < 1


class Blind(torch.nn.Module):
    """Answers that do not depend on views."""

    def __init__(self, answer):
        super().__init__()
        self.nothing = torch.nn.Parameter(torch.zeros(1))
        self.answer = answer

    def forward(self, views, places):
        return self.answer(views, places)


def test_made_up_scans_with_labels_will_do_for_an_estimate():
    sample = small().sample(Phantoms(64), KEY)
    assert sample.arrays["views"].shape == (2, SIDE, SIDE, SIDE)
    assert len(np.unique(sample.arrays["labels"])) > 1


def test_pictures_show_both_views_and_what_is_alike(subjects):
    task = small()
    torch.manual_seed(0)
    (shown,) = task.show(task.network().eval(), batch_of(task, subjects, 0, 2))
    assert shown.tiles.shape == (8, SIDE, SIDE)
    assert len(shown.captions) == 8
    assert shown.tiles.min() >= 0
    assert shown.tiles.max() <= 1
    # The voxel that was asked for is like itself.
    like = shown.tiles[[n for n, name in enumerate(shown.captions) if name == "like its middle"]]
    np.testing.assert_allclose(like[:, SIDE // 2, SIDE // 2], 1, atol=1e-5)


def test_words_are_temperatures():
    for word, value in (("registration", 0.33), ("segmentation", 0.2), ("0.5", 0.5)):
        changes = {"temperature": word}
        assert settings_for("synthesis", overrides=changes).task["temperature"] == value
    with pytest.raises(ValidationError):
        SynthesisSettings(temperature="cold")


def test_the_preset_for_a_gpu_is_the_published_run():
    settings = settings_for("synthesis", preset="gpu")
    task = TASKS["synthesis"].settings.model_validate(settings.task)
    assert (task.temperature, task.samples, task.hidden) == (0.33, 512, 256)
    assert (task.backbone.width, task.backbone.depth, task.crop.side) == (16, 5, 128)
    options = settings.optimisation
    assert (options.steps, options.batch, options.learning_rate) == (600_000, 1, 2e-4)
    assert (options.betas, options.weight_decay, options.schedule) == ((0.5, 0.999), 0, "stages")
    assert Synthesis(task).taps == (27, 31, 38, 45, 52, 65)
