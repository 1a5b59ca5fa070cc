"""The messages of the contract (sdk/wire/magpie.proto), made from its descriptor when they are first used: no generated
classes, and any protobuf from 3.21 on. They have a pool of their own, so that an author's own messages cannot clash."""

from __future__ import annotations

import base64
import functools
from typing import Any

from ._descriptor import DESCRIPTOR
from . import config, errors  # their classes have the names of messages
from .series import DECLARED, TYPES


@functools.cache
def _pool() -> Any:
    from google.protobuf import descriptor_pool  # not before it is needed: it takes longer than all the rest

    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(base64.b64decode(DESCRIPTOR))
    return pool


@functools.cache
def _factory() -> Any:
    from google.protobuf import message_factory

    if hasattr(message_factory, "GetMessageClass"):  # since 4.22
        return message_factory.GetMessageClass
    return message_factory.MessageFactory(_pool()).GetPrototype


@functools.cache
def _message(name: str) -> Any:
    return _factory()(_pool().FindMessageTypeByName("magpie.v1." + name))


def __getattr__(name: str) -> Any:
    """``messages.OpenRequest`` and all others of the contract."""
    if name.startswith("_"):
        raise AttributeError(name)
    try:
        cls = _message(name)
    except KeyError:
        raise AttributeError(name) from None
    globals()[name] = cls
    return cls


def methods() -> list[Any]:
    """What the service offers: descriptors with name, input_type and output_type."""
    return list(_pool().FindServiceByName("magpie.v1.Plugin").methods)


def of(descriptor: Any) -> Any:
    """The class of a message."""
    return globals().get(descriptor.name) or __getattr__(descriptor.name)


# ---- Conversions

_BLAMES = {errors.PLUGIN: 0, errors.TARGET: 1, errors.HOST: 2, errors.CONFIG: 3}


def problem(error: BaseException | None) -> Any:
    """The message of an error; None of None."""
    if error is None:
        return None
    p = errors.as_problem(error)
    m = _message("Problem")(
        blame=_BLAMES.get(p.blame, 0), permanent=p.permanent, retry_after_ns=int(p.retry_after * 1e9), path=steps(p.path), text=clean(p.text), fix=clean(p.fix)
    )
    if isinstance(p, errors.Panic):
        m.stack = clean(p.stack)
    return m


def raise_problem(m: Any) -> None:
    """Raises what the daemon reports."""
    blame = next(b for b, n in _BLAMES.items() if n == m.blame) if m.blame in _BLAMES.values() else errors.PLUGIN
    raise errors.Problem(m.text, blame=blame, permanent=m.permanent, retry_after=m.retry_after_ns / 1e9, fix=m.fix)


def clean(text: str) -> str:
    """A text that protobuf takes."""
    return text.encode("utf-8", "replace").decode()


def steps(path: errors.Path) -> list[Any]:
    """The messages of a path."""
    step = _message("Step")
    return [step(key=s.key) if isinstance(s, errors.Key) else step(index=s) if isinstance(s, int) else step(name=s) for s in path]


def schema(s: config.Schema) -> Any:
    """The message of what a block takes."""
    m = _message("Schema")()
    for a in s.attributes:
        out = m.attributes.add(
            name=a.name, type=a.type, unit=a.unit, checks=a.checks, required=a.required, sensitive=a.sensitive,
            doc=a.mark.doc, was=a.mark.was, deprecated=a.mark.deprecated, change=a.mark.change,
        )  # fmt: skip
        if a.default is not None:
            out.default = a.default
    for b in s.blocks:
        m.blocks.add(name=b.name, many=b.many, required=b.required, labels=[name for _, name in b.body.labels], body=schema(b.body), doc=b.mark.doc, was=b.mark.was)
    return m


def metrics() -> list[Any]:
    """The catalogue of declared metrics, by name."""
    metric = _message("Metric")
    return [
        metric(name=m.family.name, type=TYPES.index(m.family.type), unit=m.family.unit, help=m.family.help, labels=m.labels)
        for m in sorted(DECLARED, key=lambda m: m.family.name)
    ]
