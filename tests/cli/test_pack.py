"""``mrissl pack``, and the other commands that are given a pack."""

import json
import os
from pathlib import Path

import fsspec
import pytest

pytest.importorskip("zarr")

from napari_mrissl.packs.shards import shard_of
from tests.training.cohorts import voxels, write_scan


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    for number in range(3):
        write_scan(tmp_path / "scans" / f"Doe_{number}.nii.gz", voxels(number, shape=(20, 22, 24)))
    return tmp_path / "scans"


def test_a_pack_is_made_described_and_checked(run, scans, tmp_path) -> None:
    made = run("pack", scans, "--out", tmp_path / "pack", "--json")
    assert made.code == 0
    said = json.loads(made.out)
    assert (said["scans"], said["added"], said["subjects"], said["copies"]) == (3, 3, 3, 0)
    assert said["decoded_bytes"] == 3 * 20 * 22 * 24 * 2
    assert said["stored_bytes"] == sum(
        path.stat().st_size for path in (tmp_path / "pack").rglob("c.0.0.0")
    )
    again = json.loads(run("pack", scans, "--out", tmp_path / "pack", "--json").out)
    assert again == said | {"added": 0}
    described = json.loads(run("info", tmp_path / "pack", "--json").out)
    of_the_packing = ("added", "copies", "left_out")
    assert described == {k: v for k, v in said.items() if k not in of_the_packing}
    checked = json.loads(run("pack", "--check", tmp_path / "pack", "--json").out)
    assert checked == {"whole": True, "volumes": 3, "read_bytes": said["stored_bytes"]}
    lines = run("pack", scans, "--out", tmp_path / "pack").out.splitlines()
    assert lines[0].split() == ["pack", said["pack"]]
    assert lines[-1].split()[0] == "decoded"


def test_scans_that_cannot_be_read_are_left_out_and_a_script_learns_of_it(run, scans, tmp_path):
    (scans / "bad.nii.gz").write_text("no scan", "utf-8")
    ran = run("pack", scans, "--out", tmp_path / "pack", "--json")
    assert ran.code == 2
    said = json.loads(ran.out)
    assert (said["added"], said["left_out"]) == (3, 1)
    assert "left out: bad.nii.gz" in ran.err
    assert ran.err.splitlines()[-1].startswith("mrissl: 1 of the scans")
    (scans / "bad.nii.gz").unlink()
    again = run("pack", scans, "--out", tmp_path / "pack", "--json")
    assert (again.code, json.loads(again.out)["left_out"]) == (0, 0)


def test_the_check_names_each_damaged_volume(run, refused, scans, tmp_path) -> None:
    made = json.loads(run("pack", scans, "--out", tmp_path / "pack", "--json").out)
    assert made["added"] == 3
    first, second, _ = sorted((tmp_path / "pack").rglob("c.0.0.0"))
    content = bytearray(first.read_bytes())
    content[len(content) // 2] ^= 4
    first.write_bytes(content)
    second.unlink()
    ran = run("pack", "--check", tmp_path / "pack")
    assert (ran.code, ran.out) == (2, "")
    assert sum("scan-00000" in line for line in ran.err.splitlines()) == 1
    assert "fails its checksum" in ran.err
    assert "No such file" in ran.err
    assert "2 of 3 volumes are damaged" in refused("pack", "--check", tmp_path / "pack")
    # Packing again makes good what is missing; what is damaged has to be taken away first.
    first.unlink()
    assert run("pack", scans, "--out", tmp_path / "pack").code == 0
    assert run("pack", "--check", tmp_path / "pack").code == 0


def test_a_pack_behind_a_url_is_described_and_checked(run, scans, tmp_path) -> None:
    run("pack", scans, "--out", tmp_path / "pack")
    system = fsspec.filesystem("memory")
    system.put(str(tmp_path / "pack"), "/cli/pack", recursive=True)
    try:
        assert json.loads(run("info", "memory://cli/pack", "--json").out)["scans"] == 3
        assert run("pack", "--check", "memory://cli/pack").code == 0
    finally:
        system.rm("/cli", recursive=True)


def test_a_run_trains_from_a_pack_as_from_the_files(run, scans, tmp_path) -> None:
    pytest.importorskip("torch")
    run("pack", scans, "--out", tmp_path / "pack")
    system = fsspec.filesystem("memory")
    system.put(str(tmp_path / "pack"), "/cli2/pack", recursive=True)
    terms = []
    try:
        for number, data in enumerate((scans, tmp_path / "pack", "memory://cli2/pack")):
            words = ("pretrain", "masked", "--data", data, "--out", tmp_path / f"run {number}")
            ran = run(*words, "--preset", "tiny", "--steps", 2, "--batch", 2, "--device", "cpu")
            assert ran.code == 0, ran.err
            with (tmp_path / f"run {number}" / "events.jsonl").open(encoding="utf-8") as events:
                found = [json.loads(line) for line in events]
            terms.append([event["terms"] for event in found if "terms" in event])
            written = "".join(
                path.read_text("utf-8") for path in (tmp_path / f"run {number}").glob("*.json*")
            )
            assert "memory://" not in written
            assert str(tmp_path) not in written
    finally:
        system.rm("/cli2", recursive=True)
    assert len(terms[0]) >= 3
    assert terms[0] == terms[1] == terms[2]


@pytest.mark.slow
def test_weights_are_those_of_the_files_for_two_processes_and_after_a_stop(
    run, scans, tmp_path
) -> None:
    pytest.importorskip("torch")
    from napari_mrissl.networks.weights import load_arrays

    run("pack", scans, "--out", tmp_path / "pack")
    found = {}
    for data in (scans, tmp_path / "pack"):
        out = tmp_path / f"run on {data.name}"
        words = ("--preset", "tiny", "--batch", 2, "--device", "cpu", "--processes", 2)
        words += ("--set", "optimisation.threads=1", "--out", out)
        assert run("pretrain", "masked", "--data", data, "--steps", 3, *words).code == 0
        assert run("run", "resume", out, "--steps", 6, "--processes", 1).code == 0
        found[data.name] = load_arrays(out / "weights.safetensors")
    files, packed = found["scans"], found["pack"]
    assert files.keys() == packed.keys()
    assert all(files[name].tobytes() == packed[name].tobytes() for name in files)


def test_what_is_wrong_is_said_in_a_sentence(refused, run, scans, tmp_path) -> None:
    assert "no folder for the pack" in refused("pack", scans)
    assert "nothing to pack" in refused("pack", "--out", tmp_path / "pack")
    assert "nothing to pack" in refused("pack")
    assert "a pack alone" in refused("pack", scans, "--check", tmp_path / "pack")
    assert "--workers" in refused("pack", scans, "--out", tmp_path / "pack", "--workers", 0)
    assert "no such file" in refused("pack", tmp_path / "none", "--out", tmp_path / "pack")
    assert "something else" in refused("pack", scans, "--out", scans)
    assert "could not be read" in refused("pack", "--check", tmp_path / "none")
    assert "could not be read" in refused("info", "memory://nothing/here")
    assert "could not be read" in refused(
        "pretrain", "masked", "--data", "memory://nothing/here", "--out", tmp_path / "run"
    )
    run("pack", scans, "--out", tmp_path / "pack")
    assert "no frames" in refused("info", tmp_path / "pack", "--frame", 0)
    assert "no scans found" in refused("pack", tmp_path / "pack", "--out", tmp_path / "pack 2")


def test_a_run_on_a_damaged_pack_ends_with_a_sentence(run, refused, scans, tmp_path) -> None:
    pytest.importorskip("torch")
    run("pack", scans, "--out", tmp_path / "pack")
    manifest = tmp_path / "pack" / "manifest.jsonl"
    content = manifest.read_bytes()
    words = ("pretrain", "masked", "--preset", "tiny", "--steps", 2, "--device", "cpu")
    manifest.write_bytes(content.replace(b'"int16"', b'"uint8"', 1))
    said = refused(*words, "--data", tmp_path / "pack", "--out", tmp_path / "run 1")
    assert "checksum does not fit" in said
    manifest.write_bytes(content.replace(b'"version": 1', b'"version": 7', 1))
    said = refused(*words, "--data", tmp_path / "pack", "--out", tmp_path / "run 2")
    assert "version 7; expected version 1" in said
    manifest.write_bytes(content)
    for path in (tmp_path / "pack").rglob("c.0.0.0"):
        os.truncate(path, path.stat().st_size - 1)
    said = refused(*words, "--data", tmp_path / "pack", "--out", tmp_path / "run 3")
    assert "shorter than the manifest says" in said
    assert str(tmp_path) not in said


def test_a_url_that_needs_a_package_says_which(refused) -> None:
    fsspec.register_implementation("more", "no_such_package.System", errtxt="Install more")
    said = refused("info", "more://bucket/pack")
    assert "Install more" in said
    assert "napari-mrissl[remote]" in said


def test_shards_lie_by_identity(run, scans, tmp_path) -> None:
    run("pack", scans, "--out", tmp_path / "pack")
    said = json.loads(run("info", scans / "Doe_1.nii.gz", "--json").out)
    assert (tmp_path / "pack" / shard_of(said["identity"])).is_file()
