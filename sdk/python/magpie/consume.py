"""Batches to a sink, with retries and acknowledgements."""

from __future__ import annotations

import threading
from collections import deque
from typing import Any, Iterator

from . import messages as m
from .codec.decoder import Decoder, Run, forget
from .codec.frame import parse_packet
from .component import Backoff, Component
from .errors import as_problem, recover
from .received import Received
from .work import Work


class Inbox:
    """Packets that were read ahead, one at most; it ends with the stream, or when the component is closed."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._packets: deque[bytes] = deque()
        self._ended = self._closed = False
        self.work: Work | None = None  # the write that runs

    def read(self, packets: Iterator[bytes]) -> None:
        """Takes what comes, in a thread of its own."""
        try:
            for packet in packets:
                with self._changed:
                    while self._packets and not self._closed:
                        self._changed.wait()
                    if self._closed:
                        return
                    self._packets.append(packet)
                    self._changed.notify_all()
        except Exception:
            pass  # the stream was cancelled
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def close(self) -> None:
        """Ends it at once, whatever is in it, and gives up what is being written."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            work = self.work
        if work is not None:
            work.give_up()

    def next(self, seconds: float | None = None) -> bytes | None:
        """Waits for a packet; None: no more are to be taken. An empty one: none came within so many seconds."""
        with self._changed:
            some = self._changed.wait_for(lambda: self._packets or self._ended or self._closed, seconds)
            if not some:
                return b""
            if self._closed or not self._packets:
                return None
            packet = self._packets.popleft()
            self._changed.notify_all()
            return packet

    def empty(self) -> bool:
        return not self._packets

    def closed_within(self, seconds: float) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: self._closed, seconds)


class Ended(Exception):
    """The stream was cancelled, or the component is being closed."""


class Broken(Exception):
    """The stream cannot go on; another one may."""


class Feed:
    """The state of one Consume."""

    def __init__(self, c: Component, inbox: Inbox) -> None:
        self._component = c
        self._inbox = inbox
        self._impl = c.impl  # what is told of series that will not come again
        self._decoder = Decoder()
        self._pending = m.SinkAck()  # counted since the last one was sent
        self._unsent = 0

    def run(self) -> Iterator[Any]:
        """Writes what comes and yields what the daemon is to know. With more coming, an acknowledgement may wait for a few."""
        while (packet := self._inbox.next()) is not None:
            yield from self._take(packet)
            self._unsent += 1
            if self._inbox.empty() or self._unsent >= 8:
                yield m.Up(ack=self._pending)
                self._pending, self._unsent = m.SinkAck(), 0

    def _take(self, data: bytes) -> Iterator[Any]:
        packet = parse_packet(data)
        runs, forgotten = self._decoder.decode(packet.frames)
        runs = self._taken(runs)
        if runs:
            yield from self._write(Received(packet.last_seq, runs))
        for gone in forgotten:
            if hasattr(self._impl, "forget"):
                recover("forget", self._impl.forget, gone.origin, gone.refs)
        forget(forgotten)
        self._pending.position = packet.last_seq

    def _taken(self, runs: list[Run]) -> list[Run]:
        """Leaves out what the sink did not say that it takes, and counts the histograms and records."""
        offer, kept = self._component.capability, []
        for run in runs:
            if run.histograms is not None and not offer.histograms:
                self._count(len(run.refs), {"histograms": len(run.refs)})
            elif run.records is not None and not offer.logs:
                self._count(len(run.refs), {"logs": len(run.refs)})
            elif run.exemplars is None or offer.exemplars:
                kept.append(run)
        return kept

    def _hand(self, batch: Received) -> None:
        """Hands a batch to the author's."""
        recover("write", self._impl.write, batch)

    def _write(self, batch: Received) -> Iterator[Any]:
        """Hands a batch to the sink until it is stored or refused for good, and counts."""
        backoff, troubled = Backoff(), False
        while True:
            error = None
            try:
                with Work() as work:
                    self._inbox.work = work
                    if self._inbox.closed_within(0):
                        raise Ended
                    self._hand(batch)
            except (Ended, Broken):
                raise
            except Exception as e:
                error = as_problem(e)
                if self._inbox.closed_within(0):
                    raise Ended from e  # it was given up; what was not acknowledged comes again
            self._inbox.work = None
            dropped = batch.take_dropped()
            if error is None or error.permanent:
                if error is not None:
                    self._component.fail(error)
                    dropped = {"rejected": len(batch)}
                    self._pending.refused.add(position=batch.id, text=m.clean(error.text))
                self._count(len(batch), dropped)
                if troubled:
                    yield m.Up(trouble=m.Problem())
                return
            self._component.fail(error)
            troubled = True
            yield m.Up(trouble=m.problem(error))
            if self._inbox.closed_within(backoff.pause(error)):
                raise Ended

    def _count(self, n: int, dropped: dict[str, int]) -> None:
        for reason, k in dropped.items():
            self._pending.dropped[reason] += k
            n -= k
        self._pending.stored += n
