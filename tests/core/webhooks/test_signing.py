"""What we sign is what the official client's `unwrap` accepts, and nothing that was changed on its way."""

import base64
import time

import pytest
from openai import InvalidWebhookSignatureError, OpenAI

from core.webhooks import signing
from core.webhooks.service import body_of
from core.webhooks.types import EventType

SECRET = signing.new_secret()
BODY = body_of("evt_1", EventType.JOB_SUCCEEDED, "ftjob-1")
IMPORTED_AT = time.time()
CLIENT = OpenAI(api_key="none", webhook_secret=SECRET)


def signed(*secrets: str, timestamp: int | None = None, body: str = BODY) -> dict[str, str]:
    moment = int(time.time()) if timestamp is None else timestamp
    return dict(signing.headers(event_id="evt_1", timestamp=moment, body=body, signing_secrets=secrets or (SECRET,)))


def test_the_official_client_unwraps_what_we_sign() -> None:
    event = CLIENT.webhooks.unwrap(BODY, signed())
    assert event.type == "fine_tuning.job.succeeded"
    assert (event.id, event.object, event.data.id) == ("evt_1", "event", "ftjob-1")
    assert abs(event.created_at - IMPORTED_AT) < 5


def test_a_secret_is_32_random_bytes_and_its_hint_tells_four_characters() -> None:
    assert len(base64.b64decode(SECRET.removeprefix("whsec_"), validate=True)) == 32
    assert signing.new_secret() != SECRET
    assert signing.hint("whsec_abcdefghijk=") == "whsec_…hijk"


def test_while_a_secret_is_changed_both_are_accepted_and_no_third() -> None:
    old, other = signing.new_secret(), signing.new_secret()
    headers = signed(SECRET, old)
    assert len(headers["webhook-signature"].split(" ")) == 2
    for secret in (SECRET, old):
        assert OpenAI(api_key="none", webhook_secret=secret).webhooks.unwrap(BODY, headers).id == "evt_1"
    with pytest.raises(InvalidWebhookSignatureError):
        OpenAI(api_key="none", webhook_secret=other).webhooks.unwrap(BODY, headers)


@pytest.mark.drill(39)
@pytest.mark.fast_drill
@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_one_other_character_in_a_header_is_refused(name: str) -> None:
    headers = signed()
    value = headers[name]
    for place in range(len(value)):
        if name == "webhook-signature" and value[place] in ",=v1":
            # the version and the padding are not what is compared
            continue
        changed = value[:place] + ("0" if value[place] != "0" else "1") + value[place + 1 :]
        with pytest.raises(InvalidWebhookSignatureError):
            CLIENT.webhooks.unwrap(BODY, headers | {name: changed})


@pytest.mark.drill(39)
@pytest.mark.fast_drill
def test_one_other_byte_in_the_body_is_refused() -> None:
    headers, sent = signed(), BODY.encode()
    for place in range(len(sent)):
        changed = sent[:place] + bytes([sent[place] ^ 1]) + sent[place + 1 :]
        with pytest.raises(InvalidWebhookSignatureError):
            CLIENT.webhooks.unwrap(changed, headers)


@pytest.mark.drill(39)
@pytest.mark.fast_drill
@pytest.mark.parametrize("age_s", [301, 3600, -302])
def test_what_is_replayed_after_five_minutes_or_comes_from_the_future_is_refused(age_s: int) -> None:
    headers = signed(timestamp=int(time.time()) - age_s)
    with pytest.raises(InvalidWebhookSignatureError, match=r"too old|too new"):
        CLIENT.webhooks.unwrap(BODY, headers)
