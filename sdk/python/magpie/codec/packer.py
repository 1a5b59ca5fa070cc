"""Frames into packets: they wait a little for more, go out within the credit that the daemon gives, and are remembered until
it has them on disk."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import Callable

from .frame import CYCLE, MAX_PACKET, PACKET_HEADER, packet_header

_AIM = 256 << 10  # a packet that has grown to this is sent at once


class Closed(Exception):
    """The stream to the daemon has ended."""


class Packer:
    """Collects the frames of all source components of a process into packets. Memory: the window that the daemon grants, and
    one batch."""

    def __init__(self, epoch: int, linger: float, window: int) -> None:
        self._epoch = epoch
        self._linger = linger
        self._window = window
        self._changed = threading.Condition()
        self._frames: list[bytes | bytearray] = []  # of the packet in the making
        self._size = PACKET_HEADER
        self._samples = 0
        self._due: float | None = None  # when the packet in the making is to go
        self._queue: deque[bytes] = deque()
        self._seq = 0
        self._acked = 0
        self._sizes: deque[int] = deque()  # of the packets after _acked
        self._in_flight = 0
        self._closed = False

    def fill(self, encode: Callable[["Packer"], None], *, cycle: bool = False, wait: bool = True, stop: Callable[[], bool] = lambda: False) -> bool:
        """Waits for credit and then calls encode, which adds frames. cycle marks the last frame as the end of a cycle. With
        wait False it returns False at once where there is no credit; it also gives up when stop says so."""
        with self._changed:
            while not self._closed and self._in_flight + (self._size if self._frames else 0) >= self._window:
                if not wait or stop():
                    return False
                self._changed.wait(0.5)
            if self._closed:
                raise Closed
            encode(self)
            if not self._frames:
                return True
            if cycle:
                last = bytearray(self._frames[-1])
                last[5] |= CYCLE
                self._frames[-1] = last
            if self._size >= _AIM:
                self._cut()
            elif self._due is None:
                self._due = time.monotonic() + self._linger
                self._changed.notify_all()
            return True

    def add(self, f: bytes, samples: int = 0) -> None:
        """Appends a whole frame; within fill."""
        self._append(f, samples, _AIM)

    def add_behind(self, f: bytes) -> None:
        """Appends a whole frame to the packet of what is before it, if that packet can take it at all."""
        self._append(f, 0, MAX_PACKET)

    def _append(self, f: bytes, samples: int, aim: int) -> None:
        if self._frames and self._size + len(f) > aim:
            self._cut()
        self._frames.append(f)
        self._size += len(f)
        self._samples += samples

    def _cut(self) -> None:
        """Queues the packet in the making."""
        self._due = None
        if not self._frames or self._closed:
            return
        self._seq += 1
        head = packet_header(self._epoch, self._seq, self._samples, self._size - PACKET_HEADER)
        self._queue.append(b"".join((head, *self._frames)))
        self._in_flight += self._size
        self._sizes.append(self._size)
        self._frames, self._size, self._samples = [], PACKET_HEADER, 0
        self._changed.notify_all()

    def next(self, ended: Callable[[], bool]) -> bytes | None:
        """Waits for the next packet to send; None when the stream has ended."""
        with self._changed:
            while True:
                if self._closed or ended():
                    return None
                if self._queue:
                    return self._queue.popleft()
                left = None if self._due is None else self._due - time.monotonic()
                if left is not None and left <= 0:
                    self._cut()
                else:
                    self._changed.wait(left)

    def ack(self, seq: int) -> None:
        """Everything up to seq is durable. A seq that was not sent is ignored."""
        with self._changed:
            if seq <= self._seq:
                while self._acked < seq:
                    self._in_flight -= self._sizes.popleft()
                    self._acked += 1
                self._changed.notify_all()

    def set_window(self, size: int) -> None:
        """Changes how many bytes may be on the way without an acknowledgement."""
        with self._changed:
            self._window = size
            self._changed.notify_all()

    def flush(self, stop: Callable[[], bool] = lambda: False) -> bool:
        """Queues what there is and waits until it is durable; False where stop said to wait no longer."""
        with self._changed:
            self._cut()
            want = self._seq
            while self._acked < want:
                if self._closed:
                    raise Closed
                if stop():
                    return False
                self._changed.wait(0.5)
            if self._closed:
                raise Closed
            return True

    def cut(self) -> int:
        """Queues what there is and returns the number of the last packet."""
        with self._changed:
            self._cut()
            return self._seq

    def wake(self) -> None:
        """Makes those who wait look again."""
        with self._changed:
            self._changed.notify_all()

    def close(self) -> None:
        """Makes everything fail with Closed."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
