"""Serve the pages until interrupted."""

from __future__ import annotations

import ipaddress
import socket
from contextlib import suppress

import uvicorn
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.types import ASGIApp

_BACKLOG = 128
_LOCAL = ("127.0.0.1", "localhost")
_IPV6 = "["  # what earlier versions of starlette see of the Host [::1]:8080


class _Server(uvicorn.Server):
    """A server that says where it listens, once it does."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if not self.should_exit and sockets:
            print(f"Serving on {_address(sockets[0])} (Ctrl-C stops)", flush=True)


def serve(app: ASGIApp, *, host: str = "127.0.0.1", port: int = 8080) -> None:
    """Serve an application until Ctrl-C or SIGTERM. port: 0 for any that is free.

    Requests that run are answered first. The page has no login: do not let others reach it. On
    this machine alone, it answers to no other name, so that no page of others can read it.
    """
    if not 0 <= port <= 65535:
        raise ValueError(f"expected port from 0 to 65535, not {port}")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, port), family=family, backlog=_BACKLOG) as listening:
        guarded = guard(app, listening.getsockname()[0])
        config = uvicorn.Config(guarded, access_log=False, log_level="warning", server_header=False)
        server = _Server(config)
        with suppress(KeyboardInterrupt):  # uvicorn has shut down, and passes the signal on
            server.run([listening])
        if not server.started:
            raise RuntimeError("the server did not start")
        print("Stopped.", flush=True)


def guard(app: ASGIApp, address: str) -> ASGIApp:
    """Have an application on a loopback address refuse other names, as of DNS rebinding."""
    if not ipaddress.ip_address(address).is_loopback:
        return app
    return TrustedHostMiddleware(app, [*_LOCAL, address, f"[{address}]", _IPV6])


def _address(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"
