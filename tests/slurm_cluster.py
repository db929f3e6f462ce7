"""A Slurm of one node on this machine, for as long as a test needs it."""

import getpass
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch")
NONE = "Slurm is not installed; apt-get install slurmctld slurmd slurm-client munge brings it"
PATIENCE_SECONDS = 60
# /usr/sbin is not on every user's path.
PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin"])

CONFIGURATION = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmdPort={node_port}
SlurmUser={user}
SlurmdUser={user}
AuthInfo=socket={folder}/munge.sock
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=batch_sched_delay=0,sched_interval=2
ReturnToService=2
NodeName=node NodeHostname={host} NodeAddr=127.0.0.1 CPUs=2 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES State=UP
"""


def is_installed() -> bool:
    """Return whether all its programs are there."""
    return all(shutil.which(name, path=PATH) for name in PROGRAMS)


@contextmanager
def running() -> Iterator[dict[str, str]]:
    """Start Slurm; give the variables that its commands need."""
    assert is_installed(), NONE
    with ExitStack() as stack:
        # Not pytest's folder: the path of a socket has at most 108 bytes.
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="slurm-")))
        (folder / "state").mkdir()
        (folder / "spool").mkdir()
        (folder / "key").write_bytes(os.urandom(1024))
        (folder / "key").chmod(0o400)
        controller_port, node_port = _free_ports(2)
        configuration = CONFIGURATION.format(
            host=socket.gethostname().partition(".")[0],
            controller_port=controller_port,
            node_port=node_port,
            user=getpass.getuser(),
            folder=folder,
        )
        (folder / "slurm.conf").write_text(configuration)
        paths = {name: f"{folder}/{name}" for name in ("munge.sock", "key", "pid", "seed")}
        munge = (
            *("munged", "--foreground", "--force", "--socket", paths["munge.sock"]),
            *("--key-file", paths["key"], "--pid-file", paths["pid"], "--seed-file", paths["seed"]),
        )
        stack.enter_context(_daemon(folder, *munge))
        _await(lambda: (folder / "munge.sock").exists())
        conf = ("-f", str(folder / "slurm.conf"))
        stack.enter_context(_daemon(folder, "slurmctld", "-D", *conf))
        stack.enter_context(_daemon(folder, "slurmd", "-D", "-N", "node", *conf))
        variables = {"SLURM_CONF": str(folder / "slurm.conf")}
        _await(lambda: _state(variables) == "idle")
        yield variables


@contextmanager
def _daemon(folder: Path, *command: str) -> Iterator[None]:
    with (folder / f"{command[0]}.log").open("wb") as log:
        process = subprocess.Popen(
            command, env=os.environ | {"PATH": PATH}, stdout=log, stderr=subprocess.STDOUT
        )
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _state(variables: dict[str, str]) -> str:
    """Return the node's state, or nothing while no controller answers."""
    words = ["sinfo", "--noheader", "--format=%T"]
    process = subprocess.run(
        words, env=os.environ | variables, capture_output=True, text=True, check=False
    )
    return process.stdout.strip()


def _await(is_so: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        assert time.monotonic() < end, "Slurm does not start"
        time.sleep(0.05)


def _free_ports(n: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(n)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]
