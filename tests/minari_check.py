"""Run inside an environment with Minari: does it find, load and sample an export?"""

import json
import sys

import minari
import numpy as np


def main(expected: str) -> None:
    """Load by id from MINARI_DATASETS_PATH, and compare each episode."""
    wanted = np.load(expected)
    (name,) = minari.list_local_datasets()
    dataset = minari.load_dataset(name)
    steps = 0
    for episode in dataset.iterate_episodes():
        for part in ("pixels", "pose"):
            found = episode.observations[part]
            np.testing.assert_array_equal(found, wanted[f"{episode.id}.{part}"])
            assert dataset.observation_space[part].contains(found[0])
        np.testing.assert_array_equal(episode.actions, wanted[f"{episode.id}.action"])
        assert len(episode.rewards) == len(episode.actions) == len(episode.terminations)
        assert all(action in dataset.action_space for action in episode.actions)
        assert episode.terminations.tolist() == [False] * (len(episode) - 1) + [True]
        assert f"total_steps={len(episode)}" in repr(episode)
        steps += len(episode)
    assert dataset.total_steps == steps
    dataset.set_seed(0)
    assert len(dataset.sample_episodes(2)) == 2
    longer = dataset.filter_episodes(lambda episode: len(episode) > 10)
    print(json.dumps({"episodes": len(dataset), "steps": steps, "longer": len(longer)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
