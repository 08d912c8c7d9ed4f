"""Which process ended a run, and why, as the others tell it."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
import torch.distributed as dist

from napari_mrissl.errors import MrisslError
from napari_mrissl.training import parting
from napari_mrissl.training.collective import Alone, Processes
from napari_mrissl.training.failures import lost_another
from napari_mrissl.training.parting import GONE, WAY_ON, Parting
from napari_mrissl.training.whereabouts import MEETING


@pytest.fixture
def ranks(monkeypatch):
    """Three processes that share a store, and wait a moment only."""
    monkeypatch.setattr(parting, "_NEWS_SECONDS", 0.2)
    store = dist.HashStore()
    return [Parting(store, rank, 3) for rank in range(3)]


def test_a_process_without_a_word_is_named(ranks):
    ranks[0].tell("")
    ranks[2].tell("")
    assert ranks[0].of_others() == f"process of rank 1 of 3 {GONE}; {WAY_ON}"
    assert ranks[2].of_others() == ranks[0].of_others()


def test_several_without_a_word_are_named(ranks):
    assert ranks[1].of_others() == f"processes of ranks 0, 2 of 3 {GONE}; {WAY_ON}"


def test_what_another_process_says_is_the_reason(ranks):
    ranks[0].tell("")
    ranks[1].tell("")
    ranks[2].tell("out of memory on cuda:1")
    assert ranks[0].of_others() == "process of rank 2 of 3: out of memory on cuda:1"


def test_where_all_speak_and_none_knows_it_was_the_connection(ranks):
    for one in ranks:
        one.tell("")
    assert ranks[1].of_others() == f"the connection between processes of this run broke; {WAY_ON}"


def test_all_meet(ranks):
    with ThreadPoolExecutor(3) as pool:
        waiting = [pool.submit(one.meet, lambda: False, 30.0) for one in ranks[:2]]
        assert not any(one.done() for one in waiting)
        ranks[2].meet(lambda: False, 30.0)
        assert [one.result(timeout=30) for one in waiting] == [None, None]


def test_who_cannot_come_is_not_waited_for(ranks):
    with ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(one.meet, lambda: False, 300.0) for one in ranks[:2]]
        ranks[2].tell("the scan is not known")
        for one in waiting:
            with pytest.raises(MrisslError, match="rank 2 of 3: the scan is not known"):
                one.result(timeout=30)


def test_who_was_killed_on_the_way_is_named(ranks):
    """The agent then asks the others to end."""
    with ThreadPoolExecutor(2) as pool:
        for one in [pool.submit(one.meet, lambda: True, 300.0) for one in ranks[:2]]:
            with pytest.raises(MrisslError, match=f"rank 2 of 3 {GONE}"):
                one.result(timeout=30)


def test_all_that_are_asked_to_end_say_so(ranks):
    ranks[2].tell("")
    with ThreadPoolExecutor(2) as pool:
        for one in [pool.submit(one.meet, lambda: True, 300.0) for one in ranks[:2]]:
            with pytest.raises(MrisslError, match="asked to end before all processes had met"):
                one.result(timeout=30)


def test_time_to_meet_is_over_one_day(ranks):
    with pytest.raises(MrisslError, match="ranks 1, 2 of 3 gave no word"):
        ranks[0].meet(lambda: False, 0.1)


def test_what_ends_a_process_early_is_told_in_the_file_where_they_meet(tmp_path):
    place = {MEETING: str(tmp_path / "meeting"), "WORLD_SIZE": "2"}
    with pytest.raises(MrisslError), parting.told_to_others({**place, "RANK": "1"}):
        raise MrisslError("the scan is not known")
    with pytest.raises(MrisslError, match="rank 1 of 2: the scan is not known"):
        parting.parting(0, 2, place).meet(lambda: False, 30.0)
    # A later life of the same run knows nothing of it.
    later = parting.parting(0, 2, {**place, "TORCHELASTIC_RESTART_COUNT": "1"})
    assert later._words.check(["left/1"]) is False


def test_a_process_that_knows_why_says_so_and_leaves_it_to_the_others(ranks):
    assert Processes(ranks[1]).broken("scan: is odd") == "scan: is odd"
    assert Processes(ranks[0]).broken(None) == "process of rank 1 of 3: scan: is odd"
    assert Alone().broken("scan: is odd") == "scan: is odd"


def test_without_a_store_it_is_only_said_that_one_is_gone():
    class Broken(dist.HashStore):
        def set(self, key, value):
            raise dist.DistNetworkError("failed to send")

    for one in (None, Parting(Broken(), 0, 2)):
        assert Processes(one).broken(None) == f"another process of this run ended; {WAY_ON}"
    assert parting.parting(0, 2, {}) is None


@pytest.mark.parametrize(
    ("error", "lost"),
    [
        (RuntimeError("[..] Connection closed by peer [127.0.0.1]:4"), True),
        (dist.DistBackendError("NCCL communicator was aborted"), True),
        (torch.OutOfMemoryError("out of memory"), False),
        (MrisslError("a folder called gloo is odd"), False),
    ],
)
def test_a_lost_partner_is_told_from_a_fault_of_ones_own(error, lost):
    assert lost_another(error) is lost
