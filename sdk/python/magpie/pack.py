"""One executable file of a plugin: a zip with a #! line, which Python runs as it is (zipapp). In it are the author's modules
and this SDK; protobuf, grpc and what else the plugin imports come from the interpreter in the #! line, which is that of the
virtual environment that packs it. So the daemon finds, hashes and starts it like any binary; the same sources make the same
bytes.

    python -m magpie pack [DIR | FILE.py] [-o FILE] [-python INTERPRETER]

DIR is called as the plugin, and in it NAME.py (or a package NAME) is the program. Other modules and packages beside it go
along, but for tests and what begins with a dot."""

from __future__ import annotations

import argparse
import importlib.util
import io
import os
import pathlib
import py_compile
import sys
import tempfile
import zipfile
from typing import Iterator

_LEFT_OUT = ("__pycache__", "build", "dist", "tests", "testdata", "bin", "node_modules")
_LONGEST = 127  # bytes of a #! line that every Linux takes


class Refused(Exception):
    """What cannot be packed, and why."""


def command(argv: list[str]) -> int:
    """``python -m magpie pack …``"""
    parser = argparse.ArgumentParser(prog="python -m magpie pack", description="Makes one executable file of a plugin.")
    parser.add_argument("path", nargs="?", default=".", help="the plugin's directory, or its only module")
    parser.add_argument("-o", dest="out", help="the file to write; default: bin/NAME in the plugin's directory")
    parser.add_argument("-python", default=sys.executable, help="interpreter for the #! line; default: this one")
    args = parser.parse_args(argv)
    try:
        name, files = _sources(pathlib.Path(args.path))
        out = pathlib.Path(args.out) if args.out else _home(pathlib.Path(args.path)) / "bin" / name
        data = pack(name, files, args.python)
        out.parent.mkdir(parents=True, exist_ok=True)
        _write(out, data)
    except (Refused, OSError, SyntaxError, py_compile.PyCompileError) as e:
        print(f"pack: {e}", file=sys.stderr)
        return 1
    print(out)
    return 0


def pack(name: str, files: dict[str, bytes], python: str) -> bytes:
    """The bytes of the file."""
    if not name.isidentifier():
        raise Refused(f"{name!r} is no name for a plugin: it takes letters, digits and underscores")
    if not os.path.isabs(python) or len(python) + 3 > _LONGEST or " " in python:
        raise Refused(f"the #! line needs an absolute path without spaces, of at most {_LONGEST - 3} bytes, and the interpreter is {python!r}: give another with -python")
    all = {**_sdk(), **files}
    all["__main__.py"] = f"import runpy\n\nrunpy.run_module({name!r}, run_name='__main__', alter_sys=True)\n".encode()
    out = io.BytesIO()
    out.write(f"#!{python}\n".encode())
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as z:
        for path, data in sorted(all.items()):
            _add(z, path, data)
            if path.endswith(".py"):
                _add(z, path + "c", _compiled(path, data))  # another version of Python passes over it
    return out.getvalue()


def _add(z: zipfile.ZipFile, path: str, data: bytes) -> None:
    info = zipfile.ZipInfo(path)  # of 1980: the same sources make the same bytes
    info.compress_type = zipfile.ZIP_DEFLATED
    info.external_attr = 0o644 << 16
    z.writestr(info, data)


def _compiled(path: str, data: bytes) -> bytes:
    """The module's bytecode, so that no start compiles it again."""
    with tempfile.TemporaryDirectory() as d:
        source, target = os.path.join(d, "m.py"), os.path.join(d, "m.pyc")
        with open(source, "wb") as f:
            f.write(data)
        py_compile.compile(source, target, dfile=path, doraise=True, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
        with open(target, "rb") as f:
            return f.read()


def _sdk() -> dict[str, bytes]:
    spec = importlib.util.find_spec("magpie")
    if spec is None or not spec.submodule_search_locations:
        raise Refused("the SDK is not installed here")
    root = pathlib.Path(spec.submodule_search_locations[0])
    return {str(p.relative_to(root.parent)): p.read_bytes() for p in sorted(root.rglob("*.py"))}


def _home(path: pathlib.Path) -> pathlib.Path:
    return path if path.is_dir() else path.parent


def _sources(path: pathlib.Path) -> tuple[str, dict[str, bytes]]:
    """The plugin's name and modules."""
    if path.suffix == ".py":
        return path.stem, {path.name: path.read_bytes()}
    name = path.resolve().name
    files = {str(p.relative_to(path)): p.read_bytes() for p in _modules(path)}
    if f"{name}.py" not in files and f"{name}/__main__.py" not in files:
        raise Refused(f"{path} has neither {name}.py nor {name}/__main__.py, which would be the program: it is called as its directory, and so is the plugin")
    return name, files


def _modules(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """The modules of a directory, and packages with all that is in them."""
    for p in sorted(path.iterdir()):
        if p.name.startswith((".", "test_")) or p.name.endswith("_test.py") or p.name in _LEFT_OUT or p.name == "magpie":
            continue
        if p.suffix == ".py" and p.is_file():
            yield p
        elif p.is_dir() and (p / "__init__.py").is_file():
            yield from (q for q in sorted(p.rglob("*")) if q.is_file() and "__pycache__" not in q.parts)


def _write(out: pathlib.Path, data: bytes) -> None:
    """Replaces the file at once: a daemon may be about to start it."""
    temporary = out.with_name(f".{out.name}.{os.getpid()}")
    temporary.write_bytes(data)
    temporary.chmod(0o755)
    temporary.replace(out)
