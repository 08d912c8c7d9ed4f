import json
import os
import resource
import shutil
from types import SimpleNamespace

import numpy as np
import pytest

from napari_mrissl.errors import MrisslError
from napari_mrissl.networks import weights
from napari_mrissl.training import checkpoints

torch = pytest.importorskip("torch")


def tensors(step, size=64):
    """Groups whose every number says which step they are of."""
    return {
        "weights": {
            "backbone.weight": torch.full((size, 3), float(step)),
            "backbone.half": torch.full((2,), step, dtype=torch.bfloat16),
            "scalar": torch.tensor(float(step), dtype=torch.float64),
        },
        "optimizer": {"m/backbone.weight": torch.full((size, 3), -float(step))},
    }


def save(run, step, *, best=False, keep=2, size=64):
    plain = {"step": step, "generator": list(range(5))}
    return checkpoints.save(run.folder, step, tensors(step, size), plain, best=best, keep=keep)


def assert_is(checkpoint, step, size=64):
    found, plain = checkpoint.load()
    assert plain == {"step": step, "generator": list(range(5))}
    wanted = tensors(step, size)
    assert found.keys() == wanted.keys()
    for group, state in wanted.items():
        assert found[group].keys() == state.keys()
        for name, tensor in state.items():
            assert found[group][name].dtype == tensor.dtype
            assert torch.equal(found[group][name], tensor)


def steps(run):
    return sorted(int(path.name[5:]) for path in (run.folder / "checkpoints").iterdir())


def top(run):
    state, card = weights.load(run.folder / "weights.safetensors")
    assert float(state["scalar"]) == card["step"]
    return card["step"]


def test_what_is_saved_is_loaded(run):
    made = save(run, 7)
    found, warnings = checkpoints.newest(run.folder)
    assert found == made
    assert warnings == []
    assert_is(found, 7)
    assert top(run) == 7
    assert run.state().checkpoint == 7


def test_no_checkpoint_yet(run):
    assert checkpoints.newest(run.folder) == (None, [])
    assert checkpoints.best(run.folder) == (None, [])


def test_the_newest_and_the_best_stay(run):
    for step in range(10, 80, 10):
        save(run, step, best=step in (10, 30), keep=3)
        assert top(run) == step
    assert steps(run) == [30, 50, 60, 70]
    assert_is(checkpoints.best(run.folder)[0], 30)


def test_averaged_weights_are_the_ones_to_use(run):
    groups = {**tensors(5), "average": tensors(4)["weights"]}
    checkpoints.save(run.folder, 5, groups, {}, best=False, keep=2)
    state, card = weights.load(run.folder / "weights.safetensors")
    assert float(state["scalar"]) == 4
    assert (card["group"], card["step"]) == ("average", 5)


def test_the_card_of_the_weights_knows_the_run(run):
    save(run, 5)
    card = weights.read_card(run.folder / "weights.safetensors")
    assert card["run"] == run.identity.uuid
    assert card["method"] == "scratch"
    assert card["preprocessing"] == {"kind": "percentile", "low": 0.5, "high": 99.5}


def test_a_step_that_was_reached_again_stays_as_it_is(run):
    first = save(run, 5)
    before = {p: p.read_bytes() for p in first.folder.iterdir()}
    assert save(run, 5) == first
    assert {p: p.read_bytes() for p in first.folder.iterdir()} == before


def test_other_preprocessing_is_refused(run):
    made = save(run, 5)
    path = run.folder / "settings.json"
    content = json.loads(path.read_text("utf-8"))
    content["data"]["preprocessing"]["high"] = 90.0
    path.write_text(json.dumps(content), "utf-8")
    with pytest.raises(MrisslError, match=r"preprocessing high 99\.5.*expected high 90"):
        made.load()


def test_a_damaged_newest_is_passed_over_and_replaced(run):
    for step in (1, 2):
        save(run, step)
    path = run.folder / "checkpoints" / "step_000000002" / "optimizer.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    found, warnings = checkpoints.newest(run.folder)
    assert_is(found, 1)
    assert len(warnings) == 1
    assert "step 2" in warnings[0]
    assert "optimizer.safetensors does not match its checksum" in warnings[0]
    checkpoints.recover(run.folder)
    assert top(run) == 1
    save(run, 2)
    assert checkpoints.newest(run.folder)[1] == []


def test_two_whole_ones_stay_beside_a_damaged_one(run):
    for step in (10, 20, 30):
        save(run, step, keep=2)
    (run.folder / "checkpoints" / "step_000000030" / "state.json").unlink()
    # Taken up from 20, stopped at 25.
    save(run, 25, keep=2)
    assert steps(run) == [20, 25]


def flip(folder, generator):
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    sizes = np.array([path.stat().st_size for path in files])
    # Half of them by size, half by file, so that the small ones have their share.
    share = 0.5 * sizes / sizes.sum() + 0.5 / len(files)
    path = files[generator.choice(len(files), p=share)]
    content = bytearray(path.read_bytes())
    content[int(generator.integers(len(content)))] ^= 1 << int(generator.integers(8))
    path.write_bytes(content)
    return path


def bits_flipped(run, times):
    generator = np.random.default_rng(5)
    for step in (1, 2):
        save(run, step)
    newest = run.folder / "checkpoints" / "step_000000002"
    good = run.folder.parent / "good"
    shutil.copytree(newest, good)
    for _ in range(times):
        path = flip(newest, generator)
        found, warnings = checkpoints.newest(run.folder)
        assert found is not None, path.name
        assert (found.step, len(warnings)) == (1, 1), path.name
        shutil.copyfile(good / path.name, path)
    assert_is(checkpoints.newest(run.folder)[0], 2)


def test_every_flipped_bit_is_found(run):
    bits_flipped(run, 40)


@pytest.mark.slow
def test_every_flipped_bit_is_found_in_full(run):
    bits_flipped(run, 200)


def test_a_file_that_cannot_grow_leaves_the_checkpoint_before(run):
    size = 1 << 18
    save(run, 1, size=size)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, hard))
        with pytest.raises(MrisslError, match=r"could not be written \(File too large"):
            save(run, 2, size=size)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert_is(checkpoints.newest(run.folder)[0], 1, size)
    assert top(run) == 1
    assert not list(run.folder.rglob("*.tmp"))


def test_too_little_disk_is_said_before_training(run, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=21 << 20))
    checkpoints.check_space(run.folder, 9 << 20)
    with pytest.raises(MrisslError, match=r"21\.0 MiB free.*22\.0 MiB.*checkpoint has 10\.0 MiB"):
        checkpoints.check_space(run.folder, 10 << 20)


def test_a_nearly_full_disk_is_not_filled(run, monkeypatch):
    save(run, 1)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    with pytest.raises(MrisslError, match=r"0\.0 MiB free"):
        save(run, 2)
    assert steps(run) == [1]


def test_a_folder_that_is_gone_is_said(run):
    shutil.rmtree(run.folder)
    with pytest.raises(MrisslError, match="No such file"):
        save(run, 1)
    assert not run.folder.exists()


def test_weights_where_files_cannot_have_two_names(run, monkeypatch):
    def link(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)
    for step in (1, 2):
        save(run, step)
        assert top(run) == step
