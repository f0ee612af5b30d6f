import logging
import os
from urllib.parse import urlsplit

from core.config import Settings
from core.errors import AppError

_DEFAULT_PORT = 8710
# an answer in progress gets this long after SIGTERM; then its client is told to try again
_DRAIN_S = 5


def main() -> None:
    # Threads that wait must sleep, not spin: with a training run on the same cores, spinning made answers five times
    # slower. OpenMP reads this when torch is imported, hence the imports below.
    os.putenv("OMP_WAIT_POLICY", "PASSIVE")
    import torch  # noqa: PLC0415
    import uvicorn  # noqa: PLC0415
    from transformers.utils import logging as transformers_logging  # noqa: PLC0415

    from worker.inference.server import create_app  # noqa: PLC0415

    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    # one line a request from the client library would also log presigned URLs
    logging.getLogger("httpx").setLevel(logging.WARNING)
    transformers_logging.disable_progress_bar()
    settings = Settings()
    try:
        app = create_app(settings)
    except AppError as error:
        raise SystemExit(error.message) from error
    torch.set_num_threads(settings.num_cpu_threads)
    address = urlsplit(settings.inference_url)
    uvicorn.run(
        app,
        host=address.hostname or "127.0.0.1",
        port=address.port or _DEFAULT_PORT,
        log_level="info",
        access_log=False,
        timeout_graceful_shutdown=_DRAIN_S,
    )


if __name__ == "__main__":
    main()
