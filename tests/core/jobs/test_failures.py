import signal

import pytest

from core.jobs.exit_codes import ExitCode
from core.jobs.failures import FAILURES, error_of, failure_of
from core.jobs.states import Blame


@pytest.mark.parametrize("code", [code for code in ExitCode if code is not ExitCode.DONE])
def test_every_exit_code_has_words(code: ExitCode) -> None:
    failure = failure_of(code)
    assert failure.message.endswith(".")
    assert failure.advice.endswith(".")


def test_codes_are_distinct() -> None:
    assert len({failure.code for failure in FAILURES.values()}) == len(FAILURES)


def test_an_unknown_exit_is_our_mistake_and_is_tried_again() -> None:
    for exit_code in (-signal.SIGSEGV, 77):
        assert failure_of(exit_code).code == "internal_error"
        assert failure_of(exit_code).blame is Blame.PLATFORM_ERROR
        assert failure_of(exit_code).may_retry


def test_the_users_mistake_is_told_in_the_words_of_the_child() -> None:
    reported = {"code": "header_missing", "message": "Row 1 has no names.", "details": {"row": 1}}
    assert error_of(ExitCode.USER_ERROR, reported) == reported
    assert not failure_of(ExitCode.USER_ERROR, reported).may_retry


def test_our_own_fault_is_not_told_in_a_childs_words() -> None:
    reported = {"code": "cuda", "message": "CUDA error 700", "details": {"bytes": 5}}
    error = error_of(ExitCode.OUT_OF_MEMORY, reported)
    assert error["code"] == "out_of_memory"
    assert "CUDA" not in error["message"]
    assert error["details"] == {"bytes": 5}
