"""The task: its samples, its terms against brute force, what chance is, and every preset."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from napari_mrissl.pretext.crops import CropRecord
from napari_mrissl.pretext.edges import edges
from napari_mrissl.pretext.task import SampleKey
from napari_mrissl.pretext.vectorpose.decode import fit_box
from napari_mrissl.pretext.vectorpose.settings import INFO, VectorPoseSettings
from napari_mrissl.pretext.vectorpose.task import VectorPose
from napari_mrissl.pretext.vectorpose.vectors import decode
from napari_mrissl.training.batches import made, stacked
from napari_mrissl.training.collective import Alone
from tests.pretext.vectorpose.scans import Held, scan_of


def _subjects() -> Held:
    rng = np.random.default_rng(0)
    s, a, r = np.indices((40, 48, 44))
    body = ((s - 20) ** 2 + (a - 24) ** 2 + (r - 22) ** 2 < 400) * 0.6
    return Held([scan_of(body + rng.random(body.shape) * 0.2, (1, 1.2, 1), n) for n in "abc"])


SUBJECTS = _subjects()


def _task(**changes: Any) -> VectorPose:
    values: dict[str, Any] = {
        "backbone": {"width": 8, "depth": 3},
        "crop": {"side": 16, "edge_mm": 14.0},
        "dropout": 0.0,
    }
    return VectorPose(VectorPoseSettings.model_validate({**values, **changes}))


def _batch(task: VectorPose, count: int = 4) -> dict[str, torch.Tensor]:
    keys = [SampleKey(3, 0, number) for number in range(count)]
    arrays = stacked([task.sample(SUBJECTS, key) for key in keys], keys).arrays
    batch = {name: torch.from_numpy(array) for name, array in arrays.items()}
    return task.prepare(batch, keys)


class _Answers(torch.nn.Module):
    """A network that gives fixed raw numbers."""

    def __init__(self, **outputs: torch.Tensor) -> None:
        super().__init__()
        self.outputs = outputs

    def forward(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
        """The fixed numbers."""
        return self.outputs


def test_a_sample_is_a_function_of_its_key() -> None:
    task = _task()
    first, again = (task.sample(SUBJECTS, SampleKey(1, 2, 3)) for _ in range(2))
    other = task.sample(SUBJECTS, SampleKey(1, 2, 4))
    for name, array in first.arrays.items():
        np.testing.assert_array_equal(array, again.arrays[name])
    assert not np.array_equal(first.arrays["image"], other.arrays["image"])
    assert first.arrays["image"].shape == (1, 16, 16, 16)
    assert not np.array_equal(first.arrays["image"], first.arrays["clean"])


def test_the_vectors_of_a_sample_tell_its_crop() -> None:
    task = _task()
    for number in range(30):
        sample = task.sample(SUBJECTS, SampleKey(0, 0, number))
        record = CropRecord.from_plain(sample.record["crop"])
        radius = np.hypot(48 * 1.2, 44) / 2
        box = fit_box(decode(sample.arrays["vectors"], radius))
        assert box.element == record.element
        assert box.edge_mm == pytest.approx(record.edge_mm, rel=1e-4)


@pytest.mark.parametrize("loss", ["l1", "mse"])
def test_right_answers_cost_nothing_and_wrong_ones_do(loss: str) -> None:
    task = _task(restoration="none", loss=loss, cosine=1.0)
    batch = _batch(task)
    coded = batch["vectors"].double().clamp(1e-9, 1 - 1e-9)
    angle = batch["vectors"][..., 2:].double().clamp(-1 + 1e-9, 1 - 1e-9)
    raw = torch.cat([torch.logit(coded[..., :2]), torch.atanh(angle)], dim=-1).flatten(1)
    terms = task.losses(_Answers(vectors=raw), batch, Alone())
    assert set(terms) == {"r", "theta", "phi", "cosine"}
    assert all(abs(float(term.total)) < 1e-4 for term in terms.values())
    wrong = task.losses(_Answers(vectors=-raw), batch, Alone())
    assert all(float(term.total) > 0.1 for term in wrong.values())


def test_terms_of_restoration_are_those_of_numpy() -> None:
    raw = torch.randn(4, 2, 16, 16, 16)
    answer = 1 / (1 + np.exp(-raw.numpy().astype(np.float64)))
    for changes in ({}, {"boundary_in_paint": True}, {"restoration": "weighted"}):
        task = _task(vectors=False, **changes)
        batch = _batch(task)
        clean = batch["clean"].numpy()
        maps = np.stack([edges(crop[0], task.settings.edges)[None] for crop in clean])
        given = raw if task.settings.restoration == "predict_boundary" else raw[:, :1]
        terms = task.losses(_Answers(restored=given), batch, Alone())
        apart = np.abs(answer[:, :1] - clean)
        found = {name: float(t.total) / float(t.count) for name, t in terms.items()}
        if task.settings.restoration == "weighted":
            expected = {"reconstruction": np.average(apart, weights=1 + maps)}
        else:
            mask = batch["painted"].numpy() if changes else np.ones_like(maps)
            expected = {
                "reconstruction": apart.mean(),
                "boundary": np.average(np.abs(answer[:, 1:] - maps), weights=mask),
            }
        assert found == pytest.approx(expected, rel=1e-5)


def test_arms_are_compared_on_vectors_of_clean_crops() -> None:
    task = _task(restoration="plain", corruption={"paint": 1.0})
    torch.manual_seed(0)
    network = task.network().eval()
    batch = _batch(task)
    with torch.no_grad():
        measured = task.measures(network, batch, Alone())
        spoiled = task.losses(network, batch, Alone())
        clean = task.losses(network, {**batch, "image": batch["clean"]}, Alone())
    assert measured["reconstruction"].total == spoiled["reconstruction"].total
    for name in ("r", "theta", "phi"):
        assert measured[name].total == clean[name].total
        assert measured[name].total != spoiled[name].total


@pytest.mark.parametrize("head", ["pooled", "spatial"])
def test_every_weight_learns_from_vectors_and_restoration_together(head: str) -> None:
    task = _task(head=head)
    network = task.network()
    terms = task.losses(network, _batch(task), Alone())
    assert set(terms) == {"r", "theta", "phi", "reconstruction", "boundary"}
    sum(term.total / term.count for term in terms.values()).backward()
    unused = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert unused == []
    assert any(name.startswith("backbone.") for name, _ in network.named_parameters())


def test_vectors_alone_ask_the_backbone_for_its_deepest_maps() -> None:
    task = _task(backbone={"width": 8, "depth": 4}, restoration="none")
    network = task.network().eval()
    image = torch.rand(1, 1, 16, 16, 16)
    every, deepest = network.backbone(image), network.backbone.deepest(image, 2)
    assert len(every) == 4
    assert len(deepest) == 2
    assert all(torch.equal(first, second) for first, second in zip(every, deepest, strict=False))


def test_float64_stays_float64() -> None:
    task = _task()
    batch = {name: tensor.double() for name, tensor in _batch(task).items()}
    terms = task.losses(task.network().double(), batch, Alone())
    assert {term.total.dtype for term in terms.values()} == {torch.float64}


def test_shuffled_targets_are_those_of_other_samples() -> None:
    task = _task()
    key = SampleKey(0, 5, 1)
    true, shuffled = (made(task, SUBJECTS, key, 4, shuffled=s) for s in (False, True))
    np.testing.assert_array_equal(true.arrays["image"], shuffled.arrays["image"])
    assert not np.array_equal(true.arrays["vectors"], shuffled.arrays["vectors"])
    assert not np.array_equal(true.arrays["clean"], shuffled.arrays["clean"])


def test_no_single_answer_beats_chance() -> None:
    task = _task(cosine=1.0, restoration="plain")
    chance = task.chance(SUBJECTS, 0)
    assert set(chance) == {"r", "theta", "phi", "cosine", "reconstruction"}
    batch = _batch(task, 128)
    rng = np.random.default_rng(0)
    for _ in range(5):
        raw = torch.tensor(rng.normal(0, 1, 27), dtype=torch.float32).expand(128, 27)
        grey = torch.full((128, 1, 16, 16, 16), float(rng.normal()))
        terms = task.losses(_Answers(vectors=raw, restored=grey), batch, Alone())
        for name, term in terms.items():
            assert float(term.total) / float(term.count) > 0.9 * chance[name]


def test_chance_of_boundaries_and_of_weighted_restoration_is_measured() -> None:
    for restoration, names in (
        ("predict_boundary", {"reconstruction", "boundary"}),
        ("weighted", {"reconstruction"}),
    ):
        chance = _task(vectors=False, restoration=restoration).chance(SUBJECTS, 0)
        assert set(chance) == names
        assert all(0 < value < 0.5 for value in chance.values())


def test_pictures_say_what_is_read_from_the_vectors() -> None:
    task = _task()
    shown = {one.name: one for one in task.show(task.network().eval(), _batch(task))}
    assert set(shown) == {"vectors", "restored"}
    assert "orientation" in shown["vectors"].captions[0]
    assert len(shown["restored"].tiles) == len(shown["restored"].captions) == 5 * 4
    assert all(one.tiles.min() >= 0 and one.tiles.max() <= 1 for one in shown.values())


@pytest.mark.parametrize("preset", sorted(INFO.presets))
def test_presets_are_settings(preset: str) -> None:
    settings = VectorPoseSettings.model_validate(INFO.presets[preset]["task"])
    assert VectorPoseSettings.model_validate_json(settings.model_dump_json()) == settings


def test_published_defaults() -> None:
    settings = VectorPoseSettings()
    assert (settings.crop.side, settings.crop.scale, settings.crop.element) == (
        96,
        (0.5, 1.5),
        "any",
    )
    assert (settings.head, settings.dropout, settings.restoration) == (
        "pooled",
        0.2,
        "predict_boundary",
    )
    assert (settings.cosine, settings.loss, settings.axis) == (0, "l1", "image")


def test_settings_that_learn_nothing_are_refused() -> None:
    with pytest.raises(ValidationError, match="neither vectors nor a restoration"):
        VectorPoseSettings(vectors=False, restoration="none")


def test_a_share_of_the_crops_stays_as_it_lies() -> None:
    task = _task(turned=0.5)
    rng = np.random.default_rng(0)
    elements = [task.draw(SUBJECTS, rng).record.element for _ in range(400)]
    expected = task.settings.most_likely_orientation
    assert expected == pytest.approx(0.5 + 0.5 / 48)
    # Four standard deviations of a share of 400.
    assert np.mean(np.array(elements) == 0) == pytest.approx(expected, abs=0.1)
    assert len(set(elements)) > 40
    assert VectorPoseSettings().most_likely_orientation == pytest.approx(1 / 48)
