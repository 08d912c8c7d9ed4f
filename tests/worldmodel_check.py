"""Run inside an environment with stable-worldmodel: does its HDF5Dataset read an export?"""

import json
import sys

import numpy as np
from stable_worldmodel.data.formats.hdf5 import HDF5, HDF5Dataset


def main(path: str, expected: str) -> None:
    """Read all episodes and windows, and compare each number and pixel."""
    wanted = np.load(expected)
    assert HDF5.detect(path)
    whole = HDF5.open_reader(path)
    lengths, offsets = wanted["lengths"], wanted["offsets"]
    np.testing.assert_array_equal(whole.lengths, lengths)
    np.testing.assert_array_equal(whole.offsets, offsets)
    for name in ("state", "action", "pixels"):
        np.testing.assert_array_equal(whole.get_col_data(name), wanted[name])
    windows = HDF5Dataset(path=path, num_steps=3, frameskip=2)
    assert len(windows) == sum(max(0, int(n) - 5) for n in lengths)
    for k, (episode, start) in enumerate(windows.clip_indices):
        first = offsets[episode] + start
        found = windows[k]
        pixels = wanted["pixels"][first : first + 6 : 2].transpose(0, 3, 1, 2)
        np.testing.assert_array_equal(found["pixels"].numpy(), pixels)
        np.testing.assert_array_equal(
            found["state"].numpy(), wanted["state"][first : first + 6 : 2]
        )
        actions = wanted["action"][first : first + 6].reshape(3, 14)
        np.testing.assert_array_equal(found["action"].numpy(), actions)
    print(json.dumps({"episodes": len(lengths), "windows": len(windows)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
