"""`python -m api.openapi`: the API's description on standard output, from which the page's client types are made.

Needs no server: the engine and the clients it builds do not connect.
"""

import json
import sys

from api.main import create_app
from core.config import Settings


def main() -> int:
    app = create_app(Settings(s3_access_key_id="none", s3_secret_access_key="none"))  # noqa: S106 - reaches nothing
    json.dump(app.openapi(), sys.stdout, indent=2, sort_keys=True)
    sys.stdout.write("\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
