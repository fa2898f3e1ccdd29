"""The command line: `fastnn train | recipes | eval | predict | report | bench | info`.

Each command is a module with `add_arguments(parser)` and `run(args) -> exit code`; only that of the command given
is imported, and it imports what it needs when it runs. Errors that a user can cause end in one line on the standard
error stream and exit code 2, an interruption in one line and exit code 130 (Ctrl-C) or 143 (the signal TERM, as `kill`
and schedulers send it). With the environment variable FASTNN_TRACEBACK=1 they show where they came from.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from types import FrameType
from typing import NoReturn

from .parser import OneLineParser

__all__ = ["main"]

COMMANDS = {
    "train": "train a network and leave a folder with checkpoints, metrics and plots",
    "eval": "evaluate the network of a run on the test images",
    "recipes": "list the recipes of `fastnn train --recipe`, or show one",
    "predict": "classify image files with the network of a run",
    "report": "write one HTML page about a run, or compare several",
    "bench": "measure kernels, training steps, optimisers, augmentation and inference",
    "info": "show version, processor, threads and measured peaks",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: the arguments after the program's name, by default those of the process.

    Returns:
        The exit code: 0, or 1 if a training diverged, 2 for errors of arguments, files and data, 130 or 143 after an
        interruption.
    """
    with _terminable():
        return _run(argv)


class Terminated(KeyboardInterrupt):
    """The signal TERM, which ends a command as Ctrl-C does: files whole, threads stopped, one line."""


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """Have the signal TERM raise `Terminated`, where that is ours to say: in the main thread, with no other handler."""

    def handle(number: int, frame: FrameType | None) -> NoReturn:
        raise Terminated

    ours = threading.current_thread() is threading.main_thread()
    if not ours or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _run(argv: Sequence[str] | None) -> int:
    """What `main` does, with the handler of signals in place."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    command = next((word for word in arguments if not word.startswith("-")), None)
    try:
        args = _parser(command).parse_args(arguments)
        code: int = args.run(args)
        sys.stdout.flush()
        return code
    except SystemExit as done:
        return done.code if isinstance(done.code, int) else 2
    except Terminated as error:
        return _fail(command, error, 143)
    except KeyboardInterrupt as error:
        return _fail(command, error, 130)
    except BrokenPipeError:
        _discard_output()
        return 1
    except ArithmeticError as error:
        return _fail(command, error, 1)
    except (ImportError, OSError, ValueError, MemoryError) as error:
        return _fail(command, error, 2)


def _parser(command: str | None) -> OneLineParser:
    """The parser, complete for one command; of the others it knows names and purposes."""
    from .._version import __version__

    parser = OneLineParser(
        prog="fastnn",
        description="Train small convolutional networks on a CPU, fast.",
        epilog="`fastnn COMMAND --help` describes a command.",
    )
    parser.add_argument("--version", action="version", version=f"fastnn {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, purpose in COMMANDS.items():
        sub = commands.add_parser(name, help=purpose, description=purpose[0].upper() + purpose[1:] + ".")
        if name == command:
            module = importlib.import_module(f"{__name__}.{name}")
            module.add_arguments(sub)
            sub.set_defaults(run=module.run)
    return parser


def _fail(command: str | None, error: BaseException, code: int) -> int:
    """Say in one line what went wrong."""
    if os.environ.get("FASTNN_TRACEBACK") == "1":
        import traceback

        traceback.print_exception(error)
    name = f"fastnn {command}" if command in COMMANDS else "fastnn"
    if isinstance(error, KeyboardInterrupt):
        word = "terminated" if isinstance(error, Terminated) else "interrupted"
        text = word + (f"; {error}" if str(error) else "")
    else:
        text = f"error: {one_line(error)}"
    try:
        sys.stdout.flush()
    except OSError:
        _discard_output()
    with contextlib.suppress(OSError):
        print(f"{name}: {text}", file=sys.stderr)
    return code


def _discard_output() -> None:
    """Whoever read our output has gone, or its disk is full: Python's own flush at exit must not complain again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def one_line(error: BaseException) -> str:
    """The message of an error without line breaks; for errors of the system the file and the reason."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    if isinstance(error, MemoryError) and not str(error):
        return "not enough memory"
    return " ".join(str(error).split()) or type(error).__name__
