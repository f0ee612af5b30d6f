"""The provider's answers, judged one by one. The provider is a real one on loopback; its forgeries are made by hand."""

import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from joserfc.jwk import OctKey, RSAKey

from core.config import Settings
from core.errors import Unauthenticated, Unavailable
from core.identity.oidc.flows import FlowSecrets
from core.identity.oidc.provider import OidcProvider
from tests.factories.oidc import Forge, Provider, running_provider, unsigned

FLOW = FlowSecrets("a token of a browser")
CALLBACK = "http://127.0.0.1:8700/v1/auth/oidc/callback"


@pytest.fixture(scope="module")
def running() -> Iterator[Provider]:
    with running_provider(redirect_uri=CALLBACK) as provider:
        yield provider


@pytest.fixture
def provider(running: Provider) -> Provider:
    running.forge = None
    running.exchanges.clear()
    running.paths.clear()
    running.know("ana", email="ana@example.com", email_verified=True, name="Ana Lind")
    return running


@pytest.fixture
def ours(provider: Provider) -> OidcProvider:
    return OidcProvider(
        Settings(
            oidc_issuer=provider.issuer, oidc_client_id=provider.client_id, oidc_client_secret=provider.client_secret
        )
    )


def code_for(provider: Provider, ours: OidcProvider, flow: FlowSecrets = FLOW) -> str:
    location = provider.consent(ours.authorization_url(flow), subject="ana")
    assert location.startswith(f"{CALLBACK}?")
    query = parse_qs(urlsplit(location).query)
    assert query["state"] == [flow.state]
    return query["code"][0]


def test_an_honest_answer_says_who_it_is(provider: Provider, ours: OidcProvider) -> None:
    claims = ours.claims_of(code=code_for(provider, ours), flow=FLOW)
    assert (claims.issuer, claims.subject) == (provider.issuer, "ana")
    assert (claims.email, claims.name) == ("ana@example.com", "Ana Lind")
    assert provider.exchanges[0]["redirect_uri"] == CALLBACK


def test_the_request_asks_for_proof_of_everything(provider: Provider, ours: OidcProvider) -> None:
    query = parse_qs(urlsplit(ours.authorization_url(FLOW)).query)
    assert query["response_type"] == ["code"]
    assert query["redirect_uri"] == [CALLBACK]
    assert query["code_challenge_method"] == ["S256"]
    assert query["nonce"] == [FLOW.nonce]
    assert FLOW.code_verifier not in str(query)


def test_a_code_counts_once(provider: Provider, ours: OidcProvider) -> None:
    code = code_for(provider, ours)
    ours.claims_of(code=code, flow=FLOW)
    with pytest.raises(Unauthenticated):
        ours.claims_of(code=code, flow=FLOW)


def test_a_code_that_another_browser_asked_for_is_worth_nothing(provider: Provider, ours: OidcProvider) -> None:
    code = code_for(provider, ours)
    with pytest.raises(Unauthenticated):
        ours.claims_of(code=code, flow=FlowSecrets("another browser's token"))


def _with(**changes: Any) -> Forge:  # noqa: ANN401 - JSON values
    return lambda provider, claims: provider.signed(claims | changes)


def _without(name: str) -> Forge:
    return lambda provider, claims: provider.signed({key: value for key, value in claims.items() if key != name})


_FORGERIES: dict[str, Forge] = {
    "unsigned": lambda _provider, claims: unsigned(claims),
    "signed by somebody else": lambda provider, claims: provider.signed(claims, key=RSAKey.generate_key(2048)),
    "signed with our own secret": lambda provider, claims: provider.signed(
        claims, alg="HS256", key=OctKey.import_key(provider.client_secret.ljust(32, "x"))
    ),
    "signed with the public key as if it were a secret": lambda provider, claims: provider.signed(
        claims, alg="HS256", key=OctKey.import_key(RSAKey.import_key(provider.key).as_pem(private=False))
    ),
    "changed after it was signed": lambda provider, claims: _spliced(
        provider.signed(claims), provider.signed(claims | {"sub": "eve"})
    ),
    "of another nonce": _with(nonce="n"),
    "without a nonce": _without("nonce"),
    "for another client": _with(aud="another client"),
    "for another client, as if we had been meant": lambda provider, claims: provider.signed(
        claims | {"aud": "another client", "azp": provider.client_id}
    ),
    "for us among others, without saying for whom": lambda provider, claims: provider.signed(
        claims | {"aud": [provider.client_id, "another client"]}
    ),
    "handed to another client": _with(azp="another client"),
    "of another issuer": _with(iss="https://id.example.com"),
    "of no issuer": _without("iss"),
    "expired": _with(exp=int(time.time()) - 3600),
    "without an end": _without("exp"),
    "not yet good": _with(nbf=int(time.time()) + 3600),
    "of nobody": _without("sub"),
    "of another access token": _with(at_hash="AAAAAAAAAAAAAAAAAAAAAA"),
    "noise": lambda _provider, _claims: "noise",
}


def _spliced(honest: str, other: str) -> str:
    head, _, signature = honest.split(".")
    return ".".join((head, other.split(".")[1], signature))


@pytest.mark.parametrize("name", _FORGERIES)
def test_a_forged_token_proves_nothing(
    provider: Provider, ours: OidcProvider, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    code = code_for(provider, ours)
    provider.forge = _FORGERIES[name]
    with pytest.raises(Unauthenticated) as refused:
        ours.claims_of(code=code, flow=FLOW)
    assert refused.value.error_code == "oidc_refused"
    assert "a single sign-on was refused" in caplog.text


def test_the_honest_token_signed_by_hand_is_good(provider: Provider, ours: OidcProvider) -> None:
    """Else the forgeries could fail for another reason than the one they are named after."""
    provider.forge = lambda found, claims: found.signed(claims)
    assert ours.claims_of(code=code_for(provider, ours), flow=FLOW).subject == "ana"


@pytest.mark.parametrize("is_verified", [False, None, "false", 1])
def test_an_address_counts_only_if_it_was_verified(provider: Provider, ours: OidcProvider, is_verified: object) -> None:
    claims = {} if is_verified is None else {"email_verified": is_verified}
    provider.know("ana", email="ana@example.com", **claims)
    assert ours.claims_of(code=code_for(provider, ours), flow=FLOW).email is None


def test_what_the_token_leaves_out_the_user_info_tells(provider: Provider, ours: OidcProvider) -> None:
    provider.forge = lambda found, claims: found.signed(
        {key: value for key, value in claims.items() if not key.startswith("email")}
    )
    assert ours.claims_of(code=code_for(provider, ours), flow=FLOW).email == "ana@example.com"
    assert "/userinfo" in provider.paths


def test_what_the_provider_says_of_itself_is_asked_for_once(provider: Provider, ours: OidcProvider) -> None:
    for _ in range(3):
        ours.claims_of(code=code_for(provider, ours), flow=FLOW)
    assert provider.paths.count("/.well-known/openid-configuration") == 1
    assert provider.paths.count("/jwks") == 1


def test_new_keys_of_the_provider_are_fetched_but_not_for_every_bad_token(
    provider: Provider, ours: OidcProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours.claims_of(code=code_for(provider, ours), flow=FLOW)
    provider.forge = lambda _provider, _claims: "noise"
    for _ in range(3):
        with pytest.raises(Unauthenticated):
            ours.claims_of(code=code_for(provider, ours), flow=FLOW)
    assert provider.paths.count("/jwks") == 1
    # keys of before the provider changed them, which were fetched a while ago
    provider.forge = None
    ours._known.keys = type(ours._keys())([RSAKey.generate_key(2048)])
    monkeypatch.setattr("core.identity.oidc.provider._KEYS_MIN_AGE_S", 0)
    assert ours.claims_of(code=code_for(provider, ours), flow=FLOW).subject == "ana"
    assert provider.paths.count("/jwks") == 2


def test_a_provider_by_another_name_is_not_trusted(provider: Provider, caplog: pytest.LogCaptureFixture) -> None:
    settings = Settings(oidc_issuer=provider.issuer.replace("127.0.0.1", "localhost") + "/", oidc_client_id="c")
    with pytest.raises(Unavailable):
        OidcProvider(settings).authorization_url(FLOW)
    assert "set TAILORBIRD_OIDC_ISSUER so" in caplog.text


def test_one_that_does_not_answer_is_said_at_once_the_second_time() -> None:
    ours = OidcProvider(Settings(oidc_issuer="http://127.0.0.1:9", oidc_client_id="c"))
    for _ in range(2):
        with pytest.raises(Unavailable) as refused:
            ours.authorization_url(FLOW)
        assert refused.value.error_code == "oidc_unavailable"
    assert ours._known.failed_at > 0
