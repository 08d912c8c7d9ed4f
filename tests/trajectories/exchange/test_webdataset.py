"""WebDataset shards: read by the convention with tarfile, and by webdataset itself."""

import io
import json
import tarfile

import numpy as np
import pytest
from peers import environment_with, told_by

from napari_mrissl.trajectories.exchange import formats, webdataset

SIZE = 20


def samples_of(folder):
    """Parts of all samples by key, as the convention says: split at the first dot."""
    index = json.loads((folder / "index.json").read_text("utf-8"))
    found: dict = {}
    for shard in index["shardlist"]:
        before = len(found)
        with tarfile.open(folder / shard["url"]) as tar:
            last = None
            for member in tar:
                assert (member.uid, member.gid, member.uname, member.mtime) == (0, 0, "", 0)
                key, _, part = member.name.partition(".")
                # All parts of a sample follow one another.
                assert key == last or key not in found
                last = key
                content = tar.extractfile(member).read()
                found.setdefault(key, {})[part] = content
        assert len(found) - before == shard["nsamples"]
    return found


@pytest.fixture
def folder(dataset, tmp_path):
    return formats.export("webdataset", dataset, tmp_path / "out", SIZE)


def test_clips_hold_all_frames_in_order(folder, stretches, expected):
    found = samples_of(folder)
    for number, (stretch, grey) in enumerate(zip(stretches, expected, strict=True)):
        keys = sorted(key for key in found if key.startswith(f"{number:06d}-"))
        assert len(keys) == -(-len(stretch) // 64)
        parts = {
            name: [np.load(io.BytesIO(found[key][f"{name}.npy"])) for key in keys]
            for name in ("pixels", "state", "action")
        }
        assert all(len(part) <= 64 for part in parts["pixels"])
        np.testing.assert_array_equal(np.concatenate(parts["pixels"]), grey)
        np.testing.assert_array_equal(np.concatenate(parts["state"]), stretch.poses)
        np.testing.assert_array_equal(np.concatenate(parts["action"]), np.float32(stretch.actions))
        facts = [json.loads(found[key]["json"]) for key in keys]
        assert [one["first_frame"] for one in facts] == list(range(0, len(stretch), 64))
        assert {one["identity"] for one in facts} == {stretch.entry.identity}
        assert {one["task"] for one in facts} == {stretch.entry.task}
    assert len(found) == 7


def test_a_full_shard_is_followed_by_the_next(dataset, tmp_path, monkeypatch):
    whole = samples_of(formats.export("webdataset", dataset, tmp_path / "one", SIZE))
    monkeypatch.setattr(webdataset, "SHARD_BYTES", 20_000)
    out = formats.export("webdataset", dataset, tmp_path / "out", SIZE)
    assert len(list(out.glob("*.tar"))) > 2
    assert samples_of(out) == whole


@pytest.fixture
def peer():
    yield from environment_with("MRISSL_WEBDATASET", "webdataset==1.0.2")


@pytest.mark.slow
@pytest.mark.timeout(4000)
def test_webdataset_itself_streams_an_export(folder, tmp_path, peer):
    arrays = {
        f"{key}.{name.removesuffix('.npy')}": np.load(io.BytesIO(content))
        for key, parts in samples_of(folder).items()
        for name, content in parts.items()
        if name.endswith(".npy")
    }
    np.savez(tmp_path / "expected.npz", **arrays)
    said = told_by(peer, "webdataset_check.py", folder, tmp_path / "expected.npz")
    assert said == {"samples": 7, "shards": 1}
