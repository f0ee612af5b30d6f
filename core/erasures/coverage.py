"""Every column in which somebody's words may stand, and what an erasure does about it; and every other, with why not.

Whoever adds a column of text or JSON enters it here: a test walks through all tables and names what is missing
(`tests/core/erasures/test_coverage.py`). The queries, the counts and the page in the docs are made of this.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Column, ColumnElement
from sqlalchemy.orm import InstrumentedAttribute

from core.adapters.models import Adapter
from core.datasets.models import ColumnMapping, Dataset, DatasetVersion, DraftChange, File, KeptFinding, Row, Upload
from core.datasets.types import VersionStatus
from core.db.enum_text import EnumText
from core.erasures.masks import Mask, filename, pairs, under
from core.erasures.types import ByHandKind
from core.erasures.words import blanked
from core.idempotency.models import IdempotencyKey
from core.jobs.models import Job, JobAttempt, JobEvent, JobLog
from core.jobs.types import EventType
from core.model_imports.models import ModelImport
from core.serving.aliases.models import Alias, AliasRelease, PromptProfile, ShadowAnswer
from core.serving.completions.models import Completion
from core.serving.preferences.models import Preference
from core.training.models import Run, RunMetadata
from core.webhooks.models import WebhookAttempt, WebhookEndpoint
from core.workspaces.models import ApiKey, Invitation, ServiceAccount, Workspace

Attribute = InstrumentedAttribute[Any]

# what has steps of its own in `execution`: rows go, versions are written anew, files go as a whole, whole drafts go,
# votes lose all that was said
ROW_WORDS: Final = (Row.messages, Row.tools, Row.chosen, Row.rejected, Row.text, Row.tags)
# what the file had in a row that could not be read is told nowhere but here; other causes are in our own words
UNREAD_WORDS: Final = (Row.problems,)
VERSION_WORDS: Final = (DatasetVersion.changes, DatasetVersion.mapping)
# of a ready version these are found anew
FOUND_ANEW: Final = (DatasetVersion.health, DatasetVersion.problems)
# of a mapping; the others are names of columns, which must stay to be understood
MAPPING_WORDS: Final[tuple[str, ...]] = ("sheet", "system_text", "assistant_speakers")
FILE_WORDS: Final = (File.filename, File.inspection)
DRAFT_WORDS: Final = (DraftChange.change,)
PREFERENCE_WORDS: Final = (Preference.messages, Preference.answers, Preference.parameters)
_OWN_STEPS: Final[Mapping[str, tuple[Attribute, ...]]] = {
    "the row goes": (*ROW_WORDS, *UNREAD_WORDS),
    "the words go": VERSION_WORDS,
    "found anew": FOUND_ANEW,
    "the file goes": FILE_WORDS,
    "the whole draft goes": DRAFT_WORDS,
    "all that was said goes": PREFERENCE_WORDS,
}


@dataclass(frozen=True, slots=True)
class Kept:
    """A table whose rows lose the words that they hold, or go as a whole if they hold any."""

    words: tuple[tuple[Attribute, Mask], ...]
    counted_as: str | None
    """The count of `Found` that tells of it; None for what is kept for a moment and seen by nobody."""
    goes: bool = False
    only: ColumnElement[bool] | None = None
    """The others hold none."""

    @property
    def table(self) -> Any:  # noqa: ANN401 - a mapped class
        return self.words[0][0].class_


def _kept(
    *columns: Attribute,
    counted_as: str | None,
    masks: Mapping[Attribute, Mask] | None = None,
    goes: bool = False,
    only: ColumnElement[bool] | None = None,
) -> Kept:
    words = (*((column, blanked) for column in columns), *(masks or {}).items())
    return Kept(words, counted_as, goes=goes, only=only)


_RUN_MASKS: Final[Mapping[Attribute, Mask]] = {
    Run.request: under("name", "suffix", "init_text", metadata=pairs),
    Run.user_metadata: pairs,
    Run.spec: under("init_text"),
}
# what the manifest of an export says is another installation's word
_LINEAGE: Final = under("imported_by", "named_base", "export_id", "model_id", "made_at", filename=filename)
_FAILED: Final = DatasetVersion.status == VersionStatus.FAILED

KEPT: Final = (
    _kept(
        Completion.messages,
        Completion.answer,
        Completion.parameters,
        masks={Completion.user_metadata: pairs},
        counted_as="num_completions",
        goes=True,
    ),
    _kept(
        ShadowAnswer.question,
        ShadowAnswer.shown_text,
        ShadowAnswer.text,
        ShadowAnswer.problem,
        counted_as="num_shadow_answers",
        goes=True,
    ),
    # a decision stays, by whoever made it
    _kept(KeptFinding.ground, counted_as="num_grounds"),
    _kept(ColumnMapping.columns, ColumnMapping.mapping, counted_as=None, goes=True),
    _kept(IdempotencyKey.key, IdempotencyKey.answer, counted_as=None, goes=True),
    _kept(Run.name, Run.suffix, masks=_RUN_MASKS, counted_as="num_runs"),
    # a run's metadata once more
    _kept(RunMetadata.key, RunMetadata.value, counted_as=None, goes=True),
    _kept(
        Adapter.name,
        masks={Adapter.lineage: _LINEAGE, Adapter.spec: under("init_text")},
        counted_as="num_model_names",
    ),
    _kept(ModelImport.name, masks={ModelImport.files: _LINEAGE}, counted_as="num_model_names"),
    _kept(Upload.mime_type, masks={Upload.filename: filename}, counted_as="num_uploads"),
    # of one that is there somebody must say what it is called instead
    _kept(Dataset.name, counted_as="num_notes", only=Dataset.deleted_at.is_not(None)),
    _kept(AliasRelease.note, counted_as="num_notes"),
    # what the others say is figures
    _kept(JobEvent.message, JobEvent.data, counted_as="num_job_texts", only=JobEvent.type == EventType.MESSAGE),
    _kept(JobLog.text, counted_as="num_job_texts"),
    _kept(Job.error, masks={Job.payload: under("name", "from", filename=filename)}, counted_as="num_job_texts"),
    _kept(JobAttempt.error, counted_as="num_job_texts"),
    _kept(DatasetVersion.error, *FOUND_ANEW, counted_as="num_job_texts", only=_FAILED),
    _kept(WebhookAttempt.answer, WebhookAttempt.error, counted_as="num_webhook_answers"),
    _kept(WebhookEndpoint.name, counted_as="num_access_names"),
    _kept(ApiKey.name, counted_as="num_access_names"),
    _kept(ServiceAccount.name, counted_as="num_access_names"),
    _kept(Invitation.inviter_name, counted_as="num_access_names"),
    # of one that is open the seat is still offered to somebody
    _kept(
        Invitation.email,
        counted_as="num_access_names",
        only=Invitation.accepted_at.is_not(None) | Invitation.revoked_at.is_not(None),
    ),
)


@dataclass(frozen=True, slots=True)
class Named:
    """Words that are used as they are, by traffic or by people: they are named, for somebody to change them."""

    kind: ByHandKind
    words: tuple[Attribute, ...]
    ident: Attribute
    """By which it is found on the page."""
    shown_by: Attribute | None
    """What it is called to people; None where that is put together."""
    only: ColumnElement[bool] | None = None

    @property
    def table(self) -> Any:  # noqa: ANN401 - a mapped class
        return self.ident.class_


NAMED: Final = (
    Named(ByHandKind.DATASET_NAME, (Dataset.name,), Dataset.id, Dataset.name, only=Dataset.deleted_at.is_(None)),
    Named(ByHandKind.PROMPT_PROFILE, (PromptProfile.system_prompt, PromptProfile.note), PromptProfile.id, None),
    Named(ByHandKind.ALIAS_NAME, (Alias.name,), Alias.id, Alias.name, only=Alias.deleted_at.is_(None)),
    Named(
        ByHandKind.MODEL_ID,
        (Adapter.model_id,),
        Adapter.model_id,
        Adapter.model_id,
        only=Adapter.deleted_at.is_(None),
    ),
    Named(ByHandKind.WEBHOOK_ADDRESS, (WebhookEndpoint.url,), WebhookEndpoint.id, WebhookEndpoint.name),
    Named(
        ByHandKind.INVITATION,
        (Invitation.email,),
        Invitation.id,
        Invitation.email,
        only=Invitation.accepted_at.is_(None) & Invitation.revoked_at.is_(None),
    ),
    Named(ByHandKind.WORKSPACE_NAME, (Workspace.name,), Workspace.id, Workspace.name),
)

# why nobody looks into it: tables, or columns of tables that are looked into otherwise
NOT_LOOKED_INTO: Final[Mapping[str, tuple[str, ...]]] = {
    "the record of who did what, which the law asks for and which cannot be changed (GDPR, article 17, 3 b and e)": (
        "audit_events",
        "audit_chains",
    ),
    "the accounts, which cannot be changed: figures, and the ids and stable names of models that were used": (
        "ledger_entries",
        "prices",
    ),
    "figures of traffic, kept for a while, with the ids and stable names of models": ("served_requests",),
    "the person's own account, which is of no workspace; leaving one ends what they may do there": (
        "users",
        "sessions",
        "sign_in_attempts",
        "password_resets",
        "totp_factors",
        "recovery_codes",
        "linked_identities",
        "oidc_flows",
    ),
    "the installation's own machines and keys": ("workers", "worker_tokens", "signing_keys", "queue_clocks"),
    "part of the ids of models, for good": ("workspaces.slug",),
    "ids of models, and stable names: those that are in use are named, to be changed by hand": (
        "completions.model",
        "completions.served_model",
        "shadow_answers.model",
        "shadow_answers.shown_model",
        "alias_releases.plan",
        "alias_releases.template_sha256s",
    ),
    "the base model: a name of the catalogue": (
        "adapters.base_model",
        "dataset_versions.base_model",
        "model_imports.base_model",
        "runs.base_model",
        "scaling_studies.base_model",
    ),
    "a code from a list of ours": (
        "adapters.method",
        "adapters.quantization",
        "api_keys.role",
        "api_keys.scopes",
        "completions.error_code",
        "files.purpose",
        "idempotency_keys.route",
        "invitations.role",
        "jobs.stage",
        "kept_findings.code",
        "memberships.role",
        "model_exports.format",
        "model_imports.quantization",
        "runs.recipe",
        "runs.hardware",
        "scaling_studies.hardware",
        "service_accounts.role",
        "uploads.purpose",
        "webhook_endpoints.event_types",
    ),
    "ids of ours, moments and codes": (
        "erasures.found",
        "jobs.lease_owner",
        "runs.cloned_from",
        "uploads.claim",
        "uploads.part_ids",
        "webhook_deliveries.body",
        "webhook_deliveries.occurrence",
    ),
    "names and digests of files that we wrote, and where they lie": (
        "adapters.files",
        "dataset_versions.artifact",
        "model_exports.files",
    ),
    "figures": (
        "adapters.metrics",
        "adapters.proof",
        "dataset_versions.landmarks",
        "model_exports.report",
        "prompt_profiles.sampling",
        "runs.estimate",
        "runs.results",
        "scaling_studies.estimate",
        "scaling_studies.judgement",
        "scaling_studies.measured",
        "scaling_studies.spec",
    ),
    "sealed, or what is left of a secret": (
        "api_keys.last4",
        "api_keys.prefix",
        "erasures.sealed_terms",
        "webhook_endpoints.old_secret_sealed",
        "webhook_endpoints.secret_hint",
        "webhook_endpoints.secret_sealed",
    ),
}

_IDS: Final = re.compile(r"id|sha256|.+_(id|by|sha256)|digest|object_key|key_prefix")


def treatments() -> dict[str, str]:
    """What is done about words, by `table.column`, in a few words of our own."""
    found = {column: deed for deed, columns in _OWN_STEPS.items() for column in columns}
    for kept in KEPT:
        found = {column: "the row goes" if kept.goes else "the words go" for column, _ in kept.words} | found
    for column in (column for named in NAMED for column in named.words):
        after = "; later the words go" if column in found else ""
        found[column] = f"named while it is in use, to be changed by hand{after}"
    return {_name_of(column): deed for column, deed in found.items()}


def is_id_or_code(column: Column[Any]) -> bool:
    """By its kind: an enum, the id of something or of who made it, a digest, a place in the object store."""
    return bool(isinstance(column.type, EnumText) or column.foreign_keys or _IDS.fullmatch(column.name))


def _name_of(attribute: Attribute) -> str:
    column: Column[Any] = attribute.property.columns[0]
    return f"{column.table.name}.{column.name}"
