"""``mrissl weights``: what is imported is listed and verified, and what is wrong is said once."""

import json

import pytest

torch = pytest.importorskip("torch")

from napari_mrissl.networks import weight_files, weights  # noqa: E402
from tests.evaluation.unet_runs import unet_run  # noqa: E402
from tests.networks.foreign_weights import saved, state  # noqa: E402


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("MRISSL_DATA_DIR", str(tmp_path / "data"))


def names(run):
    return [one["name"] for one in json.loads(run("weights", "list", "--json").out)["weights"]]


def test_import_list_and_verify_agree(tmp_path, run):
    before = names(run)
    path = saved(tmp_path / "net.pth", state())
    ran = run("weights", "import", path, "--json")
    assert ran.code == 0, ran.err
    facts = json.loads(ran.out)
    assert facts["name"] == "net"
    assert (facts["width"], facts["depth"], facts["out_channels"]) == (8, 2, 16)
    assert names(run) == [*before, "net"]
    verified = json.loads(run("weights", "verify", "net", "--json").out)
    assert verified.pop("tensors") == len(state())
    assert verified == facts
    assert str(tmp_path) not in ran.out
    listed = run("weights", "list").out
    assert "net" in listed
    assert "16 features, width 8, depth 2" in listed


def test_a_published_file_is_said_to_be_one(tmp_path, run, monkeypatch):
    path = saved(tmp_path / "net.pth", state())
    plain = json.loads(run("weights", "verify", path, "--json").out)
    assert plain["published"] is None
    monkeypatch.setitem(weight_files.PUBLISHED, plain["git_blob"], "anatomix")
    ran = run("weights", "verify", path)
    assert ran.code == 0
    assert "anatomix" in ran.out
    assert "MIT" in ran.out
    facts = json.loads(run("weights", "import", path, "--json").out)
    assert (facts["name"], facts["published"]) == ("anatomix", "anatomix")
    assert names(run)[-1] == "anatomix"


def test_the_network_of_a_run_is_exported_and_verified(tmp_path, run):
    made = unet_run(tmp_path / "run")
    words = ["export", made.folder, "--out", tmp_path / "net.safetensors", "--half", "--json"]
    ran = run("weights", *words)
    assert ran.code == 0, ran.err
    facts = json.loads(ran.out)
    assert (facts["method"], facts["steps"], facts["licence"]) == ("scratch", 100, "BSD-3-Clause")
    verified = json.loads(run("weights", "verify", tmp_path / "net.safetensors", "--json").out)
    assert {**facts, "tensors": verified["tensors"]} == verified
    assert "# Model card: scratch" in (tmp_path / "net.md").read_text(encoding="utf-8")
    again = run("weights", *words)
    assert again.code == 2
    assert "there already" in again.err


def test_what_is_wrong_is_one_sentence_and_changes_nothing(tmp_path, run):
    before = names(run)
    odd = saved(tmp_path / "odd.pth", {"a": torch.ones(2)})
    torch_file = saved(tmp_path / "net.pth", state())
    other = tmp_path / "else.safetensors"
    weights.save(other, {"a": torch.ones(2)}, {"method": "x"})
    for words in (
        ["import", odd],
        ["import", tmp_path / "nothing.pth"],
        ["import", torch_file, "--name", "default"],
        ["verify", odd],
        ["verify", other],
        ["verify", "nothing"],
        ["verify", "default" if not before else "nothing"],
    ):
        ran = run("weights", *words)
        assert ran.code == 2, words
        assert ran.out == ""
        assert ran.err.count("\n") == 1
    assert names(run) == before
