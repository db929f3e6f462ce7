"""What a program of this project ends with: an exit code, and a line if it ended badly."""

import atexit
import gc
import signal
import sys
from collections.abc import Callable
from threading import Thread

from belong.runtime.errors import InputError

USER_MISTAKE = 2
NOT_GOOD_ENOUGH = 5  # a model for what is required of it, or the images for `clean` to judge them
INTERRUPTED = 130
OUT_OF_MEMORY = "out of memory; smaller batches, or smaller images, want less"
NO_THREADS = "no more threads can be started: the limit of processes of this user is reached"
# What torch says, and the loader of a library.
WANTS_MEMORY = ("can't allocate memory", "failed to map segment", "Cannot allocate memory")

# What they keep in circles and is not found at the end, they report as leaked.
REPORT_LEAKS = ("triton", "onnx")


def end_at_once() -> None:
    """Have the program end without a last search for circles in all that torch has made: 0.25 s."""
    atexit.register(_skip_the_last_search)


def _skip_the_last_search() -> None:
    if not any(name in sys.modules for name in REPORT_LEAKS):
        gc.freeze()


def exit_code_of(
    work: Callable[[], int], say: Callable[[str], None], *, interrupted: str = "interrupted"
) -> int:
    """Do a program's work and return its exit code, a user's mistake said in one line.

    A fault of the program is raised on, and keeps its trace. SIGTERM ends the work as Ctrl-C does.

    Args:
        work: returns the exit code if all is well.
        say: is told what went wrong.
        interrupted: the line after an interruption that has none of its own.
    """
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        return work()
    except InputError as error:
        say(str(error))
        return error.exit_code
    except OSError as error:
        # The disk, a permission, a name: the message of the system names the file.
        where = f"{error.filename}: " if error.filename else ""
        say(f"{where}{error.strerror or error}")
        return USER_MISTAKE
    except (ImportError, MemoryError, RuntimeError) as error:
        if "start new thread" in str(error):
            say(NO_THREADS)
        elif no_memory_left(error):
            say(OUT_OF_MEMORY)
        else:
            raise
        return USER_MISTAKE
    except KeyboardInterrupt as interruption:
        if not _can_start_threads():  # OpenBLAS interrupts its own process where it cannot
            say(NO_THREADS)
            return USER_MISTAKE
        say(str(interruption) or interrupted)
        return INTERRUPTED
    finally:
        signal.signal(signal.SIGTERM, before)


def _can_start_threads() -> bool:
    thread = Thread(target=int, daemon=True)
    try:
        thread.start()
    except RuntimeError:
        return False
    thread.join()
    return True


def no_memory_left(error: BaseException) -> bool:
    """Return whether an exception says that memory, of the machine or of a GPU, is used up.

    torch has a class of its own for a GPU, which is known by its name, for many commands need no
    torch; for a processor it raises a plain RuntimeError.
    """
    names = {kind.__name__ for kind in type(error).__mro__}
    wants = any(words in str(error) for words in WANTS_MEMORY)
    return wants or bool(names & {"MemoryError", "OutOfMemoryError"})


def _interrupt(_signal: int, _frame: object) -> None:
    raise KeyboardInterrupt
