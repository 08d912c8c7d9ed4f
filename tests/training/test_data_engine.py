"""Painted heads and ensembles as subjects: the same each time, split by label map."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from napari_mrissl.directories import cache_directory
from napari_mrissl.errors import MrisslError
from napari_mrissl.synthesis.head_templates import subjects_of_folder
from napari_mrissl.synthesis.heads import Heads, HeadSettings
from napari_mrissl.training.data import cohort, spill
from napari_mrissl.training.data.engine_subjects import painted_bytes, painted_subjects
from napari_mrissl.training.data.label_maps import label_map_records
from napari_mrissl.training.data.preprocessing import CT_WINDOW
from napari_mrissl.training.settings import DataSettings, Preprocessing, RunSettings
from tests.synthesis.label_heads import write_label_heads
from tests.training.cohorts import voxels, write_scan

SIDE, SPACING = 32, 7.0
ENGINE = {"side": SIDE, "spacing": SPACING}


@pytest.fixture(scope="module")
def maps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_label_heads(tmp_path_factory.mktemp("maps") / "heads", 4)


def head_settings(maps: Path, **changes: object) -> DataSettings:
    records = label_map_records(maps)
    return DataSettings(kind="heads", engine=ENGINE, heads=5, subjects=records, **changes)


def test_heads_are_those_of_the_engine_in_8_bits(maps: Path) -> None:
    subjects = painted_subjects(head_settings(maps), 3, "train")
    expected = Heads(
        subjects_of_folder(maps), HeadSettings(side=SIDE, spacing=SPACING), 3, "train"
    ).head(4)
    scan = subjects.scan(4)
    np.testing.assert_array_equal(scan.volume.data, expected.image_as_bytes())
    np.testing.assert_array_equal(scan.labels, expected.labels)
    np.testing.assert_allclose(scan.volume.affine, expected.image.affine)
    assert scan.volume.spacing == pytest.approx([SPACING] * 3)
    assert (scan.subject, scan.identity) == (expected.subject, scan.volume.identity)
    assert (scan.low, scan.high) == pytest.approx(np.percentile(scan.volume.data, (0.5, 99.5)))


def test_validation_is_painted_from_other_label_maps(maps: Path) -> None:
    settings = RunSettings(method="toy", data=head_settings(maps))
    train, held = (cohort.subjects(settings, part) for part in ("train", "validation"))
    assert (len(train), len(held)) == (5, 2)
    sides = [{s.scan(k).subject for k in range(len(s))} for s in (train, held)]
    assert sides[0] == {"head-01", "head-02", "head-03"}
    assert sides[1] == {"head-04"}
    expected = Heads(
        subjects_of_folder(maps), HeadSettings(side=SIDE, spacing=SPACING), 0, "test"
    ).head(5)
    np.testing.assert_array_equal(held.scan(0).volume.data, expected.image_as_bytes())


def test_settings_say_nothing_of_the_files(maps: Path) -> None:
    text = head_settings(maps).model_dump_json()
    assert "Doe" not in text
    assert str(maps) not in text


def test_a_head_is_painted_once_and_the_same_in_every_order_and_thread(maps: Path) -> None:
    settings = head_settings(maps)
    first, second = (painted_subjects(settings, 1, "train") for _ in range(2))
    with ThreadPoolExecutor(4) as pool:
        threaded = list(pool.map(first.scan, [4, 0, 2, 1, 3, 0, 4]))
    assert threaded[0] is threaded[6]
    assert threaded[1] is threaded[5]
    for scan, number in zip(threaded[:5], (4, 0, 2, 1, 3), strict=True):
        np.testing.assert_array_equal(scan.volume.data, second.scan(number).volume.data)
    other = painted_subjects(settings, 2, "train").scan(0)
    assert (other.volume.data != second.scan(0).volume.data).any()


def test_heads_that_do_not_fit_are_kept_on_disk(
    maps: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one_head = SIDE**3 * 3
    # Five of seven heads are for training, and so are five sevenths of the cache.
    room = 1.5 * one_head * 7 / 5 / 2**30
    settings = head_settings(maps, cache_gib=room)
    assert painted_bytes(settings) == 7 * one_head
    tight = painted_subjects(settings, 1, "train")
    # With a full disk they are painted again, and alike.
    full = painted_subjects(settings, 1, "train")
    with monkeypatch.context() as patched:
        patched.setattr(spill, "FREE_BYTES", 1 << 60)
        twice = [full.scan(number).volume.data for number in (0, 1, 2, 0)]
    np.testing.assert_array_equal(twice[0], twice[3])
    assert not list((cache_directory() / "decoded").glob("*.npy"))
    painted: list[int] = []
    head = Heads.head

    def counted(heads: Heads, index: int) -> object:
        painted.append(index)
        return head(heads, index)

    monkeypatch.setattr(Heads, "head", counted)
    before = [tight.scan(number) for number in range(5)]
    for number in (0, 3, 1, 4, 2, 0):
        again = tight.scan(number)
        np.testing.assert_array_equal(again.volume.data, before[number].volume.data)
        np.testing.assert_array_equal(again.labels, before[number].labels)
        np.testing.assert_array_equal(again.volume.affine, before[number].volume.affine)
        for name in ("subject", "identity", "low", "high"):
            assert getattr(again, name) == getattr(before[number], name)
        assert tight._cache.nbytes <= tight._cache.limit
    assert painted == [0, 1, 2, 3, 4]


def test_an_unknown_label_map_and_a_window_are_refused(
    maps: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings = head_settings(maps)
    with pytest.raises(MrisslError, match="HU"):
        painted_subjects(settings.model_copy(update={"preprocessing": CT_WINDOW}), 0, "train")
    for engine, said in (({"side": 17}, "side"), ({"sidde": 32}, "sidde")):
        wrong = settings.model_copy(update={"engine": engine})
        with pytest.raises(MrisslError, match=said):
            painted_subjects(wrong, 0, "train")
    monkeypatch.setenv("MRISSL_DATA_DIR", str(tmp_path))
    with pytest.raises(MrisslError, match=r"head-01: the scan .* is not known"):
        painted_subjects(settings, 0, "train")


def test_ensembles_of_training_and_validation_share_no_shape(tmp_path: Path) -> None:
    for number in range(4):
        write_scan(tmp_path / f"{number}.nii", voxels(number, "u1") % 3)
    records = label_map_records(tmp_path, "ensembles")
    assert [record.split for record in records] == ["train", "train", "train", "validation"]
    engine = {"ensemble": {"side": 32, "templates": (3, 5)}}
    settings = DataSettings(kind="ensembles", engine=engine, heads=2, subjects=records)
    train, held = (painted_subjects(settings, 0, part) for part in ("train", "validation"))
    assert (len(train), len(held)) == (2, 1)
    scan = train.scan(1)
    assert scan.volume.shape == (32, 32, 32)
    assert scan.labels.shape == (32, 32, 32)
    assert scan.volume.data.dtype == np.uint8
    assert len({s.scan(k).identity for s in (train, held) for k in range(len(s))}) == 3


def test_a_presets_side_of_heads_is_that_of_ensembles_too() -> None:
    short = DataSettings(kind="ensembles", engine={"side": 32}, heads=2)
    long = DataSettings(kind="ensembles", engine={"ensemble": {"side": 32}}, heads=2)
    assert painted_bytes(short) == painted_bytes(long) == 3 * 2 * 32**3
    one, other = (painted_subjects(settings, 0, "train") for settings in (short, long))
    np.testing.assert_array_equal(one.scan(1).volume.data, other.scan(1).volume.data)
    with pytest.raises(MrisslError, match="spacing"):
        painted_subjects(
            DataSettings(kind="ensembles", engine={"side": 32, "spacing": 2.0}), 0, "train"
        )


def test_new_ensembles_are_those_of_the_engine_and_kept_ones_are_too() -> None:
    settings = DataSettings(kind="ensembles", engine={"side": 32}, heads=2)
    train, held = (painted_subjects(settings, 4, part) for part in ("train", "validation"))
    np.testing.assert_array_equal(train.fresh(1), train.scan(1).labels)
    np.testing.assert_array_equal(held.fresh(2), held.scan(0).labels)
    assert not np.array_equal(train.fresh(10**15), train.fresh(10**15 + 1))


def test_copies_of_a_label_map_stay_on_one_side(tmp_path: Path) -> None:
    for number in range(8):
        write_scan(tmp_path / f"{number}.nii", voxels(number % 5, "u1") % 3)
    records = label_map_records(tmp_path, "ensembles")
    assert len(records) == 5
    assert len({record.subject for record in records}) == 5


def test_procedural_shapes_are_split_too() -> None:
    from napari_mrissl.synthesis import Templates
    from napari_mrissl.training.data.engine_subjects import _part_of

    pool = Templates.procedural(seed=5, count=12)
    train, held = _part_of(pool, "train"), _part_of(pool, "validation")
    assert (len(train), len(held)) == (9, 3)
    for number in range(12):
        part = train[number] if number < 9 else held[number - 9]
        np.testing.assert_array_equal(part, pool[number])


@pytest.mark.slow
def test_mni152_needs_no_files() -> None:
    settings = DataSettings(kind="heads", engine=ENGINE, heads=1, preprocessing=Preprocessing())
    scan = painted_subjects(settings, 0, "validation").scan(0)
    assert scan.subject in ("mni152-09", "mni152-10")
    assert scan.labels.max() == 3
