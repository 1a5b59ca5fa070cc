"""A processor of samples: batches come as to a sink, what is made of them goes up the same stream."""

from __future__ import annotations

import time
from typing import Any, Iterator

from . import messages as m
from .batch import Scope
from .codec.bodies import MAX_CHECKPOINT, checkpoint_frames, read_checkpoint
from .codec.encoder import Encoder
from .codec.frame import CHECKPOINT, Malformed, parse_packet, read_frames
from .codec.packer import Packer
from .component import Component
from .consume import Broken, Ended, Feed, Inbox
from .errors import Panic, Problem, as_problem, recover
from .received import Received

# What a processor took is saved, with its state and output, after so many bytes of packets, or after a while: the daemon's
# window is larger.
_SAVE_BYTES = 1 << 20
_SAVE_EVERY = 2.0


class Derive(Feed):
    """The state of one Consume of a processor. Memory: what was made of 1 MiB of packets."""

    def __init__(self, c: Component, inbox: Inbox, stream: int) -> None:
        super().__init__(c, inbox)
        self._stream = stream
        self._out = Scope(own=True).batch()
        self._encoder = Encoder(stream)
        self._packer = Packer(0, 3600, 1 << 40)  # of what was not saved yet
        self._sent = 0  # its last packet that was
        self._had_state = False

    def run(self) -> Iterator[Any]:
        """Works on what comes, and yields what comes of it, with the acknowledgement."""
        state = self._begin()
        self._had_state = state is not None
        try:
            self._impl = recover("derive", self._component.impl.derive, state)
        except Exception as e:
            raise self._broken(e) from e
        unsaved, due = 0, time.monotonic() + _SAVE_EVERY
        while (packet := self._inbox.next(max(0.0, due - time.monotonic()))) is not None:
            if packet:
                unsaved += len(packet)
                yield from self._take(packet)
            if unsaved >= _SAVE_BYTES or unsaved and time.monotonic() >= due:
                yield from self._save()
                unsaved = 0
            if time.monotonic() >= due:
                due = time.monotonic() + _SAVE_EVERY

    def _begin(self) -> bytes | None:
        """The state, which the daemon sends first."""
        parts: list[bytes] = []
        while data := self._inbox.next():
            for f in read_frames(parse_packet(data).frames):
                if f.header.kind != CHECKPOINT or f.header.layout != len(parts):
                    raise Malformed("the stream of a processor begins with its state")
                parts.append(read_checkpoint(f)[1])
                if len(parts) == f.header.n:
                    return b"".join(parts) or None
        raise Ended

    def _hand(self, batch: Received) -> None:
        """Lets the processor work on a batch, and encodes what it set. A panic leaves nobody knows what behind: it ends the
        stream, and another derivation goes on from the last state."""
        out = self._out
        out.time, out.whole = None, False
        try:
            recover("process", self._impl.process, batch, out)
        except Panic as e:
            raise self._broken(e) from e
        except Exception:
            defined = out.defined
            out._empty()
            out.defined = defined  # their refs stay
            raise
        if len(out) or out.whole:
            self._packer.fill(lambda p: out.seal(lambda part: self._encoder.encode(p, part)), cycle=out.whole)

    def _save(self) -> Iterator[Any]:
        """The output, the state and the acknowledgement, which the daemon keeps together."""
        try:
            state = recover("snapshot", self._impl.snapshot)
            if state is not None and len(state) > MAX_CHECKPOINT:
                raise Problem(f"the state of {self._component.address} has {len(state)} bytes, and at most {MAX_CHECKPOINT} are kept: fewer series, or shorter windows")
        except Exception as e:
            raise self._broken(e) from e
        last = self._packer.cut()
        while self._sent < last:
            packet = parse_packet(self._packer.next(lambda: False) or b"")
            self._sent = packet.last_seq
            self._packer.ack(self._sent)
            yield m.Up(derived=bytes(packet.frames))
        self._had_state = self._had_state or state is not None
        if self._had_state:
            for f in checkpoint_frames(self._stream, "state", state or b""):
                yield m.Up(derived=f)
        yield m.Up(ack=self._pending)
        self._pending = m.SinkAck()

    def _broken(self, error: BaseException) -> Broken:
        """Reports an error that ends the stream."""
        p = as_problem(error)
        self._component.fail(p)
        return Broken(m.clean(p.text))
