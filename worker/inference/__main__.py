import logging
from urllib.parse import urlsplit

import torch
import uvicorn
from transformers.utils import logging as transformers_logging

from core.config import Settings
from worker.inference.server import create_app

_DEFAULT_PORT = 8710
# an answer in progress gets this long after SIGTERM; then its client is told to try again
_DRAIN_S = 5


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    # one line a request from the client library would also log presigned URLs
    logging.getLogger("httpx").setLevel(logging.WARNING)
    transformers_logging.disable_progress_bar()
    settings = Settings()
    torch.set_num_threads(settings.num_cpu_threads)
    address = urlsplit(settings.inference_url)
    uvicorn.run(
        create_app(settings),
        host=address.hostname or "127.0.0.1",
        port=address.port or _DEFAULT_PORT,
        log_level="info",
        access_log=False,
        timeout_graceful_shutdown=_DRAIN_S,
    )


if __name__ == "__main__":
    main()
