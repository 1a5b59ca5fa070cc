"""A component from Open to Close: its clock, its rhythm, its health."""

from __future__ import annotations

import random
import threading
import time
from typing import TYPE_CHECKING, Any, Callable

from . import messages as m
from .batch import Batch, Scope
from .codec.encoder import Encoder
from .codec.packer import Closed
from .errors import CONFIG, Full, Panic, Problem, Remarks, as_problem, recover
from .config import fill
from .host import Host
from .kinds import DEGRADED, FAILED, OK, Capability
from .work import Work, install

if TYPE_CHECKING:
    from .server import Server

QUARANTINE_AFTER = 5  # panics in a row make the SDK leave a component alone
_FIRST_PAUSE, _LAST_PAUSE = 0.1, 30.0
_PATIENCE = 0.5  # seconds that a thread is waited for when its component is closed
_STATUS = {OK: 0, DEGRADED: 1, FAILED: 2}


class Backoff:
    """Waits longer and longer, with full jitter: a random time up to a bound that doubles."""

    def __init__(self) -> None:
        self.bound = 0.0

    def pause(self, error: Problem) -> float:
        """How long to wait, as the error asks for or as the back-off says."""
        self.bound = min(max(2 * self.bound, _FIRST_PAUSE), _LAST_PAUSE)
        if error.retry_after > 0:
            return error.retry_after * (1 + random.random() / 4)
        return random.random() * self.bound


def configured(c: Capability, data: bytes) -> tuple[Any, Remarks]:
    """Fills a configuration and asks it."""
    config = recover("the configuration", fill, c.ready(), data)
    remarks = Remarks()
    if c.validates:
        recover("validate", config.validate, remarks)
    return config, remarks


def valid_config(c: Capability, data: bytes) -> Any:
    """A configuration without mistakes."""
    config, remarks = configured(c, data)
    for warning, path, text in remarks.list:
        if not warning:
            raise Problem(text, blame=CONFIG, permanent=True, path=path)
    return config


class Component:
    """One open component."""

    def __init__(self, server: "Server", capability: Capability, number: int, address: str, config: bytes, host: Host, instance: str) -> None:
        self.server = server
        self.capability = capability
        self.number = number
        self.address = address
        self.host = host
        self.stop = threading.Event()
        self._on_stop: list[Callable[[], None]] = []
        self._lock = threading.Lock()
        self._status, self._text = OK, ""
        self._collects = self._skipped = 0
        self._took = 0.0
        self._thread: threading.Thread | None = None
        s = host.source
        self.scope = Scope(s.job, s.labels, instance, s.limit_series, capability.own_labels)
        host._component = self
        install()
        self.config = valid_config(capability, config)
        self.impl = recover("open", capability.cls, self.config, host)

    def start(self) -> None:
        """Begins what the component does by itself."""
        if self.capability.kind == "source":
            run = self._stream if self.capability.streams else self._collect
            self._thread = threading.Thread(target=run, daemon=True, name=self.address)
            self._thread.start()

    # ---- A source on the clock

    def _collect(self) -> None:
        """Calls collect at once, then at a phase of the interval that the address decides, so that components spread."""
        s = self.host.source
        batch = self.scope.batch()
        batch.whole = True
        encoder = Encoder(self.number)
        panics = 0
        at = time.time()
        while not self.stop.is_set():
            start = time.perf_counter()
            batch.time = at
            batch.deadline = time.monotonic() + s.timeout
            error = batch.attempt("collect", lambda: self.work(self.impl.collect, batch))
            if self.stop.is_set():
                return  # what a collection says that was told to end is not the target's state
            if error is not None:
                self.say(error)
            try:
                self.server.packer.fill(lambda p: batch.seal(lambda b: encoder.encode(p, b)), cycle=True, stop=self.stop.is_set)
            except Closed:
                return
            panics = panics + 1 if isinstance(error, Panic) else 0
            if panics == QUARANTINE_AFTER:
                self.set_status(FAILED, f"left alone after {panics} panics in a row: {error}")
                return
            now = time.time()
            following = next_tick(self.address, s.interval, at)
            skipped = 0
            if following < now:
                skipped = int((now - following) // s.interval) + 1
                following += skipped * s.interval
            with self._lock:
                self._collects += 1
                self._skipped += skipped
                self._took = time.perf_counter() - start
            if self.stop.wait(min(following - now, s.interval)):
                return
            at = following
            if abs(time.time() - at) > s.interval / 10:
                at = time.time()  # the machine slept, or its clock was set: the samples are of now

    # ---- A source with a rhythm of its own

    def _stream(self) -> None:
        self.keep_running("stream", lambda: self.work(self.impl.stream, _Emitter(self)))

    def keep_running(self, what: str, run: Callable[[], object]) -> None:
        """Calls run again, after a pause, whenever it returns before it is told to."""
        backoff = Backoff()
        while not self.stop.is_set():
            began, error = time.monotonic(), Problem(f"{what} returned although nobody asked it to")
            try:
                recover(what, run)
            except Exception as e:
                error = as_problem(e)
            if self.stop.is_set():
                return
            self.fail(error)
            if time.monotonic() - began > 60:
                backoff = Backoff()
            self.stop.wait(backoff.pause(error))

    # ---- The end

    def work(self, call: Callable[..., Any], *args: Any) -> Any:
        """Calls the plugin's code so that it can be given up when the component is closed."""
        with Work() as work:
            self.on_stop(work.give_up)
            try:
                return call(*args)
            finally:
                with self._lock:
                    self._on_stop.remove(work.give_up)

    def work_for(self, context: Any, call: Callable[..., Any], *args: Any) -> Any:
        """The same, and when the call of the daemon that it is for has ended."""
        with Work() as work:
            self.on_stop(work.give_up)
            if not context.add_callback(work.give_up):
                work.give_up()
            try:
                return call(*args)
            finally:
                with self._lock:
                    self._on_stop.remove(work.give_up)

    def on_stop(self, call: Callable[[], None]) -> None:
        """Has something called when the component is told to end."""
        with self._lock:
            self._on_stop.append(call)
        if self.stop.is_set():
            call()

    def close(self, timeout: float) -> None:
        """Ends the component's work, then the component. What waits for somebody else's answer is given up. A thread cannot be
        ended from outside: one that is busy with something else is left to itself after a moment, what it says then is
        nobody's, and the component is closed behind it. Not so where only one may hold something: that is waited for as long
        as the daemon does."""
        self.stop.set()
        self.server.packer.wake()
        with self._lock:
            calls = list(self._on_stop)
        for call in calls:
            call()
        if self._thread is None or not self._thread.is_alive():
            self.close_impl()
            return
        exclusive = any(a.mark.change == "exclusive" for a in self.capability.ready().attributes)
        self._thread.join(timeout if exclusive else min(timeout, _PATIENCE))
        if not self._thread.is_alive():
            self.close_impl()
        elif exclusive:
            raise Problem(f"{self.address} did not stop in time: let it look at host.stopping, and wait no longer than out.remaining()")
        else:
            self.host.log.debug("still at work while it is closed: its thread is left to its time-out")
            threading.Thread(target=self._close_behind, daemon=True, name="close " + self.address).start()

    def _close_behind(self) -> None:
        if self._thread is not None:
            self._thread.join()
        try:
            self.close_impl()
        except Exception as e:
            self.say(as_problem(e))

    def close_impl(self) -> None:
        """Calls the component's own close."""
        if hasattr(self.impl, "close"):
            recover("close", self.impl.close)

    # ---- How it is

    def fail(self, error: Problem) -> None:
        """Records an error and logs it; a panic with its stack."""
        self.scope.fail(error)
        self.say(error)

    def say(self, error: Problem) -> None:
        if isinstance(error, Panic):
            self.host.log.error(error.text, extra={"stack": error.stack})
        else:
            self.host.log.debug(error.text, extra={"blame": error.blame})

    def set_status(self, status: str, text: str) -> None:
        with self._lock:
            self._status, self._text = status, text

    def health(self) -> Any:
        """The message for Health, from memory."""
        s = self.scope
        with self._lock, s.lock:
            h = m.ComponentHealth(
                component=self.number, status=_STATUS.get(self._status, 0), text=m.clean(self._text), series=s.live, collects=self._collects,
                skipped=self._skipped, dropped=s.dropped, errors=s.errors, last_error=m.problem(s.last), last_collect_ns=int(self._took * 1e9),
            )  # fmt: skip
        if hasattr(self.impl, "health"):
            try:
                status, text = recover("health", self.impl.health)
                h.status, h.text = _STATUS[status], m.clean(text)
            except Exception as e:
                h.status, h.text = _STATUS[FAILED], m.clean(str(e))
        return h

    def emitted(self) -> None:
        with self._lock:
            self._collects += 1


class _Emitter:
    """What a source with a rhythm of its own emits through."""

    def __init__(self, c: Component) -> None:
        self._component = c
        self._encoder = Encoder(c.number)  # used under the packer's lock

    @property
    def stopping(self) -> bool:
        return self._component.stop.is_set()

    def wait(self, seconds: float) -> bool:
        return self._component.stop.wait(seconds)

    def batch(self) -> Batch:
        return self._component.scope.batch()

    def emit(self, b: Batch, wait: bool = True) -> None:
        c = self._component
        if b._misuse is not None:
            error, b._misuse = b._misuse, None
            raise error
        if not c.server.packer.fill(lambda p: b.seal(lambda part: self._encoder.encode(p, part)), wait=wait, stop=c.stop.is_set):
            raise Full("the daemon has no room for more data now")
        c.emitted()

    def flush(self) -> None:
        if not self._component.server.packer.flush(self._component.stop.is_set):
            raise Full("the component is being closed")


_FNV_OFFSET, _FNV_PRIME, _YEAR_ONE = 14695981039346656037, 1099511628211, 62135596800


def next_tick(address: str, interval: float, t: float) -> float:
    """The first time after t that is phase(address) into a multiple of the interval, as the Go SDK has it."""
    h = _FNV_OFFSET
    for b in address.encode():
        h = (h ^ b) * _FNV_PRIME & 2**64 - 1
    every = max(1, round(interval * 1e9))
    phase = h % every
    since = round(t * 1e9) + _YEAR_ONE * 10**9 - phase
    return ((since // every + 1) * every + phase - _YEAR_ONE * 10**9) / 1e9
