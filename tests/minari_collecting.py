"""Run inside an environment with Minari and this package: flights collected by Minari itself."""

import json

import gymnasium
import minari
import numpy as np

from napari_mrissl.environments import SLICE_PLANE, agents


def main() -> None:
    """Collect three flights, load them, make the environment again and fly the same way."""
    env = minari.DataCollector(gymnasium.make(SLICE_PLANE, size=33, heads=2), record_infos=True)
    flown = [agents.fly(env, agents.knowing(env.unwrapped), seed=n) for n in range(3)]
    env.create_dataset(
        dataset_id="mrissl/plane-v0",
        algorithm_name="knowing",
        requirements=["napari-mrissl"],
    )
    dataset = minari.load_dataset("mrissl/plane-v0")
    again = dataset.recover_environment()
    for outcome, episode in zip(flown, dataset.iterate_episodes(), strict=True):
        np.testing.assert_array_equal(episode.infos["pose"], outcome.rows)
        seen, _ = again.reset(options={"scene": outcome.scene})
        for number, action in enumerate(episode.actions):
            np.testing.assert_array_equal(episode.observations[number], seen)
            seen, reward, *_ = again.step(action)
            assert abs(episode.rewards[number] - reward) < 1e-9
    said = {"episodes": len(dataset), "steps": int(dataset.total_steps)}
    print(json.dumps({**said, "away_mm": max(outcome.away_mm for outcome in flown)}))


if __name__ == "__main__":
    main()
