"""What the words after --data mean."""

from pathlib import Path

import pytest

from napari_mrissl.errors import MrisslError
from napari_mrissl.training.data.chosen import choose
from tests.synthesis.label_heads import write_label_heads
from tests.training.cohorts import write_scan


def test_words_mean_the_engine_and_leave_the_rest_to_presets() -> None:
    for kind in ("heads", "ensembles"):
        found = choose([kind])
        assert found.settings.model_dump(exclude_unset=True) == {"kind": kind}
        assert (found.notes, found.decoded_bytes) == ((), None)


def test_label_maps_become_subjects_by_identity(tmp_path: Path) -> None:
    heard: list[float] = []
    found = choose(
        ["heads"], templates=write_label_heads(tmp_path / "maps", 4), progress=heard.append
    )
    assert [r.split for r in found.settings.subjects] == ["train"] * 3 + ["validation"]
    assert heard == [0.25, 0.5, 0.75, 1.0]


def test_paths_mean_scans(tmp_path: Path) -> None:
    folder = tmp_path / "heads"
    for number in range(5):
        write_scan(folder / f"{number}.nii", number)
    held = write_scan(tmp_path / "held.nii", 9)
    found = choose([folder], validation=[held])
    assert found.settings.kind == "scans"
    assert [r.split for r in found.settings.subjects] == ["train"] * 5 + ["validation"]
    assert found.decoded_bytes == 6 * 7 * 6 * 5 * 2
    assert set(found.settings.model_dump(exclude_unset=True)) == {
        "kind",
        "subjects",
        "preprocessing",
    }


def test_options_that_do_not_go_together_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MrisslError, match="no data"):
        choose([])
    with pytest.raises(MrisslError, match="label maps given with scans"):
        choose([write_scan(tmp_path / "a.nii", 1)], templates=tmp_path)
    with pytest.raises(MrisslError, match="split by their label maps"):
        choose(["heads"], validation=[tmp_path])
    with pytest.raises(MrisslError, match="split by their label maps"):
        choose(["ensembles"], exclude=[tmp_path])
