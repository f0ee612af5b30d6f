"""`python -m api`: the web server, on `TAILORBIRD_LISTEN` or else the address of `TAILORBIRD_PUBLIC_URL`."""

import sys
from functools import partial
from urllib.parse import urlsplit

import uvicorn

from api.connections import Connections, GuardedProtocol
from api.main import create_app
from core.config import Settings
from core.kit.logs import configure_logging


def main() -> int:
    settings = Settings()
    configure_logging()
    if problems := settings.production_problems():
        sys.stderr.write("Tailorbird does not start:\n" + "".join(f"  - {problem}\n" for problem in problems))
        return 2
    address = urlsplit(f"//{settings.listen}" if settings.listen else settings.public_url)
    uvicorn.run(
        create_app(settings),
        host=address.hostname or "127.0.0.1",
        port=address.port or 8700,
        log_config=None,
        access_log=False,
        server_header=False,
        http=partial(GuardedProtocol, connections=Connections(settings)),  # type: ignore[arg-type] # called like a class
        # whom to believe about the client's address is said by our own setting
        proxy_headers=False,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=10,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
