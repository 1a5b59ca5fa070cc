"""A component in a test, without a daemon: what it sets comes back as the samples that a sink would see, with the labels that
the SDK adds, through the codec.

    with opened(Check, {"url": url}) as c:
        samples = c.collect()
        assert samples.value("up") == 1
"""

from __future__ import annotations

import contextlib
import json
import tempfile
import time
from typing import Any, Iterator

from .batch import Batch, Scope
from .codec.bodies import histogram_bytes, text
from .codec.decoder import Decoder, Run, forget
from .codec.encoder import Encoder
from .codec.frame import STREAM, Header, frame, parse_packet
from .codec.packer import Packer
from .component import Component, configured
from .errors import Problem, path_text
from .histogram import Histogram
from .host import Host, HostCalls, SourceSettings
from .query import Result
from .received import Received, Sample
from .series import NAME, series_text
from .units import Bytes, Duration, Secret


class Samples(list[Sample]):
    """Samples as a sink sees them."""

    def find(self, name: str, /, **labels: str) -> list[Sample]:
        """Those of a name that have the labels."""
        return [s for s in self if s.labels[NAME] == name and all(s.labels.get(n) == v for n, v in labels.items())]

    def value(self, name: str, /, **labels: str) -> float:
        """The value of the one sample of a name that has the labels."""
        found = self.find(name, **labels)
        if len(found) != 1:
            raise AssertionError(f"{len(found)} samples of {name} {labels} are among:\n" + "\n".join(f"{series_text(s.labels)} {s.value}" for s in self))
        return found[0].value


class State(HostCalls):
    """A daemon's memory for ``host.get`` and ``host.put``. ``results`` are what ``host.query`` gives, by expression."""

    def __init__(self, results: dict[str, Result] | None = None) -> None:
        super().__init__()
        self.kept: dict[str, bytes] = {}
        self.results = results or {}

    def ask(self, call: Any, timeout: float = 10.0) -> Any:
        from . import messages as m

        if call.HasField("put"):
            self.kept[call.put.key] = call.put.value
            return m.HostReply()
        if call.HasField("query"):
            return m.HostReply(result=self._result(call.query.expr))
        found = call.get.key in self.kept
        return m.HostReply(found=found, value=self.kept.get(call.get.key, b""))


    def _result(self, expr: str) -> Any:
        from . import messages as m

        r = self.results.get(expr, Result("vector"))
        out = m.QueryResponse(type=r.type, text=r.text, warnings=r.warnings)
        for s in r.series:
            series = out.series.add(times_ms=[round(t * 1000) for t, _ in s.points], values=[v if isinstance(v, (int, float)) else 0.0 for _, v in s.points])
            if any(isinstance(v, Histogram) for _, v in s.points):
                series.histograms.extend(histogram_bytes(v) if isinstance(v, Histogram) else b"" for _, v in s.points)
            for name, value in sorted(s.labels.items()):
                series.labels.add(name=name, value=value)
        return out


class Derived:
    """The work of a processor of samples under test."""

    def __init__(self, work: Any) -> None:
        self.work = work
        self._out = Scope(own=True).batch()
        self._packer, self._encoder, self._decoder = Packer(1, 3600, 1 << 30), Encoder(1), Decoder()
        self._decoder.decode(frame(Header(STREAM, stream=1), text("processor.test.main")))

    def process(self, batch: Received) -> Samples:
        """Hands a batch over, such as ``received`` makes them, and returns what comes of it."""
        out = self._out
        out.time = None
        self.work.process(batch, out)
        self._packer.fill(lambda p: out.seal(lambda part: self._encoder.encode(p, part)))
        return _unpacked(self._packer, self._decoder)

    def snapshot(self) -> bytes | None:
        """The state."""
        return self.work.snapshot()


class Opened:
    """An open component under test."""

    def __init__(self, component: Component, packer: Packer) -> None:
        self.component = component
        self.impl = component.impl
        self.host = component.host
        self.packer = packer
        self.error: Problem | None = None  # of the last collect
        self._batch = component.scope.batch()
        self._batch.whole = True
        self._encoder = Encoder(component.number)
        self._decoder = Decoder()
        self._decoder.decode(frame(Header(STREAM, stream=component.number), text(component.address)))

    def collect(self, at: float | None = None) -> Samples:
        """One cycle of a source. What it raised is in ``error``."""
        b = self._batch
        b.time = time.time() if at is None else at
        b.deadline = time.monotonic() + self.host.source.timeout
        self.error = b.attempt("collect", lambda: self.impl.collect(b))
        self.packer.fill(lambda p: b.seal(lambda part: self._encoder.encode(p, part)), cycle=True)
        return self.sent()

    def sent(self) -> Samples:
        """What was emitted since the last call."""
        return _unpacked(self.packer, self._decoder)

    def derive(self, state: bytes | None = None) -> Derived:
        """Begins the work of a processor of samples, or goes on with it."""
        return Derived(self.impl.derive(state))

    @property
    def dropped(self) -> dict[str, int]:
        """What was dropped so far, by reason."""
        return dict(self.component.scope.dropped)


def _unpacked(packer: Packer, decoder: Decoder) -> Samples:
    """What was packed since the last call."""
    out = Samples()
    last = packer.cut()
    while packer._queue:
        packet = parse_packet(packer.next(lambda: False) or b"")
        runs, forgotten = decoder.decode(packet.frames)
        out += [s for _, s in Received(packet.last_seq, runs).samples()]
        forget(forgotten)
    packer.ack(last)
    return out


class _Alone:
    """What a component needs of a server."""

    def __init__(self) -> None:
        self.packer = Packer(1, 3600, 1 << 30)


@contextlib.contextmanager
def opened(
    cls: Any, config: dict[str, Any] | None = None, source: SourceSettings | None = None, checkpoint: bytes | None = None, results: dict[str, Result] | None = None
) -> Iterator[Opened]:
    """Opens a component and closes it at the end. The configuration is by the schema's names; durations are in seconds (or as
    text, "5s"), a Secret is given as its text. ``results`` are what ``host.query`` answers, by expression."""
    capability = cls.__magpie__
    capability.name = capability.name or "test"
    server: Any = _Alone()
    settings = source or SourceSettings(job="test", timeout=10.0, limit_series=100_000)
    with tempfile.TemporaryDirectory() as d:
        address = f"{capability.kind}.{capability.name}.main"
        host = Host(State(results), 1, address, d, settings, checkpoint)
        c = Component(server, capability, 1, address, _json(capability.ready(), config or {}), host, "testhost")
        o = Opened(c, server.packer)
        try:
            yield o
        finally:
            c.close(5.0)


def remarks(cls: Any, config: dict[str, Any] | None = None) -> list[str]:
    """What a configuration's ``validate`` says of it: "path: text"."""
    _, said = configured(cls.__magpie__, _json(cls.__magpie__.ready(), config or {}))
    return [f"{'warning: ' if warning else ''}{path_text(path)}: {what}" for warning, path, what in said.list]


def received(*samples: tuple[dict[str, str], float], at: float | None = None) -> Received:
    """A batch for a sink's ``write``: labels and a value each."""
    scope_batch = _source_batch()
    scope_batch.time = time.time() if at is None else at
    for labels, value in samples:
        scope_batch.put(scope_batch.series(labels), value)
    packer, encoder, decoder = Packer(1, 3600, 1 << 30), Encoder(1), Decoder()
    decoder.decode(frame(Header(STREAM, stream=1), text("source.test.main")))
    packer.fill(lambda p: scope_batch.seal(lambda part: encoder.encode(p, part)))
    runs: list[Run] = []
    for _ in range(packer.cut()):
        more, _ = decoder.decode(parse_packet(packer.next(lambda: False) or b"").frames)
        runs += more
    return Received(1, runs)


def _source_batch() -> Batch:
    return Scope(own=True).batch()


def _json(schema: Any, config: dict[str, Any]) -> bytes:
    """A configuration as the daemon sends it."""
    out: dict[str, Any] = {}
    kinds = {a.name: a for a in schema.attributes}
    bodies = {b.name: b for b in schema.blocks}
    for name, value in config.items():
        if name in bodies and isinstance(value, list):
            out[name] = [json.loads(_json(bodies[name].body, v)) for v in value]
        elif name in bodies:
            out[name] = json.loads(_json(bodies[name].body, value))
        else:
            out[name] = _sent(kinds[name].of if name in kinds else str, value)
    return json.dumps(out).encode()


def _sent(of: Any, value: Any) -> Any:
    if of is Duration:
        return round((Duration.parse(value) if isinstance(value, str) else value) * 1e9)
    if of is Bytes and isinstance(value, str):
        return int(Bytes.parse(value))
    return value.reveal() if isinstance(value, Secret) else value
