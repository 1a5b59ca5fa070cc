"""Errors that steer: whom they blame, whether trying again can help, and which attribute caused them."""

from __future__ import annotations

import re
import traceback
from dataclasses import dataclass
from typing import Any, Callable, TypeVar

PLUGIN, TARGET, HOST, CONFIG = "plugin", "target", "host", "config"
"""Who can be to blame: a bug in the plugin (or a plain exception), what is watched or written to, the machine or the
daemon, what the ops team wrote."""


@dataclass(frozen=True)
class Key:
    """A key of a map in a path; names of attributes are plain text, indexes of lists whole numbers."""

    key: str


Path = tuple[str | int | Key, ...]

_STEP = re.compile(r'\.?([a-z_][a-z0-9_]*)|\[(\d+)\]|\["((?:[^"\\]|\\.)*)"\]')


def parse_path(path: str | Path) -> Path:
    """Reads ``target[1].port`` or ``headers["Accept"]``."""
    if not isinstance(path, str):
        return tuple(path)
    steps: list[str | int | Key] = []
    at = 0
    while at < len(path):
        m = _STEP.match(path, at)
        if not m:
            raise ValueError(f"{path!r} is not the path of an attribute: write it as target[1].port")
        if m[1] is not None:
            steps.append(m[1])
        elif m[2] is not None:
            steps.append(int(m[2]))
        else:
            steps.append(Key(re.sub(r"\\(.)", r"\1", m[3])))
        at = m.end()
    return tuple(steps)


def path_text(path: Path) -> str:
    """Writes a path as ``target[1].port``."""
    text = ""
    for step in path:
        if isinstance(step, Key):
            text += '["' + step.key.replace("\\", "\\\\").replace('"', '\\"') + '"]'
        elif isinstance(step, int):
            text += f"[{step}]"
        else:
            text += ("." if text else "") + step
    return text


class Problem(Exception):
    """An error with what the daemon needs to know of it. Raise one, or make one of another error with the functions
    below: ``raise magpie.target(e)``."""

    def __init__(
        self, text: str, *, blame: str = PLUGIN, permanent: bool = False, retry_after: float = 0.0, path: str | Path = (), fix: str = ""
    ) -> None:
        super().__init__(text)
        self.text = text
        self.blame = blame
        self.permanent = permanent
        self.retry_after = retry_after
        self.path = parse_path(path)
        self.fix = fix

    def __str__(self) -> str:
        return self.text


class Panic(Problem):
    """A bug, caught where the SDK called the plugin: an exception that nobody raises on purpose."""

    def __init__(self, where: str, error: BaseException) -> None:
        super().__init__(f"panic in {where}: {type(error).__name__}: {error}")
        self.stack = "".join(traceback.format_exception(error))[-8000:]


class Full(Exception):
    """What ``emit(wait=False)`` raises: the daemon has no room now. A push source answers 429 or 503."""


def as_problem(error: BaseException | str) -> Problem:
    """Makes a problem of any error: a plain one blames the plugin, a time-out the target."""
    if isinstance(error, str):
        return Problem(error)
    if isinstance(error, Problem):
        return error
    if isinstance(error, OSError):
        text = str(error) or type(error).__name__
    else:
        text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    p = Problem(text, blame=TARGET if isinstance(error, TimeoutError) else PLUGIN)
    p.__cause__ = error
    return p


def _wrap(error: BaseException | str, **changes: Any) -> Problem:
    was = as_problem(error)
    p = was if isinstance(was, Panic) else Problem(
        was.text, blame=was.blame, permanent=was.permanent, retry_after=was.retry_after, path=was.path, fix=was.fix
    )
    for name, value in changes.items():
        setattr(p, name, value)
    if isinstance(error, BaseException) and error is not p:
        p.__cause__ = error
    return p


def target(error: BaseException | str) -> Problem:
    """Blames what is watched: it does not answer, or answers nonsense."""
    return _wrap(error, blame=TARGET)


def permanent(error: BaseException | str) -> Problem:
    """Says that trying again cannot help."""
    return _wrap(error, permanent=True)


def retry_after(error: BaseException | str, seconds: float) -> Problem:
    """Asks not to be tried again before so many seconds have passed."""
    return _wrap(error, retry_after=seconds, blame=TARGET)


def at(path: str, error: BaseException | str) -> Problem:
    """Blames an attribute by its path in the block, such as ``url`` or ``target[1].port``: it reaches the ops team as a
    diagnostic at that place in their file."""
    return _wrap(error, path=parse_path(path), blame=CONFIG)


def fix(error: BaseException | str, text: str) -> Problem:
    """Adds what to do about an error, a sentence for an ops team."""
    return _wrap(error, fix=text)


_BUGS = (TypeError, AttributeError, NameError, LookupError, ArithmeticError, AssertionError, RuntimeError, MemoryError, ImportError, BufferError, SystemError)


def is_bug(error: BaseException) -> bool:
    """Whether an exception is a bug and not an answer: Python's own, and not ValueError or OSError, which data and the
    world outside cause. Libraries derive theirs from any of these, so only the builtin classes count."""
    if not isinstance(error, Exception):
        return True  # SystemExit, KeyboardInterrupt
    return isinstance(error, _BUGS) and type(error).__module__ == "builtins"


T = TypeVar("T")


def recover(where: str, call: Callable[..., T], *args: Any) -> T:
    """Calls the plugin's code; whatever it raises becomes a Problem, a bug a Panic with its stack."""
    try:
        return call(*args)
    except (Problem, Full):
        raise
    except BaseException as e:
        if is_bug(e):
            raise Panic(where, e) from e
        raise as_problem(e) from e


class Remarks:
    """What a configuration's ``validate`` has to say, each at an attribute: ``remarks.error("port", "…")``. An empty path is
    the block as a whole."""

    def __init__(self) -> None:
        self.list: list[tuple[bool, Path, str]] = []

    def error(self, path: str, text: str) -> None:
        """Reports a mistake."""
        self.list.append((False, parse_path(path), text))

    def warn(self, path: str, text: str) -> None:
        """Reports what is allowed but probably not meant."""
        self.list.append((True, parse_path(path), text))
