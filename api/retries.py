"""A request whose transaction lost a race is run again, unseen by the client.

Postgres ends one of two transactions that wait for each other, and at stricter isolation one of two that would not
have happened in either order. Neither left a trace, so that doing all of it again is safe, and usually enough.
"""

import logging
import random
from collections.abc import Callable, Coroutine
from typing import Any

import anyio
from fastapi import Request, Response
from fastapi.routing import APIRoute
from sqlalchemy.exc import DBAPIError

from api.json_depth import check_depth
from api.transactions import in_one_thread, transactions
from core.db.connection import answer_within
from core.db.sqlstates import is_lost_race

logger = logging.getLogger(__name__)

_MAX_RETRIES = 3
_FIRST_PAUSE_S = 0.02
# a client that waits longer for one statement has given up: better an early word than a late answer
_PATIENCE_S = 10.0


class RetriedRoute(APIRoute):
    """Every router of ours is made with it: `APIRouter(route_class=RetriedRoute)`.

    The transactions of a request end, and so commit, within each try. A body is read once and kept with the request;
    one that is read as it arrives (an upload) cannot be read again, and its route is not retried. What a stream does
    after it began is not covered either.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:  # noqa: ANN401 - FastAPI's own
        super().__init__(path, in_one_thread(endpoint), **options)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def retried(request: Request) -> Response:
            if self.body_field is not None and not _is_read_once(request):
                check_depth(await request.body())
            for num_retries in range(_MAX_RETRIES + 1):
                try:
                    with answer_within(_PATIENCE_S):
                        async with transactions():
                            return await handle(request)
                except DBAPIError as error:
                    if num_retries == _MAX_RETRIES or not is_lost_race(error) or _is_read_once(request):
                        raise
                    logger.info("a transaction lost a race and is tried again (%s)", num_retries + 1)
                # both would meet again if they waited equally long
                await anyio.sleep(random.uniform(0.5, 1.5) * _FIRST_PAUSE_S * 2**num_retries)
            raise AssertionError

        return retried


def _is_read_once(request: Request) -> bool:
    return request.headers.get("content-type", "").startswith("multipart/")
