"""The calls that the daemon makes."""

from __future__ import annotations

import queue
import random
import threading
import time
from typing import Any, Iterator

import grpc

from . import messages as m
from .codec.frame import Malformed
from .codec.packer import Packer
from .component import Component, configured, valid_config
from .config import Mistake
from .consume import Broken, Ended, Feed, Inbox
from .derive import Derive
from .errors import Problem, as_problem, recover
from .host import Host, HostCalls, SourceSettings
from .kinds import Capability, Discovered
from .notification import Notification
from .version import VERSION

LINGER = 0.1  # seconds that a packet waits for more
INITIAL_WINDOW = 8 << 20  # until the daemon says otherwise


class Server:
    """Answers the daemon's calls. Every answer is a message; a gRPC status means that the pipe broke."""

    def __init__(self, name: str, version: str, *offers: Any) -> None:
        self.name = name
        self.version = version
        self.packer = Packer(random.getrandbits(64), LINGER, INITIAL_WINDOW)
        self._host = HostCalls()
        self._types: dict[tuple[str, str], Capability] = {}
        self._components: dict[int, Component] = {}
        self._lock = threading.Lock()
        for offer in offers:
            c = getattr(offer, "__magpie__", None)
            if c is None:
                raise Mistake(f"{offer!r} offers nothing: put @magpie.source or another kind on it")
            c.name = c.name or name
            c.ready()
            if (c.kind, c.name) in self._types:
                raise Mistake(f"{c.kind} {c.name!r} is offered twice")
            self._types[c.kind, c.name] = c

    def _capability(self, kind: str, name: str) -> Capability:
        c = self._types.get((kind, name))
        if c is None:
            raise Problem(f"plugin {self.name} offers no {kind} {name!r}")
        return c

    def _component(self, number: int, method: str = "") -> Component:
        with self._lock:
            c = self._components.get(number)
        if c is None:
            raise Problem(f"there is no component {number}")
        if method and not hasattr(c.impl, method):
            raise Problem(f"component {c.address} does not offer this")
        return c

    # ---- What it offers

    def Describe(self, request: Any, context: Any) -> Any:
        d = m.Description(name=self.name, version=self.version, sdk="python " + VERSION, metrics=m.metrics())
        for c in self._types.values():
            d.types.add(
                kind=c.kind, name=c.name, doc=c.doc, config=m.schema(c.ready()), job=c.job, own_labels=c.own_labels, streams=c.streams,
                discovers=c.discovers, late=c.late, live=c.live, validates=c.validates, histograms=c.histograms, exemplars=c.exemplars,
                probes=c.probes, logs=c.logs, derives=c.derives,
            )  # fmt: skip
        return d

    def Validate(self, request: Any, context: Any) -> Any:
        out = m.ValidateResponse()
        try:
            _, remarks = configured(self._capability(request.kind, request.type), request.config)
            for warning, path, text in remarks.list:
                out.diagnostics.add(warning=warning, path=m.steps(path), text=m.clean(text))
        except Problem as e:
            out.problem.CopyFrom(m.problem(e))
        return out

    def Probe(self, request: Any, context: Any) -> Any:
        """Opens a component for the duration of its probe."""

        def probe() -> None:
            capability = self._capability(request.kind, request.type)
            c = Component(self, capability, 0, request.address, request.config, Host(self._host, 0, request.address), "")
            try:
                if hasattr(c.impl, "probe"):
                    recover("probe", c.work_for, context, c.impl.probe)
            finally:
                c.close_impl()

        return m.ProbeResponse(problem=_problem_of(probe))

    # ---- A component's life

    def Open(self, request: Any, context: Any) -> Iterator[Any]:
        """Opens a component and says how far it is meanwhile."""
        events: queue.SimpleQueue[Any] = queue.SimpleQueue()

        given_up = threading.Event()
        when_ended(context, given_up.set)

        def run() -> None:
            error = None
            try:
                self._open(request, events)
                if given_up.is_set():  # the daemon will not close what it does not know of
                    self._close(request.component, 5.0)
            except Exception as e:
                error = as_problem(e)
            events.put(m.OpenEvent(opened=m.Opened()) if error is None else m.OpenEvent(problem=m.problem(error)))

        threading.Thread(target=run, daemon=True, name="open " + request.address).start()
        while True:
            event = events.get()
            if not isinstance(event, str):
                yield event
                return
            yield m.OpenEvent(progress=m.clean(event))

    def _open(self, r: Any, events: "queue.SimpleQueue[Any]") -> None:
        s = r.source
        settings = SourceSettings(s.job, dict(s.labels), s.interval_ns / 1e9, s.timeout_ns / 1e9, s.limit_series)
        host = Host(self._host, r.component, r.address, r.dir, settings, r.checkpoint or None)
        host._say = events
        c = Component(self, self._capability(r.kind, r.type), r.component, r.address, r.config, host, s.instance)
        try:
            if c.capability.discovers and s.targets:
                recover("set_targets", c.impl.set_targets, _targets(s.targets))
            with self._lock:
                if c.number in self._components:
                    raise Problem(f"component number {c.number} is in use")
                self._components[c.number] = c
        except Exception:
            c.close_impl()
            raise
        host._say = None
        c.start()

    def Reconfigure(self, request: Any, context: Any) -> Any:
        def reconfigure() -> None:
            c = self._component(request.component)
            if not c.capability.live:
                raise Problem(f"{c.capability.kind} {c.capability.name!r} cannot be reconfigured in place", permanent=True)
            config = valid_config(c.capability, request.config)
            recover("reconfigure", c.impl.reconfigure, config)
            c.config = config

        return m.ReconfigureResponse(problem=_problem_of(reconfigure))

    def Close(self, request: Any, context: Any) -> Any:
        problem = _problem_of(lambda: self._close(request.component, request.timeout_ns / 1e9 or 10.0))
        return m.CloseResponse(problem=problem, last_seq=self.packer.cut())

    def _close(self, number: int, timeout: float) -> None:
        with self._lock:
            c = self._components.pop(number, None)
        if c is not None:
            c.close(timeout)

    def Health(self, request: Any, context: Any) -> Any:
        with self._lock:
            all = list(self._components.values())
        return m.HealthReport(components=[c.health() for c in all])

    def Host(self, replies: Iterator[Any], context: Any) -> Iterator[Any]:
        return self._host.serve(replies, context)

    # ---- Streams

    def Produce(self, downs: Iterator[Any], context: Any) -> Iterator[bytes]:
        """Sends what the sources of the process collect."""
        ended = threading.Event()

        def end() -> None:
            ended.set()
            self.packer.wake()

        def read() -> None:
            try:
                for down in downs:
                    if down.HasField("ack"):
                        self.packer.ack(down.ack.seq)
                    elif down.HasField("credit") and not down.credit.component:
                        self.packer.set_window(down.credit.bytes)
            except Exception:
                pass  # the stream has ended
            finally:
                end()

        when_ended(context, end)
        threading.Thread(target=read, daemon=True, name="produce").start()
        try:
            while (packet := self.packer.next(ended.is_set)) is not None:
                yield packet
        finally:
            self.packer.close()

    def Consume(self, packets: Iterator[bytes], context: Any) -> Iterator[Any]:
        """Feeds one sink, or one processor of samples, from one pipeline. One packet is read ahead while another is written."""
        try:
            c = self._component(_number(context, "magpie-component"))
        except Problem as e:
            context.abort(grpc.StatusCode.NOT_FOUND, e.text)
        if c.capability.kind != "sink" and not c.capability.derives:
            context.abort(grpc.StatusCode.UNIMPLEMENTED, "not a sink")
        inbox = Inbox()
        feed = Derive(c, inbox, _number(context, "magpie-derives")) if c.capability.derives else Feed(c, inbox)
        when_ended(context, inbox.close)
        c.on_stop(inbox.close)
        threading.Thread(target=inbox.read, args=(packets,), daemon=True, name="consume").start()
        try:
            yield from feed.run()
        except Malformed as e:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(e))
        except Broken as e:
            context.abort(grpc.StatusCode.ABORTED, str(e))
        except Ended:
            pass
        finally:
            inbox.close()
        if c.stop.is_set():
            context.abort(grpc.StatusCode.UNAVAILABLE, c.address + " was closed")

    def MapSeries(self, request: Any, context: Any) -> Any:
        """Asks a processor about series."""
        out = m.MapResponse()

        def map_all() -> None:
            ask = self._component(request.component, "map_series").impl.map_series
            for asked in request.series:
                mapped = recover("map_series", ask, {label.name: label.value for label in asked.labels})
                answer = out.series.add()
                for name, value in sorted((mapped or {}).items()):
                    if value != "":
                        answer.labels.add(name=name, value=value)

        problem = _problem_of(map_all)
        return out if problem is None else m.MapResponse(problem=problem)

    def Notify(self, request: Any, context: Any) -> Any:
        """Delivers a notification."""
        out = m.NotifyResponse()

        def notify() -> None:
            c = self._component(request.component, "notify")
            out.receipt = m.clean(str(recover("notify", c.work_for, context, c.impl.notify, Notification.parse(request.notification)) or ""))

        problem = _problem_of(notify)
        if problem is not None:
            out.problem.CopyFrom(problem)
        return out

    def Discover(self, request: Any, context: Any) -> Iterator[Any]:
        """Runs a discovery for as long as the daemon listens."""
        try:
            c = self._component(request.component, "discover")
        except Problem as e:
            yield m.Targets(problem=m.problem(e))
            return
        out = _Finder()
        when_ended(context, out.end)
        c.on_stop(out.end)

        def run() -> None:
            problem = _problem_of(lambda: recover("discover", c.work_for, context, c.impl.discover, out))
            if problem is not None and not out.stopping:
                out.lists.put(m.Targets(problem=problem))
            out.lists.put(None)

        threading.Thread(target=run, daemon=True, name=c.address).start()
        while (found := out.lists.get()) is not None:
            yield found

    def SetTargets(self, request: Any, context: Any) -> Any:
        """Tells a source what its discoveries found."""

        def tell() -> None:
            recover("set_targets", self._component(request.component, "set_targets").impl.set_targets, _targets(request.targets))

        return m.SetTargetsResponse(problem=_problem_of(tell))

    # ---- The end

    def stop(self, within: float = 2.0) -> None:
        """Closes every component, when the daemon has ended the connection."""
        self.packer.close()
        with self._lock:
            all, self._components = list(self._components.values()), {}
        until = time.monotonic() + within
        closing = [threading.Thread(target=_problem_of, args=(lambda c=c: c.close(within),), daemon=True) for c in all]
        for t in closing:
            t.start()
        for t in closing:
            t.join(max(0.0, until - time.monotonic()))


def _number(context: Any, key: str) -> int:
    """A number in the call's metadata."""
    numbers = [v for k, v in context.invocation_metadata() if k == key]
    if len(numbers) != 1 or not numbers[0].isdecimal():
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"the metadata lacks {key}")
    return int(numbers[0])


def when_ended(context: Any, call: Any) -> None:
    """Has something called when a call of the daemon has ended, or now if it has."""
    if not context.add_callback(call):
        call()


class _Finder:
    """What a discovery tells its lists to."""

    def __init__(self) -> None:
        self.lists: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._stop = threading.Event()

    @property
    def stopping(self) -> bool:
        return self._stop.is_set()

    def wait(self, seconds: float) -> bool:
        return self._stop.wait(seconds)

    def found(self, targets: list[Discovered]) -> None:
        self.lists.put(m.Targets(targets=[m.Target(address=t.address, labels=t.labels) for t in targets]))

    def end(self) -> None:
        self._stop.set()
        self.lists.put(None)


def _targets(found: Any) -> list[Discovered]:
    return [Discovered(t.address, dict(t.labels)) for t in found]


def _problem_of(call: Any) -> Any:
    """Calls and gives the message of what it raised; None: nothing."""
    try:
        call()
    except Exception as e:
        return m.problem(as_problem(e))
    return None
