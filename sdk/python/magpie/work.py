"""Calls of the plugin's code that can be given up: Python ends no thread from outside, but a thread that waits for somebody
else's answer goes on when its connection is shut down. So connections are remembered while such a call runs, by the interpreter's
own audit event, whatever library makes them. What the call's own further threads connect to is not."""

from __future__ import annotations

import os
import socket
import sys
import threading
from typing import Any

_local = threading.local()
_installed = False


class GivenUp(OSError):
    """Nobody waits for the answer any more."""


class Work:
    """One call; a with block in the thread that makes it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sockets: list[tuple[int, int]] = []  # descriptor and inode, which together name a socket for as long as it is open
        self._given_up = False
        self._before: Work | None = None

    def __enter__(self) -> "Work":
        self._before = getattr(_local, "work", None)
        _local.work = self
        return self

    def __exit__(self, *error: Any) -> None:
        _local.work = self._before
        with self._lock:
            self._sockets.clear()

    def connecting(self, s: socket.socket) -> None:
        """Remembers a socket that is about to connect."""
        with self._lock:
            if self._given_up:
                raise GivenUp("the call was given up")
            if len(self._sockets) >= 1000:
                self._sockets = [x for x in self._sockets if _inode(x[0]) == x[1]]
            self._sockets.append((s.fileno(), _inode(s.fileno())))

    def give_up(self) -> None:
        """Shuts all connections down that are still open; what waits for them fails."""
        with self._lock:
            self._given_up = True
            sockets, self._sockets = self._sockets, []
        for descriptor, inode in sockets:
            _shut(descriptor, inode)


def _inode(descriptor: int) -> int:
    try:
        return os.fstat(descriptor).st_ino
    except OSError:
        return -1


def _shut(descriptor: int, inode: int) -> None:
    """Shuts a socket down if it is still the one that it was: the number may be another file's by now."""
    try:
        s = socket.socket(fileno=os.dup(descriptor))
    except OSError:
        return
    with s:
        if _inode(s.fileno()) == inode:
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # the other side was quicker


def install() -> None:
    """Hears of connections, from here on, in every thread."""
    global _installed
    if not _installed:
        _installed = True
        sys.addaudithook(_heard)


def _heard(event: str, args: tuple[Any, ...]) -> None:
    if event == "socket.connect":
        work = getattr(_local, "work", None)
        if work is not None:
            work.connecting(args[0])
