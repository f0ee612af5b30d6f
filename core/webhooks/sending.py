"""One try: sign, call, see what is answered. Holds no session, for the other side may take its time."""

import time

from core.backends.outbound import OutboundClient, Unreachable
from core.errors import Invalid
from core.kit.clock import unix_s, utc_now
from core.kit.sealing import Sealer
from core.webhooks import answers, signing
from core.webhooks.types import TIMEOUT_S, Outcome, Parcel

_AGENT = "Tailorbird-Webhooks/1"


def send(parcel: Parcel, *, outbound: OutboundClient, sealer: Sealer) -> Outcome:
    """Raises `Unsealable` if this process cannot open the secret; everything else is an outcome."""
    secrets = [sealer.open(sealed, context=sealing_context(parcel.endpoint_id)) for sealed in parcel.sealed_secrets]
    signed = signing.headers(
        event_id=parcel.event_id, timestamp=unix_s(utc_now()), body=parcel.body, signing_secrets=secrets
    )
    began = time.monotonic()
    try:
        answer = outbound.send(
            "POST",
            parcel.url,
            headers={"Content-Type": "application/json", "User-Agent": _AGENT, **signed},
            body=parcel.body.encode(),
            timeout_s=TIMEOUT_S,
            max_bytes=answers.MAX_BYTES,
        )
    except (Unreachable, Invalid) as error:
        # an address that was fine may lead somewhere else by now, and is then refused
        return Outcome(status_code=None, error=error.message, answer=None, duration_ms=_ms_since(began))
    return Outcome(
        status_code=answer.status,
        error=None,
        answer=answers.excerpt(answer.body),
        duration_ms=_ms_since(began),
        retry_after_s=answers.retry_after_s(answer.status, answer.headers),
    )


def sealing_context(endpoint_id: str) -> str:
    return f"webhook_endpoint {endpoint_id}"


def _ms_since(began: float) -> int:
    return round((time.monotonic() - began) * 1000)
