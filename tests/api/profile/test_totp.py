import re
from concurrent.futures import ThreadPoolExecutor

import pyotp
import pytest
from fastapi.testclient import TestClient
from httpx2 import Response
from sqlalchemy import Engine, text

from core.config import Settings
from core.db.session import SYSTEM, Database
from core.errors import Unauthenticated
from core.identity import service as identity
from core.identity.sign_in import MAX_ATTEMPTS
from core.identity.totp import service as totp
from core.kit.clock import unix_s, utc_now
from core.kit.sealing import Sealer, Unsealable
from tests.factories.people import PASSWORD, audited, code_of, make_person, sign_in, signed_in

pytestmark = pytest.mark.stack


@pytest.fixture
def user_id(database: Database, workspace_id: str) -> str:
    return make_person(database, workspace_id)


@pytest.fixture
def browser(client: TestClient, user_id: str) -> TestClient:
    return signed_in(client)


class App:
    """An authenticator app, whose clock can be moved."""

    def __init__(self, secret: str) -> None:
        self._totp = pyotp.TOTP(secret)

    def code(self, *, steps: int = 0) -> str:
        return self._totp.at(unix_s(utc_now()) + 30 * steps)


def begin(browser: TestClient, password: str = PASSWORD) -> Response:
    return browser.post("/v1/profile/totp", json={"password": password})


def confirm(browser: TestClient, code: str) -> Response:
    answer = browser.post("/v1/profile/totp/confirm", json={"code": code})
    if answer.is_success:
        browser.headers["x-csrf-token"] = answer.json()["csrf_token"]
    return answer


@pytest.fixture
def app_of_ana(browser: TestClient) -> App:
    """Enrolled, by the code of half a minute ago: today's is still good."""
    found = App(begin(browser).json()["secret"])
    assert confirm(browser, found.code(steps=-1)).status_code == 200
    return found


def wrong(app: App) -> str:
    """A code that the app shows at no time near now."""
    shown = {app.code(steps=steps) for steps in range(-3, 4)}
    return next(code for code in ("000000", "111111", "222222", "333333", "444444") if code not in shown)


class TestEnrolling:
    def test_the_picture_the_link_and_the_text_carry_the_same_secret(self, browser: TestClient) -> None:
        body = begin(browser).json()
        parsed = pyotp.parse_uri(body["uri"])
        assert isinstance(parsed, pyotp.TOTP)
        assert (parsed.secret, parsed.name, parsed.issuer) == (body["secret"], "ana@example.com", "Tailorbird")
        assert body["qr_svg"].startswith("<svg")
        assert "script" not in body["qr_svg"]

    def test_nothing_is_asked_for_until_it_is_confirmed(self, browser: TestClient) -> None:
        begin(browser)
        assert browser.get("/v1/profile").json()["totp"]["is_on"] is False
        assert sign_in(browser).status_code == 200

    def test_confirming_gives_ten_recovery_codes_and_signs_the_other_browsers_out(
        self, browser: TestClient, user_id: str, database: Database, workspace_id: str, owner_engine: Engine
    ) -> None:
        with database.session(SYSTEM) as session:
            other = identity.open_session(session, user_id=user_id, max_s=3600)
        before = browser.cookies["tailorbird_session"]
        answer = confirm(browser, App(begin(browser).json()["secret"]).code())
        codes = answer.json()["recovery_codes"]
        assert len(set(codes)) == totp.NUM_RECOVERY_CODES
        assert all(re.fullmatch(r"[a-z2-7]{4}(-[a-z2-7]{4}){3}", code) for code in codes)
        assert browser.cookies["tailorbird_session"] != before
        assert browser.get("/v1/profile").json()["totp"] == {"is_on": True, "num_recovery_codes": 10}
        with database.session(SYSTEM) as session:
            assert identity.find_session(session, token=other.token, idle_s=3600) is None
        assert audited(owner_engine, workspace_id)[-1] == "user.totp_enabled"

    def test_needs_the_password(self, browser: TestClient) -> None:
        assert code_of(begin(browser, "wrong password")) == (400, "wrong_password")

    def test_a_wrong_code_confirms_nothing(self, browser: TestClient) -> None:
        app = App(begin(browser).json()["secret"])
        assert code_of(confirm(browser, wrong(app))) == (400, "totp_code_wrong")
        assert browser.get("/v1/profile").json()["totp"]["is_on"] is False

    def test_what_was_never_begun_cannot_be_confirmed(self, browser: TestClient) -> None:
        assert code_of(confirm(browser, "123456")) == (409, "totp_not_begun")

    def test_an_app_that_is_on_is_not_replaced_behind_its_back(self, browser: TestClient, app_of_ana: App) -> None:
        assert code_of(begin(browser)) == (409, "totp_already_on")
        assert code_of(confirm(browser, app_of_ana.code())) == (409, "totp_already_on")

    def test_who_has_no_password_has_nothing_to_guard_with_it(
        self, browser: TestClient, user_id: str, owner_engine: Engine
    ) -> None:
        with owner_engine.begin() as connection:
            connection.execute(text("update users set password_hash = null where id = :id"), {"id": user_id})
        assert code_of(begin(browser)) == (400, "no_password")

    def test_is_not_for_keys(self, client: TestClient, as_admin: dict[str, str]) -> None:
        answer = client.post("/v1/profile/totp", json={"password": PASSWORD}, headers=as_admin)
        assert code_of(answer) == (403, "browser_only")

    def test_the_secret_is_sealed_and_the_recovery_codes_are_hashed(
        self, browser: TestClient, owner_engine: Engine
    ) -> None:
        secret = begin(browser).json()["secret"]
        codes = confirm(browser, App(secret).code()).json()["recovery_codes"]
        with owner_engine.begin() as connection:
            kept = str(
                [connection.execute(text(f"select * from {t}")).all() for t in ("totp_factors", "recovery_codes")]
            )
        assert secret not in kept
        assert not [code for code in codes if code in kept or code.replace("-", "") in kept]


class TestSigningIn:
    def test_the_password_alone_does_not_open(self, client: TestClient, app_of_ana: App) -> None:
        answer = sign_in(client)
        assert code_of(answer) == (401, "second_factor_required")
        assert "set-cookie" not in answer.headers

    def test_nor_does_a_code_without_the_password(self, client: TestClient, app_of_ana: App) -> None:
        assert code_of(sign_in(client, "wrong password", code=app_of_ana.code())) == (401, "sign_in_failed")

    def test_both_open_and_it_is_audited_by_what(
        self, client: TestClient, app_of_ana: App, as_admin: dict[str, str]
    ) -> None:
        assert sign_in(client, code=app_of_ana.code()).status_code == 200
        client.cookies.clear()
        [event, *_] = client.get("/v1/audit_events", headers=as_admin).json()["data"]
        assert (event["action"], event["details"]) == ("user.signed_in", {"second_factor": "code"})

    @pytest.mark.parametrize("steps", [0, 1])
    def test_a_clock_may_be_half_a_minute_off(self, client: TestClient, app_of_ana: App, steps: int) -> None:
        assert sign_in(client, code=app_of_ana.code(steps=steps)).status_code == 200

    @pytest.mark.parametrize("steps", [-3, 3])
    def test_but_no_more(self, client: TestClient, app_of_ana: App, steps: int) -> None:
        assert code_of(sign_in(client, code=app_of_ana.code(steps=steps))) == (401, "second_factor_failed")

    def test_a_code_counts_once(self, client: TestClient, app_of_ana: App) -> None:
        code = app_of_ana.code()
        assert sign_in(client, code=code).status_code == 200
        assert code_of(sign_in(client, code=code)) == (401, "second_factor_failed")

    def test_nor_does_one_from_before_the_last(self, client: TestClient, app_of_ana: App) -> None:
        earlier, later = app_of_ana.code(), app_of_ana.code(steps=1)
        assert sign_in(client, code=later).status_code == 200
        assert code_of(sign_in(client, code=earlier)) == (401, "second_factor_failed")

    def test_of_many_at_once_with_the_same_code_one_gets_in(
        self, app_of_ana: App, database: Database, user_id: str, settings: Settings
    ) -> None:
        code = app_of_ana.code()

        def prove(_: int) -> bool:
            try:
                with database.session(SYSTEM) as session:
                    totp.prove(session, user_id=user_id, code=code, sealer=settings.sealer())
            except Unauthenticated:
                return False
            return True

        with ThreadPoolExecutor(6) as pool:
            assert sum(pool.map(prove, range(6))) == 1

    def test_guesses_of_the_code_lock_the_account(self, client: TestClient, app_of_ana: App) -> None:
        for _ in range(MAX_ATTEMPTS):
            assert code_of(sign_in(client, code=wrong(app_of_ana))) == (401, "second_factor_failed")
        assert code_of(sign_in(client, code=app_of_ana.code())) == (429, "too_many_sign_in_attempts")

    @pytest.mark.parametrize("code", ["\uff11\uff12\uff13\uff14\uff15\uff16", "", " ", "12345", "abcdef", "0" * 100])
    def test_nonsense_is_a_wrong_code(self, client: TestClient, app_of_ana: App, code: str) -> None:
        assert sign_in(client, code=code).status_code == 401

    def test_spaces_within_it_do_not_matter(self, client: TestClient, app_of_ana: App) -> None:
        code = app_of_ana.code()
        assert sign_in(client, code=f"{code[:3]} {code[3:]}").status_code == 200


class TestRecovering:
    @pytest.fixture
    def codes(self, browser: TestClient) -> list[str]:
        found: list[str] = confirm(browser, App(begin(browser).json()["secret"]).code()).json()["recovery_codes"]
        return found

    def test_a_recovery_code_opens_once(self, browser: TestClient, codes: list[str]) -> None:
        assert sign_in(browser, code=codes[3].upper().replace("-", " ")).status_code == 200
        assert code_of(sign_in(browser, code=codes[3])) == (401, "second_factor_failed")
        assert browser.get("/v1/profile").json()["totp"]["num_recovery_codes"] == 9

    def test_new_ones_replace_those_of_before(self, browser: TestClient, codes: list[str]) -> None:
        answer = browser.post("/v1/profile/totp/recovery_codes", json={"password": PASSWORD})
        assert not set(answer.json()["recovery_codes"]) & set(codes)
        assert code_of(sign_in(browser, code=codes[0])) == (401, "second_factor_failed")
        assert sign_in(browser, code=answer.json()["recovery_codes"][0]).status_code == 200

    def test_somebody_elses_open_nothing(
        self, browser: TestClient, codes: list[str], database: Database, workspace_id: str, settings: Settings
    ) -> None:
        other = make_person(database, workspace_id, email="bo@example.com")
        with database.session(SYSTEM) as session, pytest.raises(Unauthenticated):
            totp.prove(session, user_id=other, code=codes[0], sealer=settings.sealer())

    def test_without_the_app_on_there_are_none(self, browser: TestClient) -> None:
        answer = browser.post("/v1/profile/totp/recovery_codes", json={"password": PASSWORD})
        assert code_of(answer) == (409, "totp_not_on")


class TestTurningOff:
    def test_needs_the_password_and_asks_for_it_alone_from_then_on(
        self, browser: TestClient, app_of_ana: App, workspace_id: str, owner_engine: Engine
    ) -> None:
        refused = browser.post("/v1/profile/totp/turn_off", json={"password": "wrong password"})
        assert code_of(refused) == (400, "wrong_password")
        assert browser.post("/v1/profile/totp/turn_off", json={"password": PASSWORD}).status_code == 200
        assert audited(owner_engine, workspace_id)[-1] == "user.totp_disabled"
        assert sign_in(browser).status_code == 200
        with owner_engine.begin() as connection:
            assert connection.scalar(text("select count(*) from recovery_codes")) == 0

    def test_who_runs_the_installation_can_help_somebody_who_lost_the_app(
        self,
        browser: TestClient,
        app_of_ana: App,
        database: Database,
        other_workspace_id: str,
        user_id: str,
        workspace_id: str,
        owner_engine: Engine,
    ) -> None:
        boss = make_person(database, other_workspace_id, email="boss@example.com")
        with database.session(SYSTEM) as session:
            identity.make_installation_admin(session, user_id=boss)
        signed_in(browser, email="boss@example.com")
        assert browser.delete(f"/v1/admin/users/{user_id}/totp").json()["deleted"] is True
        assert audited(owner_engine, workspace_id)[-1] == "user.totp_reset"
        assert code_of(browser.delete(f"/v1/admin/users/{user_id}/totp")) == (404, "totp_not_on")
        assert sign_in(browser).status_code == 200


class TestSealing:
    def test_a_key_can_be_replaced_without_anybody_noticing(
        self, client: TestClient, app_of_ana: App, database: Database, user_id: str, settings: Settings
    ) -> None:
        both = Sealer({"new": b"n" * 32, **settings.sealer().keys})
        with database.session(SYSTEM) as session:
            assert totp.reseal(session, both) == 1
            assert totp.reseal(session, both) == 0
        with database.session(SYSTEM) as session:
            new = Sealer({"new": b"n" * 32})
            assert totp.prove(session, user_id=user_id, code=app_of_ana.code(), sealer=new) is totp.Proof.CODE

    def test_a_secret_whose_key_is_gone_is_said_so_and_recovery_codes_still_open(
        self, browser: TestClient, app_of_ana: App, settings: Settings, owner_engine: Engine, database: Database
    ) -> None:
        codes = browser.post("/v1/profile/totp/recovery_codes", json={"password": PASSWORD}).json()["recovery_codes"]
        with owner_engine.begin() as connection:
            lost = Sealer({"lost": b"l" * 32}).seal("x", context="totp")
            connection.execute(text("update totp_factors set sealed_secret = :lost"), {"lost": lost})
        assert code_of(sign_in(browser, code=app_of_ana.code())) == (503, "totp_secret_unreadable")
        assert sign_in(browser, code=codes[0]).status_code == 200
        with database.session(SYSTEM) as session, pytest.raises(Unsealable):
            totp.reseal(session, settings.sealer())
