import signal

import pytest

from core.jobs.exit_codes import ExitCode
from core.jobs.failures import FAILURES, FailureClass, error_of, failure_of, failure_with_code
from core.jobs.states import Blame


@pytest.mark.parametrize("code", [code for code in ExitCode if code is not ExitCode.DONE])
def test_every_exit_code_has_words(code: ExitCode) -> None:
    failure = failure_of(code)
    assert failure.message.endswith(".")
    assert failure.advice.endswith(".")


def test_every_failure_is_found_by_the_code_that_a_job_keeps() -> None:
    for failure in FAILURES.values():
        assert failure_with_code(failure.code) is failure
    assert failure_with_code("header_missing") is None


def test_every_class_has_a_failure_and_every_failure_a_way_out() -> None:
    assert {failure.failure_class for failure in FAILURES.values()} == set(FailureClass)
    for failure in FAILURES.values():
        assert failure.fix is not None
        assert failure.fix.label
        assert bool(failure.fix.changes) == (failure.fix.action == "clone")


def test_only_what_may_go_differently_is_tried_again() -> None:
    never = {code for code, failure in FAILURES.items() if not failure.may_retry}
    assert never == {"bad_input", "non_finite_loss", "budget_reached", "time_limit", "size_limit"}
    assert all(FAILURES[code].blame is not Blame.PLATFORM_ERROR for code in never)


def test_memory_is_tried_once_more_with_half_the_micro_batch() -> None:
    failure = failure_of(ExitCode.OUT_OF_MEMORY)
    assert failure.retry.payload_changes == {"micro_batch_divisor": 2}
    assert (failure.retries_left(0), failure.retries_left(1), failure.retries_left(2)) == (1, 0, 0)
    assert failure_of(ExitCode.DISK_FULL).retries_left(3) is None


def test_what_the_supervisor_saw_goes_before_the_exit_code() -> None:
    assert failure_of(-signal.SIGKILL).code == "process_killed"
    assert failure_of(-signal.SIGKILL, memory_was_exhausted=True).code == "out_of_memory"
    assert failure_of(-signal.SIGKILL, made_no_progress=True).code == "no_progress"
    assert failure_of(ExitCode.BUG, memory_was_exhausted=True).code == "out_of_memory"


def test_an_unknown_exit_is_our_mistake_and_is_tried_again() -> None:
    for exit_code in (-signal.SIGSEGV, 77):
        assert failure_of(exit_code).code == "internal_error"
        assert failure_of(exit_code).blame is Blame.PLATFORM_ERROR
        assert failure_of(exit_code).may_retry


def test_the_users_mistake_is_told_in_the_words_of_the_child() -> None:
    reported = {"code": "header_missing", "message": "Row 1 has no names.", "details": {"row": 1}}
    assert error_of(ExitCode.USER_ERROR, reported) == reported
    assert not failure_of(ExitCode.USER_ERROR, reported).may_retry


def test_a_child_cannot_pass_the_users_mistake_for_ours() -> None:
    reported = {"code": "internal_error", "message": "Row 1.", "details": {}}
    failure = failure_of(ExitCode.USER_ERROR, reported)
    assert (failure.blame, failure.may_retry) == (Blame.USER_ERROR, False)


def test_our_own_fault_is_not_told_in_a_childs_words() -> None:
    reported = {"code": "cuda", "message": "CUDA error 700", "details": {"bytes": 5}}
    error = error_of(ExitCode.OUT_OF_MEMORY, reported)
    assert error["code"] == "out_of_memory"
    assert "CUDA" not in error["message"]
    assert error["details"] == {"bytes": 5}
