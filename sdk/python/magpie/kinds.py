"""What a plugin offers: a decorator for each kind, put on the class of a component.

A class is made with ``(config, host)`` when a component opens; its docstring is its page in the manual. What it may have beyond the method of its kind:

    probe(self)                       checks the outside world, for ``magpie check -online``
    health(self) -> (status, text)    asked every few seconds, answered from memory
    reconfigure(self, config)         takes a changed configuration in place (attributes with change="live"); an error keeps the old one
    set_targets(self, targets)        of a source: takes targets from discoveries
    close(self)                       called last
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Callable, Protocol, TypeVar

from .batch import Batch
from .config import Mistake, Schema, schema_of

if TYPE_CHECKING:
    from .received import Received

T = TypeVar("T", bound=type)


@dataclass
class Empty:
    """The configuration of what takes none."""


@dataclass
class Capability:
    """A type together with the class of its components."""

    kind: str
    cls: Any
    config: type
    name: str = ""  # the plugin's
    doc: str = ""
    job: str = ""
    own_labels: bool = False
    streams: bool = False
    late: bool = False
    histograms: bool = False
    exemplars: bool = False
    logs: bool = False
    derives: bool = False
    schema: Schema | None = None

    def ready(self) -> Schema:
        """Reads the configuration's class; a mistake in it is found here, when the plugin starts."""
        if self.schema is None:
            self.schema = schema_of(self.config)
        return self.schema

    @property
    def discovers(self) -> bool:
        return hasattr(self.cls, "set_targets")

    @property
    def live(self) -> bool:
        return hasattr(self.cls, "reconfigure")

    @property
    def validates(self) -> bool:
        return hasattr(self.config, "validate")

    @property
    def probes(self) -> bool:
        return hasattr(self.cls, "probe")


def _kind(kind: str, method: str, config: type | None, options: dict[str, Any]) -> Callable[[T], T]:
    def mark(cls: T) -> T:
        if not callable(getattr(cls, method, None)):
            raise Mistake(f"{cls.__name__} is a {kind} and has no method {method}")
        options["doc"] = options["doc"] or " ".join((cls.__doc__ or "").split())
        cls.__magpie__ = Capability(kind, cls, config or Empty, **options)  # type: ignore[attr-defined]
        return cls

    return mark


def source(config: type | None = None, *, name: str = "", doc: str = "", job: str = "", own_labels: bool = False) -> Callable[[T], T]:
    """A source on the SDK's clock: ``collect(self, out: Batch)`` is called once when the component opens and then every
    interval; it never overlaps itself, and a tick that comes while it still runs is skipped and counted. What was set before
    an exception is still sent, with ``up`` at 0. A series that the next call does not set again goes stale.

    ``job`` is the default of the label job; with ``own_labels`` the source makes job, instance and the block's labels itself."""
    return _kind("source", "collect", config, dict(name=name, doc=doc, job=job, own_labels=own_labels))


def stream_source(config: type | None = None, *, name: str = "", doc: str = "", job: str = "", own_labels: bool = False) -> Callable[[T], T]:
    """A source with a rhythm of its own: ``stream(self, out: Emitter)`` is called once and returns when ``out.wait`` or
    ``out.stopping`` says so. What it raises before is reported, and it is called again after a pause (full jitter, 100 ms to
    30 s)."""
    return _kind("source", "stream", config, dict(name=name, doc=doc, job=job, own_labels=own_labels, streams=True))


def processor(config: type | None = None, *, name: str = "", doc: str = "") -> Callable[[T], T]:
    """A processor of series: ``map_series(self, labels: dict) -> dict | None`` is asked once per series, never per sample, and
    must give the same answer for the same series (a replay asks again). None drops the series."""
    return _kind("processor", "map_series", config, dict(name=name, doc=doc))


def sample_processor(config: type | None = None, *, name: str = "", doc: str = "", histograms: bool = False, logs: bool = False) -> Callable[[T], T]:
    """A processor of samples: what it makes of them goes on in their place. ``derive(self, state: bytes | None)`` begins the work
    on the samples of one pipeline, or goes on with it, and returns what does that (see Derivation); state is what the last
    ``snapshot`` gave whose batches were kept, None at first. It may be of an earlier configuration of the component.

    ``histograms`` and ``logs``: it takes them; otherwise they are not given to it, and counted as dropped."""
    return _kind("processor", "derive", config, dict(name=name, doc=doc, derives=True, histograms=histograms, logs=logs))


class Derivation(Protocol):
    """The work of a processor of samples on one pipeline; its calls are one after another. What ``process`` sets, how far it was
    handed samples, and the ``snapshot`` taken there become durable together, every few seconds; after a failure another
    derivation goes on from there, so that every sample counts exactly once, whatever dies.

    It may have ``forget(self, origin, refs)`` too, as a sink may: series of an origin will not come again (refs None: none of
    them)."""

    def process(self, batch: "Received", out: Batch) -> None:
        """Takes a batch, and sets in out what comes of it, with times of their own (``put_at``) or at ``out.time``. Samples that it
        does not take are dropped with ``batch.drop(i, reason)``. A permanent Problem drops the whole batch; after any other
        exception, which must leave no trace in the memory, it is called again with the same batch; what was put into out is
        taken away. out is the same each time: its refs stay defined."""

    def snapshot(self) -> bytes | None:
        """All that is needed to go on, at most 8 MiB; None for a processor without memory."""


def sink(
    config: type | None = None, *, name: str = "", doc: str = "", out_of_order: bool = False, histograms: bool = False, exemplars: bool = False, logs: bool = False
) -> Callable[[T], T]:
    """A sink: ``write(self, batch: Received)``. When it returns, the batch is acknowledged but for the samples that were
    dropped with ``batch.drop(i, reason)``. A permanent Problem drops the whole batch, counted; after any other exception it
    is called again with the same batch (same ``batch.id``) after a pause. The batch is valid only during the call.

    ``histograms``, ``exemplars`` and ``logs`` (lines and events): it takes them; otherwise they are not given to it, and
    histograms and records are counted as dropped. ``out_of_order``: it takes samples older than the newest it has; ``write`` is then called by two threads."""
    return _kind("sink", "write", config, dict(name=name, doc=doc, late=out_of_order, histograms=histograms, exemplars=exemplars, logs=logs))


def notifier(config: type | None = None, *, name: str = "", doc: str = "") -> Callable[[T], T]:
    """A notifier: ``notify(self, n: Notification) -> str | None`` delivers a message and returns what to remember of it, such as
    the id of a chat thread. An exception other than a permanent Problem is retried by the daemon with the same
    idempotency key."""
    return _kind("notifier", "notify", config, dict(name=name, doc=doc))


def discovery(config: type | None = None, *, name: str = "", doc: str = "") -> Callable[[T], T]:
    """A discovery: ``discover(self, out: Finder)`` calls ``out.found([Discovered(…), …])`` with the whole list whenever it
    changes, and returns when ``out.wait`` or ``out.stopping`` says so."""
    return _kind("discovery", "discover", config, dict(name=name, doc=doc))


class Rhythm(Protocol):
    """What everything that blocks is handed."""

    @property
    def stopping(self) -> bool:
        """Whether to return now."""

    def wait(self, seconds: float) -> bool:
        """Waits, and says whether to return: ``while not out.wait(10): …``"""


class Emitter(Rhythm, Protocol):
    """What ``stream`` is handed; safe for use by several threads, each with batches of its own."""

    def batch(self) -> Batch:
        """Makes a batch with a dictionary of its own, to be filled and emitted again and again by one thread."""

    def emit(self, b: Batch, wait: bool = True) -> None:
        """Sends what the batch holds and empties it; its series stay defined. It waits for credit while the daemon has no room;
        with wait False it raises Full instead."""

    def flush(self) -> None:
        """Returns when everything emitted before is durable: what a push source answers its client after."""


class Finder(Rhythm, Protocol):
    """What ``discover`` is handed."""

    def found(self, targets: "list[Discovered]") -> None:
        """Tells the whole list."""


@dataclass(frozen=True)
class Discovered:
    """A target that a discovery found; labels are for relabelling (__meta_… and others)."""

    address: str
    labels: dict[str, str] = dataclasses.field(default_factory=dict)


OK, DEGRADED, FAILED = "ok", "degraded", "failed"
"""How a component says it is."""
