"""Agents fly as they should, and their flights become datasets and exports."""

import numpy as np
import pytest
from peers import environment_with, told_by
from slice_networks import tokenizer_file

from napari_mrissl.errors import MrisslError
from napari_mrissl.evaluation.navigation import plane_benchmark
from napari_mrissl.evaluation.navigation.plane_benchmark import PlaneSettings
from napari_mrissl.trajectories import Dataset
from napari_mrissl.trajectories.exchange import formats
from napari_mrissl.trajectories.frames import Scans

pytest.importorskip("gymnasium")
from napari_mrissl.environments import agents
from napari_mrissl.environments.slice_plane import SlicePlane

SIZE = 16


def test_who_knows_the_way_gets_there_and_chance_does_not(heads):
    env = SlicePlane(SIZE, scenes=heads)
    ways = [agents.fly(env, agents.knowing(env), scene=n) for n in range(3)]
    chances = [agents.fly(env, agents.at_random(n), scene=n) for n in range(3)]
    for way, chance in zip(ways, chances, strict=True):
        assert way.there
        assert not chance.there
        assert way.away_mm < 0.1
        assert len(chance.rows) == 41
        assert way.reward > chance.reward
    again = agents.fly(env, agents.at_random(1), scene=1)
    np.testing.assert_array_equal(again.rows, chances[1].rows)


def test_flights_of_agents_are_stored_and_exported(heads, tmp_path):
    env = SlicePlane(SIZE, scenes=heads)
    dataset = Dataset.create(tmp_path / "flights", 8.0)
    outcomes = [agents.fly(env, agents.knowing(env), scene=n) for n in (0, 2)]
    for one in outcomes:
        dataset.append(one.flight(env, policy="knowing"), task="find the plane")
    for number, one in enumerate(outcomes):
        np.testing.assert_allclose(dataset.table(number)["pose"], one.rows, atol=1e-12)
    h5py = pytest.importorskip("h5py")
    scans = Scans([heads[n]().volume for n in (0, 2)])
    out = formats.export("minari", dataset, tmp_path / "out", SIZE, scans=scans)
    with h5py.File(out / "mrissl" / "flights-v0" / "data" / "main_data.hdf5") as file:
        for number, one in enumerate(outcomes):
            # It ends beside the plane, so that the way to the end is about the same.
            assert file[f"episode_{number}/rewards"][:].sum() == pytest.approx(one.reward, abs=0.2)


def test_the_policy_of_the_benchmark_flies_as_it_does_there(tmp_path):
    place = tokenizer_file(tmp_path / "run")
    settings = PlaneSettings(heads=2, each=1, test=1, steps=30, flight=6)
    (reached, *_) = plane_benchmark.compare(place, tmp_path / "plane", settings)
    agent, parameters = agents.learned(tmp_path / "plane", place)
    head = plane_benchmark.displaced_head(settings.seed, plane_benchmark._HELD_OUT)
    from napari_mrissl.environments.scenes import Scene
    from napari_mrissl.evaluation.navigation.demonstrations import start_of

    scene = Scene(head.volume, head.target, start_of(head.volume), head.middle)
    env = SlicePlane(scenes=[lambda: scene], steps=settings.flight, **parameters)
    outcome = agents.fly(env, agent)
    assert len(outcome.rows) - 1 == reached.steps
    assert outcome.away_mm == pytest.approx(reached.mm, abs=1e-3)
    assert outcome.away_degrees == pytest.approx(reached.degrees, abs=1e-3)
    other = tokenizer_file(tmp_path / "other", seed=1)
    with pytest.raises(MrisslError, match="other weights"):
        agents.learned(tmp_path / "plane", other)


@pytest.fixture
def minari():
    from pathlib import Path

    checkout = Path(__file__).parents[2]
    yield from environment_with(
        "MRISSL_MINARI", "minari[hdf5,create]==0.5.4", "pillow", f"{checkout}[gym]"
    )


@pytest.mark.slow
@pytest.mark.timeout(4000)
def test_minari_collects_flights_and_makes_the_environment_again(tmp_path, minari):
    import napari_mrissl

    source = str(next(iter(napari_mrissl.__path__)))
    said = told_by(
        minari,
        "minari_collecting.py",
        MINARI_DATASETS_PATH=str(tmp_path),
        PYTHONPATH=source.removesuffix("napari_mrissl"),
    )
    assert said["episodes"] == 3
    assert said["steps"] >= 9
    assert said["away_mm"] < 0.5
