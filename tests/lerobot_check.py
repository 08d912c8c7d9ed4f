"""Run inside an environment with lerobot: does LeRobotDataset read and continue an export?"""

import json
import sys

import numpy as np
from lerobot.datasets.compute_stats import aggregate_stats, get_feature_stats
from lerobot.datasets.lerobot_dataset import LeRobotDataset


def main(root: str, expected: str) -> None:
    """Read all of it, in windows too; compare statistics; record one more episode; read again."""
    wanted = np.load(expected)
    dataset = LeRobotDataset("local/flights", root=root)
    assert len(dataset) == len(wanted["states"])
    for k in range(len(dataset)):
        item = dataset[k]
        image = (item["observation.image"] * 255).round().byte().permute(1, 2, 0).numpy()
        np.testing.assert_array_equal(image, wanted["images"][k])
        np.testing.assert_array_equal(item["observation.state"].numpy(), wanted["states"][k])
        np.testing.assert_array_equal(item["action"].numpy(), wanted["actions"][k])
        assert item["task"] in ("find the ball", "")
    windows = LeRobotDataset(
        "local/flights",
        root=root,
        delta_timestamps={"observation.image": [-0.05, 0.0, 0.05], "action": [0.0, 0.05]},
    )
    middle = windows[1]
    assert tuple(middle["observation.image"].shape[:2]) == (3, 3)
    np.testing.assert_array_equal(middle["action"].numpy(), wanted["actions"][1:3])
    only = LeRobotDataset("local/flights", root=root, episodes=[2])
    assert len(only) == dataset.meta.episodes[2]["length"]
    check_statistics(dataset, wanted)
    said = {"frames": dataset.num_frames, "episodes": dataset.num_episodes}
    said["grown_to"] = grown(root, wanted)
    print(json.dumps(said))


def check_statistics(dataset: LeRobotDataset, wanted: dict) -> None:
    """Ours against lerobot's own function, whose quantiles come from a histogram."""
    for name, values in (("observation.state", "states"), ("action", "actions")):
        theirs = get_feature_stats(wanted[values], axis=0, keepdims=False)
        ours = dataset.meta.stats[name]
        assert set(ours) == set(theirs)
        ordered = np.sort(wanted[values], axis=0)
        for key in theirs:
            if key.startswith("q"):
                # Theirs comes from a histogram: ours must lie between the same neighbours.
                rank = int(key[1:]) / 100 * len(ordered)
                low = ordered[max(int(rank) - 2, 0)]
                high = ordered[min(int(rank) + 2, len(ordered) - 1)]
                for found in (ours[key], theirs[key]):
                    assert ((low - 1e-6 <= found) & (found <= high + 1e-6)).all(), (name, key)
            else:
                np.testing.assert_allclose(ours[key], theirs[key], atol=1e-4)
    # As float: lerobot 0.4.4 squares uint8 pixels as uint8, and its own std is wrong.
    pixels = wanted["images"].astype(np.float64)
    theirs = get_feature_stats(pixels.transpose(0, 3, 1, 2), axis=(0, 2, 3), keepdims=True)
    for key, found in theirs.items():
        ours = dataset.meta.stats["observation.image"][key]
        scaled = found if key == "count" else found[0] / 255
        assert ours.shape == scaled.shape, key
        np.testing.assert_allclose(ours, scaled, atol=0.01)
    aggregate_stats([dataset.meta.stats, dataset.meta.stats])


def grown(root: str, wanted: dict) -> int:
    """Record one more episode with lerobot into the export; how many there are then."""
    dataset = LeRobotDataset("local/flights", root=root)
    for k in range(3):
        dataset.add_frame(
            {
                "observation.state": wanted["states"][k].astype(np.float32),
                "action": wanted["actions"][k].astype(np.float32),
                "observation.image": wanted["images"][k],
                "task": "one more",
            }
        )
    dataset.save_episode()
    dataset.finalize()
    again = LeRobotDataset("local/flights", root=root)
    assert again[len(again) - 1]["task"] == "one more"
    return again.num_episodes


if __name__ == "__main__":
    main(*sys.argv[1:])
