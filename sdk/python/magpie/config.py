"""A component's configuration: a dataclass whose fields say what the block takes. It is the only place where an author
declares it.

    @dataclass
    class Config:
        url: str = magpie.attr("Address to request.", check="url")
        method: str = magpie.attr("HTTP method.", default="GET", check="oneof=GET HEAD")
        wait: magpie.Duration = magpie.attr("How long to wait.", default="5s", check="min=100ms,max=1m", change="live")
        token: magpie.Secret | None = magpie.attr("Sent as bearer token.")
        tls: TLS | None = magpie.block("How to verify the other side.")     # at most one block
        rule: list[Rule] = magpie.block("What to look for.")                # any number, in order

Types of attributes: str, bool, int, float, Duration, Bytes, Secret, and lists and dicts (by text) of them. Without a default
an attribute is required, unless ``None`` is among its types. A default is written as in HCL without quotes, or as a value.
The type of a block is a dataclass; in it, ``magpie.label`` is the block's label.

Checks, separated by commas, are made by the daemon: url, hostport, regexp, oneof=a b, min=…, max=….
"""

from __future__ import annotations

import dataclasses
import json
import re
import types
import typing
from typing import Any

from .errors import CONFIG, Key, Path, Problem, path_text
from .units import Bytes, Duration, Secret

RESERVED = ("labels", "job", "interval", "timeout", "limit_series", "enabled", "for_each", "isolate", "discover", "plugin", "queue", "dynamic", "content")
"""The core attributes, which a configuration may not declare."""

_CHECKS = ("url", "hostport", "regexp", "oneof", "min", "max")
_UNSET: Any = object()


class Mistake(Exception):
    """A mistake in a dataclass, found when the plugin starts."""


@dataclasses.dataclass(frozen=True)
class _Mark:
    """What a field is, in its metadata."""

    what: str  # attr, block, label
    doc: str
    name: str = ""
    default: Any = _UNSET
    check: str = ""
    was: str = ""
    deprecated: str = ""
    change: str = "replace"


def attr(doc: str, *, default: Any = _UNSET, check: str = "", was: str = "", deprecated: str = "", change: str = "replace", name: str = "") -> Any:
    """Declares an attribute. ``was`` is an old name that is still taken; ``change`` is what a change costs: live, replace or
    exclusive; ``name`` is for names that Python does not take."""
    return _field(_Mark("attr", doc, name, default, check, was, deprecated, change))


def block(doc: str, *, was: str = "", name: str = "") -> Any:
    """Declares a nested block: one (a dataclass), at most one (``TLS | None``), or any number (``list[Rule]``). ``was`` is an old
    name that is still taken."""
    return _field(_Mark("block", doc, name, was=was))


def label(doc: str, *, name: str = "") -> Any:
    """Declares the label of the block that this dataclass is of."""
    return _field(_Mark("label", doc, name))


def _field(mark: _Mark) -> Any:
    return dataclasses.field(kw_only=True, metadata={"magpie": mark})


@dataclasses.dataclass(frozen=True)
class Attribute:
    """A name = value line of a block, as Describe tells it."""

    field: str
    name: str
    type: str
    unit: str
    checks: tuple[str, ...]
    default: str | None
    required: bool
    sensitive: bool
    mark: _Mark
    of: Any  # the Python type, without None


@dataclasses.dataclass(frozen=True)
class Block:
    """A nested block."""

    field: str
    name: str
    many: bool
    required: bool
    body: "Schema"
    mark: _Mark


@dataclasses.dataclass(frozen=True)
class Schema:
    """What a block takes."""

    of: type
    attributes: tuple[Attribute, ...]
    blocks: tuple[Block, ...]
    labels: tuple[tuple[str, str], ...]  # field, name


def schema_of(config: type) -> Schema:
    """Reads a dataclass; a mistake in it is a Mistake that names the field."""
    s = _schema(config, ())
    for name in [x.name for x in (*s.attributes, *s.blocks)]:
        if name in RESERVED:
            raise Mistake(f"{config.__name__} declares {name!r}, which is a core attribute of every block: rename it")
    return s


def _schema(config: type, around: tuple[type, ...]) -> Schema:
    if not dataclasses.is_dataclass(config):
        raise Mistake(f"{config!r} is not a dataclass")
    if config in around:
        raise Mistake(f"{config.__name__} is nested in itself, and a schema has an end: give the inner blocks a class of their own")
    around = (*around, config)
    hints = typing.get_type_hints(config)
    attributes, blocks, labels = [], [], []
    for f in dataclasses.fields(config):
        mark: _Mark | None = f.metadata.get("magpie")
        if mark is None:
            continue
        where = f"{config.__name__}.{f.name}"
        name = mark.name or f.name.rstrip("_")
        if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
            raise Mistake(f"{where}: {name!r} is not a name of lower-case letters, digits and underscores")
        if not mark.doc:
            raise Mistake(f"{where}: say in a sentence what it is")
        of, optional = _without_none(hints[f.name])
        if mark.what == "label":
            labels.append((f.name, name))
        elif mark.what == "block":
            many = typing.get_origin(of) is list
            body = _schema(typing.get_args(of)[0] if many else of, around)
            blocks.append(Block(f.name, name, many, not many and not optional, body, mark))
        else:
            attributes.append(_attribute(where, f.name, name, of, optional, mark))
    return Schema(config, tuple(attributes), tuple(blocks), tuple(labels))


def _attribute(where: str, field: str, name: str, of: Any, optional: bool, mark: _Mark) -> Attribute:
    hcl, unit, sensitive = _type_of(where, of)
    if mark.change not in ("live", "replace", "exclusive"):
        raise Mistake(f"{where}: change is {mark.change!r}, and can be live, replace or exclusive")
    checks = tuple(mark.check.split(",")) if mark.check else ()
    for c in checks:
        if c.partition("=")[0] not in _CHECKS:
            raise Mistake(f"{where}: unknown check {c!r}")
    default = None if mark.default is _UNSET or mark.default is None else _default_text(mark.default)
    if default is not None:
        try:
            _from_text(of, default)
        except ValueError as e:
            raise Mistake(f"{where}: default: {e}") from e
    required = default is None and not optional and mark.default is _UNSET
    return Attribute(field, name, hcl, unit, checks, default, required, sensitive, mark, of)


def _without_none(hint: Any) -> tuple[Any, bool]:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        rest = [a for a in typing.get_args(hint) if a is not type(None)]
        if len(rest) == 1:
            return rest[0], True
    return hint, False


def _type_of(where: str, of: Any) -> tuple[str, str, bool]:
    plain = {str: ("string", "", False), bool: ("bool", "", False), int: ("number", "integer", False), float: ("number", "", False),
             Duration: ("string", "duration", False), Bytes: ("string", "bytes", False), Secret: ("string", "", True)}  # fmt: skip
    if of in plain:
        return plain[of]
    origin, args = typing.get_origin(of), typing.get_args(of)
    if origin is list and len(args) == 1:
        hcl, unit, sensitive = _type_of(where, args[0])
        return f"list({hcl})", unit, sensitive
    if origin is dict and len(args) == 2 and args[0] is str:
        hcl, unit, sensitive = _type_of(where, args[1])
        return f"map({hcl})", unit, sensitive
    raise Mistake(f"{where}: the type {of} cannot be written in HCL")


def _default_text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return " ".join(_default_text(v) for v in value)
    if isinstance(value, dict):
        return "" if not value else "{…}"  # refused below: maps take the empty default only
    if isinstance(value, Secret):
        return value.reveal()
    return str(value)


def _from_text(of: Any, text: str) -> Any:
    """A default's text as a value; of several elements, spaces are between."""
    if of is bool:
        if text not in ("true", "false"):
            raise ValueError(f"{text!r} is neither true nor false")
        return text == "true"
    if of in (Duration, Bytes):
        return of.parse(text)
    if of in (str, int, float, Secret):
        return of(text)
    if typing.get_origin(of) is list:
        return [_from_text(typing.get_args(of)[0], t) for t in text.split()]
    if text:
        raise ValueError("a map takes the empty default only")
    return {}


_TAKES = {str: "a text", Secret: "a text", bool: "true or false", int: "a whole number", float: "a number",
          Duration: "a whole number of nanoseconds", Bytes: "a whole number of bytes"}  # fmt: skip


def _misfit(at: Path, takes: str) -> Problem:
    """Says what an attribute takes, and does not show what it got, which may be secret."""
    return Problem(f"{path_text(at)} takes {takes}", blame=CONFIG, permanent=True, path=at)


def fill(schema: Schema, data: bytes) -> Any:
    """Makes the dataclass of what the daemon sends: JSON by the schema's names, durations in nanoseconds, sizes in bytes,
    absent where nothing was written."""
    try:
        values = json.loads(data or b"{}")
    except (ValueError, RecursionError) as e:
        raise Problem("the configuration is not JSON", blame=CONFIG, permanent=True) from e
    return _fill(schema, values, ())


def _fill(schema: Schema, values: Any, at: Path) -> Any:
    if values is None:
        values = {}
    if not isinstance(values, dict):
        raise _misfit(at, "a block")
    out: dict[str, Any] = {}
    for a in schema.attributes:
        here = (*at, a.name)
        if values.get(a.name) is not None:
            out[a.field] = _value(a.of, values[a.name], here)
        elif a.default is not None:
            out[a.field] = _from_text(a.of, a.default)
        elif a.required:
            raise Problem(f"{path_text(here)} is required", blame=CONFIG, permanent=True, path=here)
        else:
            out[a.field] = None
    for field, name in schema.labels:
        out[field] = _value(str, values.get(name, ""), (*at, name))
    for b in schema.blocks:
        here, given = (*at, b.name), values.get(b.name)
        if b.many:
            given = [] if given is None else given
            if not isinstance(given, list):
                raise _misfit(here, "a list")
            out[b.field] = [_fill(b.body, v, (*here, i)) for i, v in enumerate(given)]
        elif given is not None or b.required:
            out[b.field] = _fill(b.body, given, here)
        else:
            out[b.field] = None
    return schema.of(**out)


def _value(of: Any, v: Any, at: Path) -> Any:
    origin = typing.get_origin(of)
    if origin is list:
        if not isinstance(v, list):
            raise _misfit(at, "a list")
        return [_value(typing.get_args(of)[0], e, (*at, i)) for i, e in enumerate(v)]
    if origin is dict:
        if not isinstance(v, dict):
            raise _misfit(at, "a map")
        return {k: _value(typing.get_args(of)[1], e, (*at, Key(k))) for k, e in v.items()}
    number = isinstance(v, (int, float)) and not isinstance(v, bool)
    whole = isinstance(v, int) and not isinstance(v, bool)
    fits = {str: isinstance(v, str), Secret: isinstance(v, str), bool: isinstance(v, bool), float: number}.get(of, whole)
    if not fits:
        raise _misfit(at, _TAKES[of])
    return Duration(v / 1e9) if of is Duration else of(v)
