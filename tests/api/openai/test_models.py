"""Models, checkpoints and who else may use them, by the unmodified client."""

from collections.abc import Callable
from typing import Any

import openai
import pytest
from openai import OpenAI
from sqlalchemy import text

from core.db.session import Database, workspace_scope
from core.jobs.types import Lease
from core.workspaces.principal import Principal
from tests.api.openai.conftest import ClientOf

pytestmark = pytest.mark.stack

Headers = dict[str, str]
HELLO: Any = [{"role": "user", "content": "Hello"}]


@pytest.fixture
def job_id(ai: OpenAI, model: str, file_id: str, validate: Callable[[str], None]) -> str:
    job = ai.fine_tuning.jobs.create(model=model, training_file=file_id, suffix="demo")
    validate((job.model_extra or {})["dataset_version_id"])
    return job.id


@pytest.fixture
def tuned(job_id: str, claim: Callable[[], Lease], succeed: Callable[[Lease], str]) -> str:
    return succeed(claim())


@pytest.fixture
def owner(client_of: ClientOf, as_admin: Headers) -> OpenAI:
    """An admin of the workspace that owns the model."""
    return client_of(as_admin)


@pytest.fixture
def guest(client_of: ClientOf, as_stranger: Headers) -> OpenAI:
    """Somebody of another workspace."""
    return client_of(as_stranger)


class TestModels:
    def test_are_listed_looked_at_and_deleted_by_ids_of_any_shape(
        self, ai: OpenAI, model: str, tuned: str, workspace_id: str
    ) -> None:
        checkpoints = {f"{tuned}:ckpt-step-1", f"{tuned}:ckpt-step-3"}
        assert {found.id for found in ai.models.list()} == {model, tuned} | checkpoints
        found = ai.models.retrieve(tuned)
        assert (found.id, found.object, found.owned_by, found.shutdown_date) == (tuned, "model", workspace_id, None)
        assert found.created > 0
        assert ai.models.retrieve(model).owned_by == "tailorbird"
        gone = ai.models.delete(tuned)
        assert (gone.id, gone.object, gone.deleted) == (tuned, "model", True)
        with pytest.raises(openai.NotFoundError) as caught:
            ai.models.retrieve(tuned)
        assert (caught.value.code, caught.value.param) == ("model_not_found", "model")
        # its checkpoints are models of their own
        assert {found.id for found in ai.models.list()} == {model} | checkpoints

    @pytest.mark.parametrize("unknown", ["org/name", "ft:org/base:ws:x:1/ckpt", "a b", "ü", "no such"])
    def test_an_unknown_one_is_told_by_its_own_name(self, ai: OpenAI, unknown: str) -> None:
        for ask in (ai.models.retrieve, ai.models.delete):
            with pytest.raises(openai.NotFoundError) as caught:
                ask(unknown)
            assert caught.value.code == "model_not_found"
            assert repr(unknown) in caught.value.message

    def test_deleting_needs_a_right(self, client_of: ClientOf, as_viewer: Headers, tuned: str) -> None:
        viewer = client_of(as_viewer)
        assert viewer.models.retrieve(tuned).id == tuned
        with pytest.raises(openai.PermissionDeniedError):
            viewer.models.delete(tuned)


class TestCheckpoints:
    def test_are_the_last_epochs_and_the_best_the_last_step_first(self, ai: OpenAI, job_id: str, tuned: str) -> None:
        found = list(ai.fine_tuning.jobs.checkpoints.list(job_id, limit=1))
        assert [(one.step_number, one.fine_tuned_model_checkpoint) for one in found] == [
            (3, f"{tuned}:ckpt-step-3"),
            (2, tuned),
            (1, f"{tuned}:ckpt-step-1"),
        ]
        last, best, first = found
        assert (last.object, last.fine_tuning_job_id) == ("fine_tuning.job.checkpoint", job_id)
        assert last.id.startswith("ftckpt_")
        assert (last.metrics.step, last.metrics.train_loss, last.metrics.full_valid_loss) == (3, 0.25, 0.625)
        assert (last.metrics.train_mean_token_accuracy, last.metrics.valid_mean_token_accuracy) == (0.75, 0.5)
        assert (best.metrics.step, best.metrics.full_valid_loss) == (2, 0.5)
        assert (first.metrics.step, first.metrics.train_loss, first.metrics.valid_loss) == (1, 1.0, None)

    def test_can_be_talked_to(self, ai: OpenAI, tuned: str) -> None:
        whole = ai.chat.completions.create(model=f"{tuned}:ckpt-step-3", messages=HELLO)
        assert whole.choices[0].message.content
        ai.models.delete(f"{tuned}:ckpt-step-3")
        with pytest.raises(openai.NotFoundError):
            ai.chat.completions.create(model=f"{tuned}:ckpt-step-3", messages=HELLO)

    def test_a_job_that_made_none_has_none(self, ai: OpenAI, job_id: str) -> None:
        assert list(ai.fine_tuning.jobs.checkpoints.list(job_id)) == []


class TestPermissions:
    def test_let_another_workspace_talk_to_the_model_until_they_are_taken_back(
        self, owner: OpenAI, guest: OpenAI, tuned: str, model: str, workspace_id: str, other_workspace_id: str
    ) -> None:
        with pytest.raises(openai.NotFoundError):
            guest.chat.completions.create(model=tuned, messages=HELLO)
        permissions = owner.fine_tuning.checkpoints.permissions
        (given,) = permissions.create(tuned, project_ids=[other_workspace_id])
        assert (given.object, given.project_id) == ("checkpoint.permission", other_workspace_id)
        assert given.id.startswith("cp_")
        assert guest.chat.completions.create(model=tuned, messages=HELLO).choices[0].message.content
        assert {found.id for found in guest.models.list()} == {model, tuned}
        # again is once
        (again,) = permissions.create(tuned, project_ids=[other_workspace_id])
        assert again.id == given.id
        gone = permissions.delete(given.id, fine_tuned_model_checkpoint=tuned)
        assert (gone.id, gone.object, gone.deleted) == (given.id, "checkpoint.permission", True)
        with pytest.raises(openai.NotFoundError):
            guest.chat.completions.create(model=tuned, messages=HELLO)
        assert {found.id for found in guest.models.list()} == {model}
        with pytest.raises(openai.NotFoundError) as caught:
            permissions.delete(given.id, fine_tuned_model_checkpoint=tuned)
        assert caught.value.code == "permission_not_found"

    def test_show_nothing_of_where_the_model_came_from(
        self,
        owner: OpenAI,
        guest: OpenAI,
        job_id: str,
        tuned: str,
        workspace_id: str,
        other_workspace_id: str,
        file_id: str,
    ) -> None:
        owner.fine_tuning.checkpoints.permissions.create(tuned, project_ids=[other_workspace_id])
        found = guest.models.retrieve(tuned)
        assert found.owned_by == workspace_id
        told = found.model_extra or {}
        lineage = ("run_id", "method", "checkpoint_step", "base_heldout_loss", "tuned_heldout_loss")
        assert [told[name] for name in lineage] == [None] * 5
        assert told["name"] == tuned
        for ask in (
            lambda: guest.fine_tuning.jobs.retrieve(job_id),
            lambda: guest.fine_tuning.jobs.checkpoints.list(job_id),
            lambda: guest.files.retrieve(file_id),
            lambda: guest.models.delete(tuned),
            lambda: guest.fine_tuning.checkpoints.permissions.list(tuned),
            lambda: guest.fine_tuning.checkpoints.permissions.create(tuned, project_ids=[workspace_id]),
            lambda: guest.chat.completions.create(model=f"{tuned}:ckpt-step-3", messages=HELLO),
        ):
            with pytest.raises(openai.NotFoundError):
                ask()
        assert owner.models.retrieve(tuned).id == tuned

    def test_a_deleted_model_is_gone_for_guests_too(
        self, owner: OpenAI, guest: OpenAI, tuned: str, model: str, other_workspace_id: str
    ) -> None:
        owner.fine_tuning.checkpoints.permissions.create(tuned, project_ids=[other_workspace_id])
        owner.models.delete(tuned)
        assert {found.id for found in guest.models.list()} == {model}
        with pytest.raises(openai.NotFoundError):
            guest.chat.completions.create(model=tuned, messages=HELLO)

    def test_are_paged_in_both_orders(
        self, owner: OpenAI, tuned: str, other_workspace_id: str, operator: Principal
    ) -> None:
        permissions = owner.fine_tuning.checkpoints.permissions
        projects = [other_workspace_id, operator.workspace_id]
        given = [permissions.create(tuned, project_ids=[project]).data[0].id for project in projects]
        assert [found.id for found in permissions.list(tuned, limit=1, order="ascending")] == given
        assert [found.id for found in permissions.list(tuned, limit=1)] == given[::-1]
        assert [found.id for found in permissions.list(tuned, project_id=projects[1])] == [given[1]]
        page = permissions.list(tuned, limit=1)
        assert (page.has_more, page.last_id) == (True, given[1])
        assert list(permissions.list(f"{tuned}:ckpt-step-1")) == []

    def test_are_in_the_audit_logs_of_both(
        self, owner: OpenAI, guest: OpenAI, tuned: str, other_workspace_id: str
    ) -> None:
        permissions = owner.fine_tuning.checkpoints.permissions
        (given,) = permissions.create(tuned, project_ids=[other_workspace_id])
        permissions.delete(given.id, fine_tuned_model_checkpoint=tuned)
        for client in (owner, guest):
            for deed in ("created", "deleted"):
                events = client.get(
                    "/audit_events", cast_to=object, options={"params": {"action": f"checkpoint.permission.{deed}"}}
                )
                (event,) = events["data"]  # type: ignore[index]
                assert event["target_id"] == given.id
                assert event["details"] == {"model": tuned, "project_id": other_workspace_id}

    def test_are_given_by_an_admin_only_and_only_to_workspaces_that_are_there(
        self, ai: OpenAI, owner: OpenAI, tuned: str, workspace_id: str, other_workspace_id: str
    ) -> None:
        with pytest.raises(openai.PermissionDeniedError):
            ai.fine_tuning.checkpoints.permissions.create(tuned, project_ids=[other_workspace_id])
        permissions = owner.fine_tuning.checkpoints.permissions
        with pytest.raises(openai.NotFoundError) as caught:
            permissions.create(tuned, project_ids=[other_workspace_id, "ws_none"])
        assert (caught.value.code, caught.value.param) == ("project_not_found", "project_ids")
        # all or none
        assert list(permissions.list(tuned)) == []
        with pytest.raises(openai.BadRequestError) as refused:
            permissions.create(tuned, project_ids=[workspace_id])
        assert refused.value.code == "own_project"
        with pytest.raises(openai.NotFoundError):
            permissions.create("ft:none", project_ids=[other_workspace_id])

    def test_are_what_opens_the_row_in_the_database(
        self, database: Database, owner: OpenAI, tuned: str, other_workspace_id: str
    ) -> None:
        """Not the code that asks for it: without a permission the row is not there for the other workspace."""

        def rows() -> tuple[int, int]:
            with database.session(workspace_scope(other_workspace_id)) as session:
                seen = session.scalar(text("select count(*) from adapters")) or 0
                changed = session.execute(text("update adapters set name = 'mine' returning id")).all()
                return seen, len(changed)

        assert rows() == (0, 0)
        owner.fine_tuning.checkpoints.permissions.create(tuned, project_ids=[other_workspace_id])
        assert rows() == (1, 0)
