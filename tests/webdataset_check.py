"""Run inside an environment with webdataset: does it stream and decode an export?"""

import json
import sys

import numpy as np
import webdataset


def main(folder: str, expected: str) -> None:
    """Stream all shards, decode, and compare each clip."""
    wanted = np.load(expected)
    with open(f"{folder}/index.json", encoding="utf-8") as file:
        shards = [f"{folder}/{shard['url']}" for shard in json.load(file)["shardlist"]]
    stream = webdataset.WebDataset(shards, shardshuffle=False).decode()
    keys = []
    for sample in stream:
        key = sample["__key__"]
        keys.append(key)
        for part in ("pixels", "state", "action"):
            np.testing.assert_array_equal(sample[f"{part}.npy"], wanted[f"{key}.{part}"])
        assert sample["json"]["task"] in ("find the ball", "")
    tuples = webdataset.WebDataset(shards, shardshuffle=False).decode()
    assert len(list(tuples.to_tuple("pixels.npy", "action.npy", "json"))) == len(keys)
    print(json.dumps({"samples": len(keys), "shards": len(shards)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
