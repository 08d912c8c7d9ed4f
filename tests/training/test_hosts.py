"""One run on two machines: agents that meet over the network, and a folder they share."""

import signal
import time
from dataclasses import replace

import pytest

from napari_mrissl.training.building import settings_for
from napari_mrissl.training.data import cohort
from napari_mrissl.training.run import Run
from tests.training.cohorts import write_scan
from tests.training.hosts import Host, agents, ended, free_port, wired
from tests.training.runs_of_toys import newest_tensors, trained
from tests.training.toy import Blobs, toy_settings

SETTINGS = toy_settings(optimisation={"steps": 12, "precision": "float64", "ema": 0.9})


def check_two_hosts(tmp_path, hosts):
    """Both train one run, each knowing only its own data directory; compared with one process."""
    run = Run.create(tmp_path / "run", SETTINGS)
    apart = [
        replace(host, environment={**host.environment, "MRISSL_DATA_DIR": str(tmp_path / name)})
        for host, name in zip(hosts, ("first", "second"), strict=True)
    ]
    child = ["tests.training.toy_child", str(run.folder)]
    for code, said in ended(agents(apart, child, free_port()), limit=400):
        assert code == 0, said[-3000:]
    state = run.state()
    assert (state.name, state.step, state.alive) == ("finished", 12, False)
    alone, _ = trained(tmp_path / "alone", SETTINGS, validation=Blobs(2, 50))
    found, expected = newest_tensors(run)[0], newest_tensors(alone)[0]
    groups = ("weights/", "average/")
    names = [name for name in expected if name.startswith(groups)]
    assert {name.partition("/")[0] for name in names} == {"weights", "average"}
    assert max(float((found[n] - expected[n]).abs().max()) for n in names) <= 1e-12


@pytest.mark.untraced
@pytest.mark.timeout(600)
def test_two_agents_that_meet_on_loopback_agree_with_one_process(tmp_path):
    check_two_hosts(tmp_path, [Host(), Host()])


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_two_machines_with_addresses_of_their_own_agree_with_one_process(tmp_path):
    with wired() as hosts:
        if hosts is None:
            pytest.skip("needs the right to make network namespaces")
        check_two_hosts(tmp_path, hosts)


@pytest.mark.untraced
@pytest.mark.timeout(600)
@pytest.mark.parametrize("stranger", [0, 1])
def test_a_machine_that_does_not_know_the_scans_says_so_to_the_other(
    tmp_path, monkeypatch, stranger
):
    monkeypatch.setenv("MRISSL_DATA_DIR", str(tmp_path / "first"))
    scans = [write_scan(tmp_path / f"{number}.nii", number) for number in range(3)]
    settings = settings_for("reconstruction", cohort.load(scans).settings(), "tiny", {})
    run = Run.create(tmp_path / "run", settings)
    homes = ["empty", "first"] if stranger == 0 else ["first", "empty"]
    hosts = [Host(environment={"MRISSL_DATA_DIR": str(tmp_path / home)}) for home in homes]
    child = ["napari_mrissl.cli.child", str(run.folder)]
    told = ended(agents(hosts, child, free_port()), limit=240)
    assert [code for code, _ in told] == [1, 1]
    assert "is not known on this machine" in told[stranger][1]
    if stranger == 1:
        assert run.state().name == "failed"
        assert "process of rank 1 of 2: " in run.state().reason
        assert "is not known on this machine" in run.state().reason


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_two_agents_that_are_told_to_end_leave_a_checkpoint(tmp_path):
    """As by scancel, which sends SIGTERM to the agents of all nodes."""
    endless = toy_settings(optimisation={"steps": 100_000}, task={"slow": 0.02})
    run = Run.create(tmp_path / "run", endless)
    begun = agents([Host(), Host()], ["tests.training.toy_child", str(run.folder)], free_port())
    end = time.monotonic() + 300
    while run.state().step < 3 and time.monotonic() < end:
        time.sleep(0.1)
    for agent in begun:
        agent.send_signal(signal.SIGTERM)
    ended(begun, limit=120)
    state = run.state()
    assert (state.name, state.alive) == ("stopped", False)
    assert state.checkpoint == state.step >= 3
