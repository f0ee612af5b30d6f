"""How the application is served: by uvicorn on uvloop, with the parser and the limits of `api.connections`."""

from functools import partial

import uvicorn
from fastapi import FastAPI

from api.connections import Connections, GuardedProtocol
from core.config import Settings

_KEEP_ALIVE_S = 30


def server_config(
    app: FastAPI, settings: Settings, *, host: str, port: int, shutdown_timeout_s: int = 10
) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        loop="uvloop",
        http=partial(GuardedProtocol, connections=Connections(settings)),  # type: ignore[arg-type] # called like a class
        # there is no socket to talk through, and what upgrades to one would pass by the guard
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        # whom to believe about the client's address is said by our own setting
        proxy_headers=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=shutdown_timeout_s,
    )
