"""`python -m api`: the web server, on `TAILORBIRD_LISTEN` or else the address of `TAILORBIRD_PUBLIC_URL`."""

import sys
from urllib.parse import urlsplit

import uvicorn

from api.main import create_app
from api.server import server_config
from core.config import Settings
from core.kit.logs import configure_logging


def main() -> int:
    settings = Settings()
    configure_logging()
    if problems := settings.production_problems():
        sys.stderr.write("Tailorbird does not start:\n" + "".join(f"  - {problem}\n" for problem in problems))
        return 2
    address = urlsplit(f"//{settings.listen}" if settings.listen else settings.public_url)
    host, port = address.hostname or "127.0.0.1", address.port or 8700
    uvicorn.Server(server_config(create_app(settings), settings, host=host, port=port)).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
