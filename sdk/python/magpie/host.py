"""What a component can ask of the daemon."""

from __future__ import annotations

import itertools
import logging
import os
import queue
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Iterator

from . import messages as m
from .batch import Time, to_ms
from .errors import HOST, Problem, as_problem
from .log import Component as Logger
from .query import Result, result

if TYPE_CHECKING:
    from .component import Component

_NO_HOST = Problem("the daemon does not answer calls of this plugin", blame=HOST)


@dataclass(frozen=True)
class SourceSettings:
    """The core attributes of a source's block, which every source has without declaring them. Times are in seconds."""

    job: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    interval: float = 15.0
    timeout: float = 10.0
    limit_series: int = 0


class Host:
    """What the daemon gives a component."""

    def __init__(self, calls: "HostCalls", number: int, address: str, directory: str = "", source: SourceSettings = SourceSettings(), checkpoint: bytes | None = None) -> None:
        self.address = address
        """The component's address, such as source.etcd.main."""
        self.log: logging.LoggerAdapter = Logger(address)
        """Writes to the daemon's log under the component's address."""
        self.source = source
        """The core attributes of a source."""
        self.checkpoint = checkpoint
        """What the last opening of this source left with ``Batch.checkpoint``; None: nothing."""
        self._calls = calls
        self._number = number
        self._directory = directory
        self._component: Component | None = None
        self._say: queue.SimpleQueue[str] | None = None  # while it opens

    @property
    def stopping(self) -> bool:
        """Whether the component is being closed: what takes long looks here."""
        return self._component is not None and self._component.stop.is_set()

    def progress(self, text: str) -> None:
        """Says how far a long opening is: the daemon's deadline is on silence, not on the whole."""
        if self._say is not None:
            self._say.put(text)

    def directory(self) -> str:
        """A directory of the component's own that outlives it; made on first call."""
        if not self._directory:
            raise Problem("the daemon gave this component no directory", blame=HOST)
        os.makedirs(self._directory, mode=0o700, exist_ok=True)
        return self._directory

    def get(self, key: str) -> bytes | None:
        """Reads what an earlier ``put`` of this address stored; None: nothing."""
        reply = self._calls.ask(m.HostCall(component=self._number, get=m.StateGet(key=key)))
        return reply.value if reply.found else None

    def put(self, key: str, value: bytes) -> None:
        """Stores a small value (at most 1 MiB) durably under the component's address."""
        self._calls.ask(m.HostCall(component=self._number, put=m.StatePut(key=key, value=value)))

    def query(self, expr: str, start: Time | None = None, end: Time | None = None, step: float = 0.0, timeout: float = 30.0) -> Result:
        """Asks the store whose HTTP API the daemon serves. With a step, in seconds, it is a range query from start to end; without,
        an instant query at start (None: now). A mistake in the expression is a QueryError."""
        start = time.time() if start is None else start
        ask = m.QueryRequest(expr=expr, start_ms=to_ms(start), end_ms=to_ms(start if end is None else end), step_ms=round(step * 1000), timeout_ns=int(timeout * 1e9))
        reply = self._calls.ask(m.HostCall(component=self._number, query=ask), timeout + 1)
        if reply.result.HasField("problem"):
            m.raise_problem(reply.result.problem)
        return result(reply.result)

    def fail(self, error: BaseException | str) -> None:
        """Reports an error that the component goes on after: it is counted by blame and shown as the last one."""
        if self._component is not None:
            self._component.fail(as_problem(error))

    def status(self, status: str, text: str) -> None:
        """Says in a line how the component is (magpie.OK, DEGRADED, FAILED)."""
        if self._component is not None:
            self._component.set_status(status, text)


_PATIENCE = 2.0  # seconds that a call waits for the stream of calls


class HostCalls:
    """Carries the calls of all components over the one Host stream."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._out: queue.SimpleQueue[Any] | None = None
        self._waiting: dict[int, queue.SimpleQueue[Any]] = {}
        self._ids = itertools.count(1)
        self._opened = threading.Event()

    def ask(self, call: Any, timeout: float = 10.0) -> Any:
        answer: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._opened.wait(_PATIENCE)  # the daemon opens the stream before the first component; which arrives first is open
        with self._lock:
            if self._out is None:
                raise _NO_HOST
            call.id = next(self._ids)
            self._waiting[call.id] = answer
            self._out.put(call)
        try:
            reply = answer.get(timeout=timeout)
        except queue.Empty:
            raise Problem("the daemon did not answer in time", blame=HOST) from None
        finally:
            with self._lock:
                self._waiting.pop(call.id, None)
        if reply is None:
            raise _NO_HOST
        if reply.HasField("problem"):
            m.raise_problem(reply.problem)
        return reply

    def serve(self, replies: Iterator[Any], context: Any) -> Iterator[Any]:
        """The Host stream, until the daemon ends it."""
        out: queue.SimpleQueue[Any] = queue.SimpleQueue()
        with self._lock:
            self._out = out
        self._opened.set()

        def read() -> None:
            try:
                for reply in replies:
                    with self._lock:
                        waiting = self._waiting.pop(reply.id, None)
                    if waiting is not None:
                        waiting.put(reply)
            except Exception:
                pass  # the stream has ended
            finally:
                out.put(None)

        if not context.add_callback(lambda: out.put(None)):
            return
        threading.Thread(target=read, daemon=True, name="host").start()
        try:
            while (call := out.get()) is not None:
                yield call
        finally:
            with self._lock:
                if self._out is out:
                    self._out = None
                for waiting in self._waiting.values():
                    waiting.put(None)
