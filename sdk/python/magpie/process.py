"""Starting a plugin: the plugin's half of go-plugin's protocol, as its guide for plugins in other languages has it: a line on
stdout that says where the gRPC server is, a health service, and a call that ends the process."""

from __future__ import annotations

import logging
import os
import signal
import sys
import tempfile
import threading
from concurrent import futures
from typing import TYPE_CHECKING, Any, NoReturn

from . import log, messages
from .config import Mistake

if TYPE_CHECKING:
    import grpc

    from .server import Server

CORE_PROTOCOL, PROTOCOL = 1, 1  # go-plugin's, and the major version of the contract
_COOKIE = ("MAGPIE_PLUGIN", "喜鹊")
_SOCKET_DIR = "PLUGIN_UNIX_SOCKET_DIR"  # a directory of this process alone
_MAX_MESSAGE = 4 << 20
_RAW = (("Produce", "out"), ("Consume", "in"))  # packets go as bytes: the codec reads and writes them itself


def main(name: str, version: str, *offers: Any) -> NoReturn:
    """Serves what a plugin offers until the daemon ends it. A class without a name gets the plugin's."""
    if os.environ.get(_COOKIE[0]) != _COOKIE[1]:
        _explain(name, version, offers)
    log.install()
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")  # gRPC's own log is not the daemon's
    from .server import Server  # with gRPC, which whoever starts it by hand need not wait for

    try:
        server = Server(name, version, *offers)
    except Mistake as e:
        print(f"{name}: {e}", file=sys.stderr)
        sys.exit(2)
    _greet(server)
    server.stop()
    logging.shutdown()
    sys.stdout.flush()
    os._exit(0)  # a thread of the plugin that does not heed its end would keep the process


def _explain(name: str, version: str, offers: Any) -> NoReturn:
    """What a person sees who starts a plugin by hand."""
    types = [f'{o.__magpie__.kind} "{o.__magpie__.name or name}"' for o in offers if hasattr(o, "__magpie__")]
    print(f"{name} {version} is a plugin of Magpie: it offers {', '.join(types)}.", file=sys.stderr)
    print("Pack it (python -m magpie pack), put it into a plugin directory (see magpie run -help) and use it in config.hcl.", file=sys.stderr)
    sys.exit(2)


def _greet(server: Server) -> None:
    """Serves gRPC on a unix socket, tells the daemon of it, and returns when the daemon has ended the connection or is gone.
    What is printed goes the usual way, and the daemon reads it there."""
    path = os.path.join(os.environ.get(_SOCKET_DIR) or tempfile.gettempdir(), f"plugin{os.getpid()}")
    stop = threading.Event()
    g = serve(server, f"unix:{path}", stop)
    signal.signal(signal.SIGINT, lambda *_: None)  # Ctrl-C is for the daemon, which ends its plugins in order
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    print(f"{CORE_PROTOCOL}|{PROTOCOL}|unix|{path}|grpc|", flush=True)
    parent = os.getppid()
    while not stop.wait(2.0) and os.getppid() == parent:  # the kernel's death signal comes first, where there is one
        pass
    g.stop(0.1)


def serve(server: Server, address: str, stop: threading.Event) -> grpc.Server:
    """Starts a gRPC server for the contract and for go-plugin's services."""
    import grpc

    options = [("grpc.max_receive_message_length", _MAX_MESSAGE), ("grpc.max_send_message_length", _MAX_MESSAGE), ("grpc.so_reuseport", 0)]
    g = grpc.server(futures.ThreadPoolExecutor(max_workers=1000, thread_name_prefix="call"), options=options)  # streams hold theirs

    def shutdown(request: bytes, context: Any) -> bytes:
        context.add_callback(stop.set)  # when the answer is out
        return b""

    g.add_generic_rpc_handlers((
        grpc.method_handlers_generic_handler("magpie.v1.Plugin", _handlers(server)),
        grpc.method_handlers_generic_handler("plugin.GRPCController", {"Shutdown": grpc.unary_unary_rpc_method_handler(shutdown)}),
        # HealthCheckResponse{SERVING}
        grpc.method_handlers_generic_handler("grpc.health.v1.Health", {"Check": grpc.unary_unary_rpc_method_handler(lambda request, context: b"\x08\x01")}),
    ))  # fmt: skip
    if g.add_insecure_port(address) == 0:
        raise OSError(f"cannot listen at {address}")
    g.start()
    return g


def _handlers(server: Server) -> dict[str, Any]:
    import grpc

    handlers = {}
    for method in messages.methods():
        call = getattr(server, method.name, None)
        if call is None:
            continue  # of a kind that this SDK does not offer: gRPC says so
        name = method.name
        streams = ("stream" if name in ("Produce", "Consume", "Host") else "unary", "stream" if name in ("Open", "Produce", "Consume", "Host", "Discover") else "unary")
        handlers[name] = getattr(grpc, f"{streams[0]}_{streams[1]}_rpc_method_handler")(
            call,
            request_deserializer=None if (name, "in") in _RAW else messages.of(method.input_type).FromString,
            response_serializer=None if (name, "out") in _RAW else lambda answer: answer.SerializeToString(),
        )
    return handlers
