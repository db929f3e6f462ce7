"""Map errors to exit codes and to messages of one line."""

import atexit
import gc
import signal
import sys
from collections.abc import Callable
from threading import Thread

from belong.runtime.errors import InputError

USER_MISTAKE = 2
NOT_GOOD_ENOUGH = 5  # a model misses a requirement, or `clean` cannot judge the images
INTERRUPTED = 130
OUT_OF_MEMORY = "out of memory: reduce the batch size or the image size"
NO_THREADS = "cannot start another thread: this user has reached the limit of processes"
# Messages of torch and of the library loader.
MEMORY_MESSAGES = ("can't allocate memory", "failed to map segment", "Cannot allocate memory")

# Libraries that report objects in reference cycles as leaks if the final collection is skipped.
REPORT_LEAKS = ("triton", "onnx")


def skip_final_collection() -> None:
    """Skip the garbage collection at exit, which takes 0.25 s for the objects of torch."""
    atexit.register(_freeze_objects)


def _freeze_objects() -> None:
    if not any(name in sys.modules for name in REPORT_LEAKS):
        gc.freeze()


def exit_code_of(
    work: Callable[[], int], say: Callable[[str], None], *, interrupted: str = "interrupted"
) -> int:
    """Run `work` and return its exit code; report an error of the user in one line.

    A bug in the program is raised with its traceback. SIGTERM ends the work as Ctrl-C does.

    Args:
        work: returns the exit code of a successful run.
        say: prints an error message.
        interrupted: the message after an interruption without a message of its own.
    """
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        return work()
    except InputError as error:
        say(str(error))
        return error.exit_code
    except OSError as error:
        # A full disk, a permission, a wrong name: the system's message names the file.
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
        if not _can_start_threads():  # OpenBLAS then interrupts its own process
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
    """Return whether an exception reports that memory, of the machine or of a GPU, is exhausted.

    torch raises a class of its own for a GPU. The class is recognized by its name, because many
    commands run without torch. For the CPU torch raises a plain RuntimeError.
    """
    names = {kind.__name__ for kind in type(error).__mro__}
    is_message = any(words in str(error) for words in MEMORY_MESSAGES)
    return is_message or bool(names & {"MemoryError", "OutOfMemoryError"})


def _interrupt(_signal: int, _frame: object) -> None:
    raise KeyboardInterrupt
