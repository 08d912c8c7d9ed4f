"""Session files: what is written is read back, and what is damaged stays alone."""

import json
import os
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import numpy as np
import pytest

from napari_mrissl.errors import MrisslError
from napari_mrissl.ui.session import records, store
from napari_mrissl.ui.session.records import LayerRecord, Look, ScanReference, SessionRecord

SCAN = ScanReference(identity="ab" * 32, name="scan")


def record(minute=0, **parts):
    image = LayerRecord(kind="image", scan=SCAN, look=Look(name="scan", colormap="magma"))
    parts = {"layers": (image,), **parts}
    return SessionRecord(saved=datetime(2026, 11, 21, 10, minute), **parts)


def stored(one):
    """A session as a window that was closed left it."""
    session = store.OpenSession()
    session.write(one)
    session.close()
    return session.name


def test_a_record_is_read_as_it_was_written():
    one = record(left_out=("photo",), workspace="label")
    assert records.parse(records.dump(one)) == (one, [])
    assert one.describe() == "1 scan, 21 Nov 10:00"


def test_a_session_is_offered_only_when_its_window_is_gone():
    session = store.OpenSession()
    session.write(record())
    assert store.last_session() is None
    session.close()
    assert store.last_session().name == session.name


def test_windows_that_look_at_the_same_moment_all_find_it():
    # Looking takes a session's lock for a moment, which must not pass for a living window.
    name = stored(record())
    start = threading.Barrier(4)

    def look(_):
        start.wait()
        return [store.last_session() for _ in range(100)]

    with ThreadPoolExecutor(4) as pool:
        seen = [one for many in pool.map(look, range(4)) for one in many]
    assert [one and one.name for one in seen] == [name] * 400


def test_the_newest_is_the_last_and_one_gone_on_with_is_not_offered_again():
    first, second = stored(record(1)), stored(record(2))
    assert store.last_session().name == second
    third = stored(record(0, continues=second))
    assert [one.name for one in store.stored_sessions()] == [first, third]


def test_a_titled_copy_stays_with_its_labels():
    session = store.OpenSession()
    labels = np.arange(24, dtype=np.uint16).reshape(2, 3, 4)
    voxels = session.write_labels(labels)
    layer = LayerRecord(
        kind="labels", scan=SCAN, look=Look(name="l"), voxels=voxels, dtype="<u2"
    )  # fmt: skip
    # So old that nothing but the title keeps its labels.
    old = record(layers=(layer,)).model_copy(update={"saved": datetime(2020, 1, 1)})
    session.write(old)
    store.keep_titled(session.name, "study")
    session.close()
    for minute in range(store.KEPT + 3):
        stored(record(minute + 1))
    store.remove_old()
    left = store.stored_sessions()
    assert len(left) == store.KEPT + 1
    (titled,) = (one for one in left if one.record.title == "study")
    back = store.read_labels(titled.folder, voxels, (2, 3, 4), "<u2")
    assert back.dtype == np.uint16
    np.testing.assert_array_equal(back, labels)
    assert store.last_session().record.title is None


def test_sessions_with_labels_outlast_the_last_ten_by_ninety_days():
    layer = LayerRecord(
        kind="labels", scan=SCAN, look=Look(name="l"), voxels="ab" * 32, dtype="|u1"
    )  # fmt: skip

    def days_old(days, **parts):
        made = record(**parts).model_copy(update={"saved": datetime.now() - timedelta(days)})
        return stored(made)

    painted = days_old(89, layers=(layer,))
    forgotten = days_old(91, layers=(layer,))
    plain = days_old(80)
    for minute in range(store.KEPT):
        days_old(1 + minute / 1440)
    store.remove_old()
    names = {one.name for one in store.stored_sessions()}
    assert len(names) == store.KEPT + 1
    assert painted in names
    assert not {forgotten, plain} & names


def test_what_would_be_refused_when_read_is_trimmed_or_refused_when_written():
    image = record().layers[0]
    made = tuple(image.model_copy(update={"made": {"x": "y" * (1 << 20)}}) for _ in range(17))
    trimmed, problems = records.parse(records.dump(record(layers=made)))
    assert problems == []
    assert trimmed.layers == (image,) * 17
    clicks = LayerRecord(
        kind="clicks", scan=SCAN, look=Look(name="c"), clicks=((1 / 3, 1 / 7, 1 / 9, 1),) * 20_000
    )
    with pytest.raises(MrisslError, match="too much is open"):
        records.dump(record(layers=(clicks,) * 20))
    with pytest.raises(MrisslError, match="too much is open"):
        records.dump(record(layers=(image,) * 1001))


def test_labels_no_longer_named_are_removed():
    session = store.OpenSession()
    session.write_labels(np.ones((2, 2, 2), np.uint8))
    session.write(record())
    session.close()
    assert list((store.sessions_directory() / session.name / "voxels").iterdir()) == []


def broken(content, **changes):
    found = json.loads(content)
    found.update(changes)
    return json.dumps(found).encode()


GOOD = records.dump(record())
LAYER = json.loads(GOOD)["layers"][0]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0" * 100,
        b"[" * 100_000,
        b'{"format": "napari-mrissl session", "version": NaN}',
        GOOD[:-20],
        b'{"format": "other"}',
        broken(GOOD, version=99),
        broken(GOOD, saved="yesterday"),
        broken(GOOD, title=["x"]),
        b" " * (records.LARGEST + 1),
    ],
    ids=lambda content: str(content[:20]),
)
def test_a_file_that_is_none_is_refused_in_one_sentence(content):
    with pytest.raises(MrisslError) as refused:
        records.parse(content, "session.json")
    assert str(refused.value).count("\n") == 0
    name = stored(record())
    (store.sessions_directory() / name / "session.json").write_bytes(content)
    assert store.last_session() is None


@pytest.mark.parametrize(
    "layer",
    [
        "text",
        {**LAYER, "scan": {"identity": "../../etc/passwd"}},
        {**LAYER, "voxels": "../../secret"},
        {**LAYER, "look": {"name": "x", "opacity": 7}},
        {**LAYER, "look": {"name": "x", "contrast_limits": [0, "NaN"]}},
        {**LAYER, "clicks": [[1, 2]]},
        {**LAYER, "kind": "program"},
    ],
)
def test_one_bad_layer_is_told_and_the_others_stay(layer):
    content = broken(GOOD, layers=[layer, LAYER], view={"zoom": -3}, docks=7)
    found, problems = records.parse(content)
    assert found.layers == record().layers
    assert len(problems) == 3


def test_a_session_is_no_way_to_other_files(tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(zlib.compress(bytes(8)))
    name = stored(record())
    folder = store.sessions_directory() / name
    (folder / "voxels").mkdir()
    link = "cd" * 32
    os.symlink(secret, folder / "voxels" / link)
    with pytest.raises(MrisslError):
        store.read_labels(folder, link, (2, 2, 2), "|u1")
    os.symlink(folder, store.sessions_directory() / ("ef" * 16))
    assert [one.name for one in store.stored_sessions()] == [name]
    with pytest.raises(MrisslError):
        store.read_session("../" + name)


def test_damaged_or_swollen_labels_are_refused():
    session = store.OpenSession()
    labels = np.random.default_rng(0).integers(0, 3, (20, 20, 20)).astype(np.uint8)
    voxels = session.write_labels(labels)
    path = session.folder / "voxels" / voxels
    packed = bytearray(path.read_bytes())
    for place in (0, len(packed) // 2, len(packed) - 1):
        changed = bytearray(packed)
        changed[place] ^= 4
        path.write_bytes(changed)
        with pytest.raises(MrisslError):
            store.read_labels(session.folder, voxels, labels.shape, "|u1")
    path.write_bytes(zlib.compress(bytes(100 << 20), 9))
    with pytest.raises(MrisslError, match="damaged"):
        store.read_labels(session.folder, voxels, labels.shape, "|u1")
    with pytest.raises(MrisslError, match="too large"):
        store.read_labels(session.folder, voxels, (1 << 12,) * 3, "|u1")
    session.close()


def test_a_folder_without_a_file_is_swept_only_when_it_is_old():
    young = store.sessions_directory() / ("ab" * 16)
    old = store.sessions_directory() / ("cd" * 16)
    for folder in (young, old):
        folder.mkdir()
    os.utime(old, (0, 0))
    store.remove_old()
    assert young.exists()
    assert not old.exists()
