"""``mrissl weights``: what is imported is listed and verified, and what is wrong is said once."""

import json
import re

import pytest

torch = pytest.importorskip("torch")
safetensors_torch = pytest.importorskip("safetensors.torch")

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
    assert verified.pop("checksum") == "fits"
    assert verified == facts
    assert re.search(r"^published +no$", run("weights", "verify", "net").out, re.M)
    assert str(tmp_path) not in ran.out
    listed = run("weights", "list").out
    assert "net" in listed
    assert "16 features, width 8, depth 2" in listed
    assert "steps, begun from other weights" in listed, "of those that ship"


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
    assert {**facts, "tensors": verified["tensors"], "checksum": "fits"} == verified
    assert "# Model card: scratch" in (tmp_path / "net.md").read_text(encoding="utf-8")
    again = run("weights", *words)
    assert again.code == 2
    assert "there already" in again.err


def test_a_file_that_cannot_be_read_is_in_the_list_with_its_reason(tmp_path, run):
    file = json.loads(run("weights", "import", saved(tmp_path / "net.pth", state()), "--json").out)
    library = tmp_path / "data" / "weights"
    (library / "broken.safetensors").write_bytes(b"nonsense")
    ran = run("weights", "list", "--json")
    assert list(json.loads(ran.out)["unreadable"]) == ["broken"]
    ran = run("weights", "list")
    assert "broken cannot be read" in ran.err
    assert file["name"] in ran.out
    content = bytearray((library / "net.safetensors").read_bytes())
    content[-1] ^= 1
    (library / "net.safetensors").write_bytes(content)
    ran = run("weights", "verify", "net")
    assert ran.code == 2
    assert "not those that were written" in ran.err


def test_of_a_file_without_a_checksum_nothing_is_known(tmp_path, run):
    path = tmp_path / "old.safetensors"
    card = {"method": "x", "origin": {"published": "anatomix", "licence": "MIT"}}
    metadata = {"napari-mrissl": json.dumps(card)}
    safetensors_torch.save_file(dict(state()), path, metadata)
    facts = json.loads(run("weights", "verify", path, "--json").out)
    assert facts["checksum"] == "not known"
    assert "published" not in facts
    assert "licence" not in facts


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
