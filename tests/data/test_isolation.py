"""No file takes more than its limit of time and memory, or affects the result of another."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from belong.data import isolation
from belong.data.isolation import ENDED, SECONDS, TOO_SLOW, Workers, each_item, set_clock
from belong.data.unreadable import TOO_LARGE
from tests.imports import ROOT


def busy(seconds: float) -> float:
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass
    return seconds


def busy_on_a_short_clock(seconds: float) -> float:
    set_clock(SECONDS / 50)
    return busy(seconds)


def large(megabytes: int) -> int:
    return len(bytearray(megabytes * 2**20))


def ends_itself(item: int) -> int:
    if item == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return item


def ends_once(path: Path) -> str:
    """End the process at the first read of a file, as a kill would."""
    if not path.exists():
        path.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return "read"


def own_pid(_: int) -> int:
    return os.getpid()


def fails(item: int) -> int:
    raise ZeroDivisionError(item)


@pytest.mark.robustness
@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="Windows has no such clock")
def test_a_file_that_takes_too_long_is_named_and_the_others_are_done() -> None:
    answers = list(each_item(busy_on_a_short_clock, [0.0, 60.0, 0.0], jobs=1, count=3))
    assert answers == [0.0, TOO_SLOW, 0.0]
    assert SECONDS == 10


@pytest.mark.robustness
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="Linux alone bounds memory so")
def test_a_file_that_takes_too_much_memory_is_named_and_the_others_are_done() -> None:
    answers = list(each_item(large, [1, 1500, 900], jobs=1, count=3))
    assert answers == [2**20, TOO_LARGE, 900 * 2**20]


def test_a_file_that_ends_its_process_twice_is_named_and_the_others_are_done() -> None:
    items = list(range(20))
    answers = list(each_item(ends_itself, items, jobs=2, count=len(items)))
    assert answers == [ENDED if item == 3 else item for item in items]


def test_a_process_that_somebody_ends_costs_no_file(tmp_path: Path) -> None:
    assert list(each_item(ends_once, [tmp_path / "a"], jobs=1, count=1)) == ["read"]


def test_an_error_of_the_work_is_raised_where_its_answer_is_taken() -> None:
    with pytest.raises(ZeroDivisionError):
        list(each_item(fails, [7], jobs=1, count=1))


def test_the_next_run_takes_the_process_that_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolation, "_idle", [])
    pids = {answer for _ in range(3) for answer in each_item(pid, [0], jobs=1, count=1)}
    assert len(pids) == 1
    assert pids != {os.getpid()}


def pid(_: int) -> int:
    return os.getpid()


@pytest.mark.robustness
def test_work_that_goes_on_is_ended_at_once_when_nobody_takes_any_more() -> None:
    workers = Workers(busy, jobs=1)
    workers.submit([9.0])
    time.sleep(1)
    start = time.perf_counter()
    workers.close()
    assert time.perf_counter() - start < 3


def test_a_connection_is_closed_after_the_thread_that_reads_from_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Otherwise another file may get the number of the connection, and the thread waits for ever.
    reading = []
    end = isolation._Worker.end

    def noted_end(worker: isolation._Worker) -> None:
        if threading.current_thread() is threading.main_thread():
            reading.append(any(thread.is_alive() for thread in workers._threads._threads))
        end(worker)

    monkeypatch.setattr(isolation._Worker, "end", noted_end)
    monkeypatch.setattr(isolation, "_idle", [])
    workers = Workers(busy, jobs=1)
    workers.submit([9.0])
    workers.close()
    assert reading == [False]


def test_a_process_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolation, "_serve", never_answer)
    monkeypatch.setattr(isolation, "_idle", [])
    monkeypatch.setattr(isolation, "STALLED_SECONDS", 0.1)
    pids: list[object] = []
    thread = threading.Thread(
        target=lambda: pids.extend(each_item(pid, [0], jobs=1, count=1)), daemon=True
    )
    thread.start()
    thread.join(60)
    assert pids == [os.getpid()]


def never_answer(_: object) -> None:
    time.sleep(300)


def test_a_process_that_is_kept_reads_relative_paths_from_where_the_program_stands_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
        monkeypatch.chdir(tmp_path / name)
        assert list(each_item(Path.read_text, [Path("file")], jobs=1, count=1)) == [name]


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="Windows has no groups of processes")
def test_ctrl_c_leaves_the_first_process_of_a_program_alive_and_silent() -> None:
    # Jupyter ends a kernel so: SIGINT goes to all of its processes.
    script = (
        "import os, signal\n"
        "from belong.data.isolation import each_item\n"
        "from tests.data.test_isolation import own_pid\n"
        "before = list(each_item(own_pid, [0], jobs=1, count=1))\n"
        "signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "os.killpg(0, signal.SIGINT)\n"
        "print(list(each_item(own_pid, [0], jobs=1, count=1)) == before)\n"
    )
    process = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False,
        start_new_session=True,
    )  # fmt: skip
    assert (process.stdout, process.stderr, process.returncode) == ("True\n", "", 0)
