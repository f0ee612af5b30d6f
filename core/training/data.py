"""The data that a run names: which dataset version it means, and whether that can be used."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from sqlalchemy.orm import Session

from core.backends.queue import TaskQueue
from core.datasets import closing, files
from core.datasets import service as datasets
from core.datasets.models import DatasetVersion
from core.datasets.types import VersionStatus
from core.errors import Conflict, Invalid, NotFound
from core.jobs.types import JobError
from core.training.planning import data_stats, rough_stats
from core.training.recipes import DatasetStats
from core.training.request import RunRequest, check_row_kind
from core.workspaces.principal import Principal


def training_version(
    session: Session, *, principal: Principal, request: RunRequest, queue: TaskQueue | None
) -> DatasetVersion:
    """The version trained on; one is made of a file.

    Raises `Invalid` for one whose check failed, or whose rows are of another kind than the method learns from, and
    `Conflict` while a person's rows are removed from the workspace.
    """
    workspace_id = principal.workspace_id
    closing.refuse_while_closed(session, workspace_id=workspace_id)
    if request.dataset_version_id is not None:
        version = datasets.get_version(session, workspace_id=workspace_id, version_id=request.dataset_version_id)
        return _fitting(request, _usable(version, "dataset_version_id"))
    with _named("training_file"):
        version = datasets.version_for_file(
            session,
            workspace_id=workspace_id,
            file_id=str(request.training_file),
            principal_user_id=principal.user_id,
            queue=queue,
        )
    return _fitting(request, _usable(version, "training_file"))


def validation_version(
    session: Session, *, principal: Principal, request: RunRequest, queue: TaskQueue | None
) -> DatasetVersion | None:
    if request.validation_dataset_version_id is not None:
        return _named_validation(session, principal.workspace_id, request)
    if request.validation_file is None:
        return None
    with _named("validation_file"):
        version = datasets.version_for_file(
            session,
            workspace_id=principal.workspace_id,
            file_id=request.validation_file,
            principal_user_id=principal.user_id,
            queue=queue,
        )
    check_row_kind(request, version.kind, param="validation_file")
    return _usable(version, "validation_file")


def check_validation(session: Session, *, workspace_id: str, request: RunRequest) -> None:
    """As `validation_version`, but no version is made of a file. Raises the same."""
    if request.validation_dataset_version_id is not None:
        _named_validation(session, workspace_id, request)
    elif request.validation_file is not None:
        with _named("validation_file"):
            file = files.get(session, workspace_id=workspace_id, file_id=request.validation_file)
            # whether it is clear what its columns are
            datasets.known_version_for_file(session, workspace_id=workspace_id, file_id=file.id)
        check_row_kind(request, files.inspection_of(file).kind, param="validation_file")


def versions_known(
    session: Session, *, workspace_id: str, request: RunRequest
) -> tuple[DatasetVersion, DatasetVersion] | None:
    """What is learned from and what is measured with, if both are there already."""

    def known(version_id: str | None, file_id: str | None) -> DatasetVersion | None:
        # what is wrong with one of them the other checks tell
        with suppress(NotFound, Invalid):
            if version_id is not None:
                return datasets.get_version(session, workspace_id=workspace_id, version_id=version_id)
            if file_id is not None:
                return datasets.known_version_for_file(session, workspace_id=workspace_id, file_id=file_id)
        return None

    version = known(request.dataset_version_id, request.training_file)
    validation = known(request.validation_dataset_version_id, request.validation_file)
    return None if version is None or validation is None else (version, validation)


def stats_of(session: Session, *, workspace_id: str, request: RunRequest) -> DatasetStats:
    """Roughly, of a file. Raises `Conflict` while a version is still being checked."""
    if request.dataset_version_id is None:
        with _named("training_file"):
            file = files.get(session, workspace_id=workspace_id, file_id=str(request.training_file))
        check_row_kind(request, files.inspection_of(file).kind, param="method.type")
        return rough_stats(file)
    version = datasets.get_version(session, workspace_id=workspace_id, version_id=request.dataset_version_id)
    _fitting(request, version)
    if _usable(version, "dataset_version_id").status is not VersionStatus.READY:
        raise Conflict(
            "The examples are still being checked; ask again when the dataset version is ready.",
            code="dataset_version_not_ready",
            details={"dataset_version_id": version.id},
        )
    return data_stats(version, None)


@contextmanager
def _named(param: str) -> Iterator[None]:
    """What is wrong with a file is told of the field that named it: the create has two."""
    try:
        yield
    except (NotFound, Invalid) as error:
        error.param = param
        raise


def _fitting(request: RunRequest, version: DatasetVersion) -> DatasetVersion:
    check_row_kind(request, version.kind, param="method.type")
    return version


def _usable(version: DatasetVersion, param: str) -> DatasetVersion:
    if version.status == VersionStatus.FAILED:
        error = version_error(version, param)
        raise Invalid(error["message"], code=error["code"], param=param)
    return version


def version_error(version: DatasetVersion, param: str) -> JobError:
    error = version.error or {}
    return JobError(
        code=error.get("code", "dataset_version_failed"),
        message=error.get("message", f"The examples of {version.id} could not be read; look at its problems."),
        param=param,
    )


def _named_validation(session: Session, workspace_id: str, request: RunRequest) -> DatasetVersion:
    param = "validation_dataset_version_id"
    with _named(param):
        version = datasets.get_version(
            session, workspace_id=workspace_id, version_id=str(request.validation_dataset_version_id)
        )
    check_row_kind(request, version.kind, param=param)
    return _usable(version, param)
