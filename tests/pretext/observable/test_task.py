"""The task: samples by their key alone, chance by a predictor that knows nothing, shuffling."""

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from napari_mrissl.pretext.observable.ablation import ARMS
from napari_mrissl.pretext.observable.gaps import gap_matrix, off_diagonal
from napari_mrissl.pretext.observable.settings import INFO, ObservableSettings
from napari_mrissl.pretext.observable.task import Observable
from napari_mrissl.pretext.observable.views import Views
from napari_mrissl.pretext.task import SampleKey
from napari_mrissl.training.batches import made, stacked
from napari_mrissl.training.building import settings_for
from napari_mrissl.training.collective import Alone
from tests.pretext.painted import Blobs

SETTINGS = {
    "backbone": {"width": 8, "depth": 3},
    "view": {"side": 16, "edge_mm": 40.0},
    "width": 8,
    "vector_head": "edge",
}


def _task(**changes):
    return Observable(ObservableSettings.model_validate({**SETTINGS, **changes}))


class _Silent(torch.nn.Module):
    """Says that no views are apart, and of chunks nothing."""

    def forward(self, image, starts=None, step=None):
        many, views = image.shape[:2]
        zero = torch.zeros((many, views, views, 3))
        pairs = 0 if starts is None else starts.shape[1]
        return {"gaps": zero, "vectors": zero, "chunks": torch.ones((many, pairs, 4, 2, 1, 1, 1))}


def _batch(task, count=32, *, shuffled=False):
    keys = [SampleKey(3, 5, number) for number in range(count)]
    samples = [made(task, Blobs(), key, count, shuffled=shuffled) for key in keys]
    arrays = stacked(samples, keys).arrays
    return task.prepare({n: torch.from_numpy(a) for n, a in arrays.items()}, keys), samples


def test_a_sample_follows_from_its_key_and_its_record_says_where():
    task = _task()
    first, again = (t.sample(Blobs(), SampleKey(0, 4, 2)) for t in (task, _task()))
    for name, array in first.arrays.items():
        np.testing.assert_array_equal(array, again.arrays[name])
    other = task.sample(Blobs(), SampleKey(0, 4, 3))
    assert not np.array_equal(first.arrays["image"], other.arrays["image"])
    views = Views.from_plain(first.record["views"])
    np.testing.assert_allclose(views.positions, first.arrays["positions"], rtol=1e-6)
    assert first.arrays["image"].shape == (3, 16, 16, 16)
    assert first.arrays["starts"].shape == (3, 4, 3)
    assert first.arrays["image"].dtype == first.arrays["positions"].dtype == np.float32


def test_shuffled_samples_are_told_of_the_places_of_others():
    task = _task()
    batch, samples = _batch(task, 6, shuffled=True)
    true, _ = _batch(task, 6)
    torch.testing.assert_close(batch["image"], true["image"])
    for number, sample in enumerate(samples):
        other = sample.record["targets of"]
        assert other != number
        for name in ("positions", "starts", "kept"):
            assert torch.equal(batch[name][number], true[name][other])


def test_chance_is_what_saying_nothing_costs():
    """Measured by the loss itself, on other draws; of lengths the mean is one better than 0."""
    task = _task()
    chance = task.chance(Blobs(), 0)
    batch, _ = _batch(task, 96)
    terms = task.losses(_Silent(), batch, Alone())
    measured = {name: float(t.total) / float(t.count) for name, t in terms.items()}
    for name in ("axis", "vector", "route", "gap_mm", "vector_mm"):
        assert measured[name] == pytest.approx(chance[name], rel=0.12), name
    assert chance["norm"] < measured["norm"]
    assert chance["chunk_error"] == pytest.approx(3 / 4)
    # The same features everywhere: the sum of both terms is what chance says.
    assert measured["adjacent"] + measured["distant"] == pytest.approx(
        chance["adjacent"] + chance["distant"]
    )
    assert measured["chunk_error"] == 1, "a tie is no answer"
    assert measured["loop"] == measured["antisymmetry"] == 0
    assert {n for n, t in terms.items() if not t.weight} == {"gap_mm", "vector_mm", "chunk_error"}


def test_the_best_constant_length_is_by_hand():
    task = _task(view={"side": 16, "edge_mm": 40.0, "body": 0.0})
    chance = task.chance(Blobs(1), 0)
    scan = Blobs(1).scan(0)
    room = np.sort(np.array(scan.volume.shape) * scan.volume.spacing) - 40
    rng = np.random.default_rng(9)
    gaps = gap_matrix(rng.random((20_000, 3, 3)) * room)
    lengths = np.linalg.norm(gaps, axis=-1)[:, off_diagonal(3)]
    assert chance["norm"] == pytest.approx(lengths.var() / 1e4 * 2 / 3, rel=0.1)
    # L^2 / 6 of each axis, the diagonal among the cells.
    assert chance["axis"] == pytest.approx((room**2).mean() / 6 / 1e4 * 2 / 3, rel=0.06)
    assert chance["gap_mm"] == pytest.approx(room.mean() / 3, rel=0.05)


@pytest.mark.parametrize("arm", ARMS)
def test_arms_have_the_terms_of_their_tasks(arm):
    task = _task(**ARMS[arm])
    torch.manual_seed(0)
    network = task.network().train()
    batch, _ = _batch(task, 2)
    terms = task.losses(network, batch, Alone())
    trained = {name for name, term in terms.items() if term.weight}
    expected = {"axis", "norm"}
    if arm != "coarse":
        expected |= {"adjacent", "distant"}
    if arm.startswith(("vectors", "routes")):
        expected |= {"vector"}
    if arm.startswith("routes"):
        expected |= {"route"}
    if arm == "routes_edge":
        expected |= {"loop", "antisymmetry"}
    assert trained == expected
    sum(t.total / t.count for t in terms.values() if t.weight).backward()
    lacking = [n for n, p in network.named_parameters() if p.requires_grad and p.grad is None]
    # No parameter is without a gradient.
    assert lacking == []


def test_slabs_go_through_the_network_too():
    view = {"kind": "slab", "side": 16, "edge_mm": 90.0, "slab": 8, "body": 0.0}
    task = _task(view=view, views=2)
    batch, _ = _batch(task, 2)
    assert batch["image"].shape == (2, 2, 8, 16, 16)
    terms = task.losses(task.network().eval(), batch, Alone())
    assert all(np.isfinite(float(term.total.detach())) for term in terms.values())


def test_pictures_are_the_matrices():
    task = _task()
    batch, _ = _batch(task, 2)
    (shown,) = task.show(task.network().eval(), batch)
    assert shown.tiles.shape == (4, 48, 48)
    true = np.linalg.norm(gap_matrix(batch["positions"].numpy()), axis=-1)
    np.testing.assert_allclose(shown.tiles[0, 8::16, 8::16], true[0] / true.max(), rtol=1e-5)
    assert shown.captions[0] == f"true, up to {true[0].max() * 100:.0f} mm"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"view": {"side": 20}, "backbone": {"depth": 4}}, "multiple of 8"),
        ({"vectors": False}, "routes are walked by vectors"),
        ({"view": {"kind": "slab", "side": 16, "slab": 6}}, "views of 6 voxels"),
        ({"backbone": {"name": "mednext", "width": 8, "depth": 5}, "view": {"side": 16}}, "32"),
    ],
)
def test_settings_that_do_not_fit_are_refused(changes, said):
    with pytest.raises(ValidationError, match=said):
        ObservableSettings.model_validate({**SETTINGS, **changes})


def test_the_preset_for_large_machines_is_as_published():
    settings = ObservableSettings.model_validate(settings_for(INFO.name, None, "gpu").task)
    assert (settings.views, settings.view.side, settings.chunk_voxels) == (3, 64, (48, 48, 48))
    assert (settings.grad_views, settings.vector_head) == ("first", "potential")
    assert settings.backbone.width == 32
