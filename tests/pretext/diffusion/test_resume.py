"""Runs of both methods: diffusion from a coordinate run, stopped or killed, goes on bit for bit."""

import pytest
import torch

from napari_mrissl.errors import MrisslError
from napari_mrissl.networks import weights
from napari_mrissl.networks.settings import BackboneSettings
from napari_mrissl.pretext.coordinates.body_axes import BodyAxes
from napari_mrissl.training import initial
from napari_mrissl.training.layout import WEIGHTS
from napari_mrissl.training.run import Run
from tests.pretext.coordinates.small import small_coordinates
from tests.pretext.diffusion.small import small_diffusion
from tests.pretext.navigation.test_resume import created, short, trained
from tests.training.killed import ROOT, check_killed
from tests.training.runs_of_toys import assert_same

# What trains is traced in other tests.
pytestmark = pytest.mark.untraced


@pytest.fixture(scope="module")
def coordinates(tmp_path_factory):
    folder = tmp_path_factory.mktemp("coordinates") / "run"
    return trained(folder, short(small_coordinates()))


def test_coordinates_go_on_bit_for_bit_and_their_card_keeps_the_axes(tmp_path, coordinates):
    settings = short(small_coordinates())
    trained(tmp_path / "run", settings, stopped=True)
    again = trained(tmp_path / "run", settings)
    assert_same(again, coordinates)
    _, card = weights.load(coordinates.folder / WEIGHTS)
    assert BodyAxes.from_plain(card["body_axes"]).scans == 3
    assert weights.read_card(again.folder / WEIGHTS)["body_axes"] == card["body_axes"]
    terms = coordinates.summary()["terms"]
    assert terms["distance"]["chance"] > 0
    assert terms["apart_mm"]["chance"] is None


def test_diffusion_begins_from_coordinates_and_goes_on_bit_for_bit(tmp_path, coordinates):
    """The network of coordinates is nowhere described: its shape comes with its weights."""
    plain = short(small_diffusion(joint=0.2, film=True))
    task = {name: value for name, value in plain.task.items() if name != "backbone"}
    settings = plain.model_copy(update={"task": task})
    unbroken = trained(tmp_path / "unbroken", settings, source=coordinates.folder)
    backbone = BackboneSettings.model_validate(unbroken.settings.task["backbone"])
    assert backbone.model_dump(exclude={"name"}) == coordinates.settings.task["backbone"]
    trained(tmp_path / "run", settings, stopped=True, source=coordinates.folder)
    assert_same(trained(tmp_path / "run", settings), unbroken)
    begun, _ = weights.load(coordinates.folder / WEIGHTS)
    ended, _ = weights.load(unbroken.folder / WEIGHTS)
    assert all(torch.equal(ended[name], tensor) for name, tensor in begun.items())
    terms = unbroken.summary()["terms"]
    assert terms["denoise"]["chance"] > 0
    assert terms["joint"]["chance"] > 0


def test_diffusion_that_is_killed_ends_as_if_nothing_had_been(tmp_path, coordinates, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    settings = small_diffusion()
    settings = settings.model_copy(
        update={
            "optimisation": settings.optimisation.model_copy(update={"steps": 15}),
            "checkpoint": settings.checkpoint.model_copy(update={"every": 3, "validate_every": 7}),
        }
    )
    unbroken, run = (
        created(tmp_path / name, settings, coordinates.folder) for name in ("unbroken", "killed")
    )
    check_killed(run, unbroken, 2, ["-m", "tests.pretext.diffusion.child"])


def test_without_coordinates_a_run_begins_from_nothing(tmp_path, coordinates):
    alone = short(small_diffusion(coordinates="none"))
    initial.check_needed(alone)
    run = trained(tmp_path / "run", alone)
    ended, _ = weights.load(run.folder / WEIGHTS)
    assert {name.partition(".")[0] for name in ended} == {"denoiser"}
    with pytest.raises(MrisslError, match="uses no other network"):
        initial.begun_from(alone, *initial.weights_file(coordinates.folder))


def test_diffusion_needs_coordinates(tmp_path, coordinates):
    settings = short(small_diffusion())
    with pytest.raises(MrisslError, match=r"no weights to begin from.*coordinates.*--init"):
        initial.check_needed(settings)
    with pytest.raises(MrisslError, match="no weights to begin from"):
        initial.of(Run.create(tmp_path / "run", settings))
    other = tmp_path / "other.safetensors"
    weights.save(other, {"backbone.x": torch.zeros(1)}, {"method": "masked", "task": {}})
    with pytest.raises(MrisslError, match=r"method masked.*a run of the method coordinates"):
        initial.begun_from(settings, *initial.weights_file(other))


def test_half_a_network_of_coordinates_is_refused(tmp_path, coordinates):
    """Its head would stay as it was drawn, and no step would change it."""
    state, card = weights.load(coordinates.folder / WEIGHTS)
    half = {n: t for n, t in state.items() if n.startswith("backbone.")}
    weights.save(tmp_path / "half.safetensors", half, card)
    with pytest.raises(MrisslError, match=r"have no coordinates\."):
        trained(tmp_path / "run", short(small_diffusion()), source=tmp_path / "half.safetensors")
