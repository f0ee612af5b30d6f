from concurrent.futures import ThreadPoolExecutor

import pytest

from core.db.session import SYSTEM, Database
from core.errors import Conflict, RateLimited
from core.identity import service, sign_in

pytestmark = pytest.mark.stack


def test_guesses_in_parallel_do_not_outrun_the_count(database: Database) -> None:
    def attempt(_: int) -> bool:
        try:
            with database.session(SYSTEM) as session:
                sign_in.begin_sign_in(session, email="ana@example.com")
        except RateLimited:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        allowed = list(pool.map(attempt, range(3 * sign_in.MAX_ATTEMPTS)))
    assert sum(allowed) == sign_in.MAX_ATTEMPTS


def test_the_same_address_in_other_letters_is_the_same_person(database: Database) -> None:
    with database.session(SYSTEM) as session:
        service.create_user(session, email="ana@example.com", name="Ana", password="a long enough password")
        with pytest.raises(Conflict):
            service.create_user(session, email="ANA@example.com", name="Ana", password="a long enough password")


def test_an_expired_session_is_swept_out_by_the_next_sign_in(database: Database) -> None:
    with database.session(SYSTEM) as session:
        user = service.create_user(session, email="ana@example.com", name="Ana", password="a long enough password")
        old = service.open_session(session, user_id=user.id, max_s=-1)
    with database.session(SYSTEM) as session:
        new = service.open_session(session, user_id=user.id, max_s=60)
        assert service.find_session(session, token=old.token, idle_s=60) is None
        assert service.find_session(session, token=new.token, idle_s=60) is not None
