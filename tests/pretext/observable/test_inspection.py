"""A network at work on a scan: one that knows where views are, and one that was never trained."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
import torch

from napari_mrissl.errors import MrisslError
from napari_mrissl.evaluation.observable import chance, measure
from napari_mrissl.features.cancel import Cancelled
from napari_mrissl.networks import weights
from napari_mrissl.pretext.observable.inspection import Inspector, ViewFeatures, correlations
from napari_mrissl.pretext.observable.network import ObservableNetwork
from napari_mrissl.pretext.observable.settings import ObservableSettings
from tests.pretext.painted import blob

SETTINGS = ObservableSettings.model_validate(
    {
        "backbone": {"width": 8, "depth": 3},
        "view": {"side": 16, "edge_mm": 30.0, "body": 0.0},
        "width": 4,
    }
)
_WAVE = 0.004


def _network(settings: ObservableSettings = SETTINGS) -> ObservableNetwork:
    torch.manual_seed(0)
    return ObservableNetwork(settings)


class _Knowing(Inspector):
    """Its features are positions, exactly: of views, and voxel by voxel of what they show."""

    def __init__(self, settings: ObservableSettings = SETTINGS) -> None:
        network = _network(settings)
        known = torch.zeros(3, 4, dtype=torch.float64)
        known[:, :3] = torch.eye(3)
        network.gap_head.axis.weight = torch.nn.Parameter(known)
        network.double()
        if settings.vector_head == "potential":
            network.vector_head.place.weight = torch.nn.Parameter(known)
            network.vector_head.place.bias = torch.nn.Parameter(torch.ones(3).double())
        network.chunk_encoder = torch.nn.Identity()
        super().__init__(settings, network)

    def features(self, scan, views, *, dense=False, lagging=False, progress=None):
        summaries = torch.zeros(len(views), 4, dtype=torch.float64)
        summaries[:, :3] = torch.from_numpy(views.positions)
        # Waves so long that cosines between voxels fall with their distance.
        voxel = views.edges_mm / np.array(views.voxels)[::-1]
        maps = []
        for center in views.centers_mm:
            steps = np.indices(views.voxels)[::-1].reshape(3, -1).T + 0.5
            places = center - views.edges_mm / 2 + steps * voxel
            waves = np.concatenate([np.cos(_WAVE * places), np.sin(_WAVE * places)], axis=1)
            maps.append(waves.T.reshape(6, *views.voxels))
        return ViewFeatures(views, summaries, summaries, torch.from_numpy(np.stack(maps)))


def test_a_network_that_knows_errs_by_nothing_and_faces_every_chunk() -> None:
    scan, knowing = blob(0), _Knowing()
    drawn = [knowing.draw(scan, 5, seed) for seed in range(4)]
    numbers = measure(knowing, scan, drawn)
    for name in ("mae_mm", "norm_mae_mm", "vector_mae_mm", "route_end_error_mm"):
        assert numbers[name] == pytest.approx(0, abs=1e-9), name
    assert numbers["spearman"] == pytest.approx(1)
    assert numbers["chunk_accuracy"] == numbers["distant_chunk_accuracy"] == 1
    assert numbers["chunk_accuracy_separate"] == numbers["chunk_accuracy_sharing"] == 1
    assert numbers["loop_drift_mm"] is None
    beside = chance(drawn, numbers)
    assert {name.removeprefix("chance_") for name in beside} == {
        name for name, value in numbers.items() if value is not None
    }
    assert beside["chance_mae_mm"] > 5
    for name in ("chunk_accuracy", "chunk_accuracy_separate", "chunk_accuracy_sharing"):
        assert beside[f"chance_{name}"] == pytest.approx(1 / 4)
    # Chunks of one view are nearer to each other: knowing places does not answer this.
    assert numbers["chunk_accuracy_of_six"] < 0.5


def test_what_it_knows_is_shown_as_it_is() -> None:
    scan, knowing = blob(1), _Knowing()
    views = knowing.draw(scan, 7, 3)
    found = knowing.features(scan, views, dense=True)
    matrix = knowing.matrix(found)
    np.testing.assert_allclose(matrix.predicted_mm, views.gaps_mm, atol=1e-9)
    assert matrix.consistency.triangle_violations == 0
    np.testing.assert_allclose(matrix.layout("norm").points_mm, views.centers_mm, atol=1e-6)
    for one in knowing.routes(found)[:5]:
        np.testing.assert_allclose(one.predicted_world, one.true_world, atol=1e-6)
    for one in knowing.chunks(scan, found):
        assert one.adjacent_right
        assert one.distant_right
        middles = one.corners_world.mean(axis=1)
        # The scan is upright: cosines of the waves by distances in the world.
        expected = np.cos(_WAVE * (middles[:, None] - middles)).mean(axis=-1)
        np.testing.assert_allclose(one.similarity, expected, atol=1e-9)


def test_edges_may_drift_and_a_bias_shows_on_the_diagonal() -> None:
    scan = blob(0)
    edge = SETTINGS.model_copy(update={"vector_head": "edge", "bias": True})
    inspector = Inspector(edge, _network(edge))
    found = inspector.features(scan, inspector.draw(scan, 4))
    assert all(one.drift_mm is not None and one.drift_mm > 0 for one in inspector.routes(found))
    assert inspector.matrix(found).consistency.diagonal_mm > 0
    assert not inspector.matrix(found).closed
    plain = Inspector(SETTINGS, _network())
    found = plain.features(scan, plain.draw(scan, 4))
    assert plain.matrix(found).consistency.diagonal_mm == 0
    assert plain.matrix(found, "vectors").consistency.antisymmetry_mm == pytest.approx(0, abs=1e-9)
    assert plain.routes(found)[0].drift_mm is None


def test_views_are_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    scan, inspector = blob(0), Inspector(SETTINGS, _network())
    views = inspector.row(scan, 24)
    told: list[float] = []
    first = inspector.features(scan, views, progress=told.append)
    assert told == [0.0, 16 / 24, 1.0]
    monkeypatch.setattr(ObservableNetwork, "dense", None)
    again = inspector.features(scan, inspector.row(scan, 24))
    assert again is first
    assert inspector.matrix(again).predicted_mm.shape == (24, 24, 3)

    def stop(part: float) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        inspector.features(scan, inspector.row(scan, 3), progress=stop)


def test_maps_are_kept_of_the_last_views_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    scan, inspector = blob(0), Inspector(SETTINGS, _network())
    several = [inspector.draw(scan, 3, 0, number) for number in range(4)]
    maps = [weakref.ref(inspector.features(scan, one, dense=True).dense) for one in several]
    gc.collect()
    assert [found() is None for found in maps] == [True, True, True, False]
    # What else was seen of them is there still.
    monkeypatch.setattr(ObservableNetwork, "dense", None)
    for one in several:
        assert inspector.features(scan, one).gap.shape[0] == 3
    assert inspector.features(scan, several[-1], dense=True).dense is maps[-1]()


def test_answers_are_those_of_the_network_itself() -> None:
    scan, network = blob(2), _network()
    inspector = Inspector(SETTINGS, network)
    views = inspector.draw(scan, 3)
    from napari_mrissl.pretext.observable.views import cut

    images = torch.from_numpy(cut(scan, views))[None]
    with torch.no_grad():
        expected = network(images)
    found = inspector.features(scan, views)
    for head in ("gaps", "vectors"):
        np.testing.assert_allclose(
            inspector.matrix(found, head).predicted_mm,
            expected[head][0].numpy() * SETTINGS.scale_mm,
            atol=1e-3,
        )


def test_a_copy_that_lags_shows_in_later_views_alone() -> None:
    scan, network = blob(0), _network()
    with torch.no_grad():
        for weight in network.teacher.parameters():
            weight += 0.05 * torch.randn_like(weight)
    inspector = Inspector(SETTINGS, network)
    views = inspector.draw(scan, 20)
    own = inspector.features(scan, views)
    lagging = inspector.features(scan, views, lagging=True)
    torch.testing.assert_close(own.gap[0], lagging.gap[0])
    assert (own.gap[1:] - lagging.gap[1:]).abs().amax(dim=1).min() > 0


def test_grey_values_are_correlated_as_numpy_does() -> None:
    images = np.random.default_rng(0).random((4, 3, 4, 5)).astype(np.float32)
    np.testing.assert_allclose(
        correlations(list(images)), np.corrcoef(images.reshape(4, -1)), atol=1e-6
    )
    images[2] = 0.5
    assert not correlations(list(images))[2].any()


def test_weights_open_with_the_settings_of_their_card(tmp_path) -> None:
    network = _network()
    card = {"method": "observable", "task": SETTINGS.model_dump(mode="json")}
    weights.save(tmp_path / "weights.safetensors", network.state_dict(), card)
    before = torch.get_rng_state()
    opened = Inspector.open(tmp_path)
    assert torch.equal(before, torch.get_rng_state())
    scan = blob(0)
    views = opened.draw(scan, 3)
    mine = Inspector(SETTINGS, network)
    np.testing.assert_array_equal(
        opened.matrix(opened.features(scan, views)).predicted_mm,
        mine.matrix(mine.features(scan, views)).predicted_mm,
    )
    fresh = opened.untrained(7).matrix(opened.untrained(7).features(scan, views)).predicted_mm
    assert np.abs(fresh - mine.matrix(mine.features(scan, views)).predicted_mm).max() > 1e-3
    for wrong, said in (
        ({"method": "masked"}, "weights of masked"),
        ({"method": "observable", "task": {"views": 99}}, "settings in the card"),
        ({"method": "observable", "task": {}}, "not those of their card"),
    ):
        weights.save(tmp_path / "weights.safetensors", {"a": torch.zeros(1)}, wrong)
        with pytest.raises(MrisslError, match=said):
            Inspector.open(tmp_path)


def test_what_a_run_was_not_trained_for_is_refused() -> None:
    scan = blob(0)
    coarse = SETTINGS.model_copy(update={"chunks": False, "vectors": False, "routes": False})
    inspector = Inspector(coarse, _network(coarse))
    found = inspector.features(scan, inspector.draw(scan, 3), dense=True)
    with pytest.raises(MrisslError, match="predicts no vectors"):
        inspector.routes(found)
    with pytest.raises(MrisslError, match="compares no chunks"):
        inspector.chunks(scan, found)
    full = Inspector(SETTINGS, _network())
    with pytest.raises(MrisslError, match="without maps"):
        full.chunks(scan, full.features(scan, full.draw(scan, 3)))
    slabs = SETTINGS.model_copy(
        update={"view": SETTINGS.view.model_copy(update={"kind": "slab", "slab": 8})}
    )
    with pytest.raises(MrisslError, match="axial"):
        Inspector(slabs, _network()).row(scan, 4, axis=0)
