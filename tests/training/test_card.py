import pytest

from napari_mrissl.networks import weights
from napari_mrissl.training import checkpoints
from napari_mrissl.training.events import EventWriter
from napari_mrissl.training.run import Run
from napari_mrissl.training.settings import RunSettings

RECORDS = [
    {"identity": "a" * 64, "subject": "subject-001"},
    {"identity": "b" * 64, "subject": "subject-001"},
    {"identity": "c" * 64, "subject": "subject-002", "split": "validation"},
    {"identity": "d" * 64, "subject": "<b>[x](y)"},
]


@pytest.fixture
def trained(tmp_path):
    """A run on scans that did one of 100 steps."""
    settings = RunSettings.model_validate(
        {
            "method": "scratch",
            "data": {"kind": "scans", "subjects": RECORDS},
            "optimisation": {"steps": 100},
            "shuffled": True,
        }
    )
    run = Run.create(tmp_path / "run", settings, notes=["a | b", "two\nlines"])
    with run.claim(), EventWriter(run.folder) as events:
        events.chance({"loss": 0.7})
        events.step(1, 0.5, {"loss": 0.25})
        events.validation(1, 0.6, {"loss": 0.625})
        events.warning("one scan is very small")
        events.state("stopped")
    return run


def test_the_card_says_what_was_done(trained):
    card = (trained.folder / "model_card.md").read_text("utf-8")
    assert "| loss | 0.25 | 0.25 | 0.7 | 0.625 | 0.625 |" in card
    for line in (
        "- Steps done: 1 of 100",
        "- Targets shuffled (null control): yes",
        "- Train subjects: 2",
        "- Train scans: 3",
        "- Validation subjects: 1",
        f"- subject-001 (train): `{'a' * 64}`",
        f"- subject-002 (validation): `{'c' * 64}`",
        "- one scan is very small",
    ):
        assert line in card.splitlines()


def test_texts_of_others_are_no_markdown(trained):
    lines = (trained.folder / "model_card.md").read_text("utf-8").splitlines()
    assert f"- \\<b\\>\\[x\\](y) (train): `{'d' * 64}`" in lines
    assert "- a \\| b" in lines
    assert "- two?lines" in lines


def test_the_card_in_the_weights_says_the_same(trained):
    torch = pytest.importorskip("torch")
    groups = {"weights": {"a": torch.ones(1)}}
    checkpoints.save(trained.folder, 1, groups, {}, best=True, keep=2)
    card = weights.read_card(trained.folder / "weights.safetensors")
    assert card["subjects"] == {
        "train subjects": 2,
        "train scans": 3,
        "validation subjects": 1,
        "validation scans": 1,
    }
    assert (card["step"], card["shuffled"], card["run"]) == (1, True, trained.identity.uuid)
    # By counts only: whose scans they are stays in the run.
    assert "a" * 64 not in str(card)
