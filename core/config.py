"""Every setting, read from the environment once per process by the entry point and passed down from there.

`DATABASE_URL`, `REDIS_URL`, `S3_ENDPOINT_URL` and the AWS key pair keep their customary names; all else is
`TAILORBIRD_…`. Field descriptions are the only text about a setting: `docs/reference.md` is generated from them.
"""

import hashlib
import hmac
import os
from ipaddress import ip_network
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import AliasChoices, Field, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from core.kit import ssrf
from core.kit.sealing import Sealer
from core.vllm_settings import VllmSettings

_SETUP_TOKEN_CHARS = 32
_DEFAULT_SECRET = "change-me"  # noqa: S105 - refused in production


class Settings(VllmSettings, BaseSettings):
    model_config = SettingsConfigDict(env_prefix="TAILORBIRD_", extra="ignore", frozen=True, populate_by_name=True)

    mode: Literal["embedded", "production"] = Field(
        "embedded", description="`production` refuses to start on default secrets or missing servers."
    )
    home: Path = Field(
        Path(".tailorbird"),
        description="The one folder for everything kept on disk: embedded servers' data, base models, run folders.",
    )
    public_url: str = Field("http://127.0.0.1:8700", description="The address that people type; links start with it.")
    listen: str = Field("", description="host:port that the api binds; empty for those of the public URL.")
    secret_key: str = Field(_DEFAULT_SECRET, description="Signs CSRF tokens. At least 32 characters in production.")
    encryption_keys: str = Field(
        "",
        description="Seal what must be read again (webhook and TOTP secrets): `id:key` pairs with commas between, each "
        "key 32 bytes of base64. The first seals, all open; `tailorbird rotate-secrets` seals anew with the first. "
        "Empty derives one key from the secret key.",
    )
    smtp_url: str = Field(
        "",
        description="Where mail is handed over: `smtp://user:password@host:587` (STARTTLS if offered) or `smtps://…`. "
        "Empty sends none: invitations and resets are then links to pass on.",
    )
    mail_from: str = Field("Tailorbird <tailorbird@localhost>", description="The sender of mail.")

    outbound_allow: str = Field(
        "",
        description="Hosts and networks of your own (`hooks.internal, 10.1.0.0/16`) that addresses given by users, "
        "such as webhooks, may lead to, by plain http and on any port too. All others must be public.",
    )
    outbound_ports: str = Field("80, 443, 8080, 8443", description="Ports at which public hosts may be called.")
    outbound_http: bool = Field(False, description="In production, call public hosts by plain http too.")

    oidc_issuer: str = Field(
        "",
        description="Single sign-on: the OpenID provider's issuer, letter by letter as it names itself. Empty for "
        "none. Its client must allow the redirect to `<public URL>/v1/auth/oidc/callback`.",
    )
    oidc_client_id: str = Field("", description="Our name at that provider.")
    oidc_client_secret: str = Field("", description="Our secret there; empty for a public client, which PKCE protects.")
    oidc_name: str = Field("single sign-on", description="What the button says after *Continue with*.")
    oidc_auto_join_domains: str = Field(
        "",
        description="Whoever has a verified address of these domains (commas between) may join the first workspace "
        "without an invitation. Empty for nobody.",
    )
    oidc_auto_join_role: Literal["viewer", "reviewer", "member"] = Field(
        "viewer", description="What those who join by their domain may do at first."
    )

    database_url: str = Field(
        "postgresql+psycopg://tailorbird_app@127.0.0.1:5432/tailorbird",
        validation_alias=AliasChoices("DATABASE_URL", "database_url"),
        description="Postgres as the application's role, which owns no table and is bound by row-level security.",
    )
    database_owner_url: str | None = Field(
        None,
        validation_alias=AliasChoices("DATABASE_OWNER_URL", "database_owner_url"),
        description="Postgres as the owner of the tables; only `tailorbird migrate` uses it.",
    )
    redis_url: str = Field(
        "redis://127.0.0.1:6379/0",
        validation_alias=AliasChoices("REDIS_URL", "redis_url"),
        description="Redis or Valkey: doorbells of jobs and live events. Holds nothing that may not be lost.",
    )
    s3_endpoint_url: str | None = Field(
        None,
        validation_alias=AliasChoices("S3_ENDPOINT_URL", "s3_endpoint_url"),
        description="S3-compatible server; empty for AWS itself.",
    )
    s3_region: str = Field(
        "us-east-1",
        validation_alias=AliasChoices("S3_REGION", "s3_region"),
        description="Region of the bucket.",
    )
    s3_bucket: str = Field(
        "tailorbird",
        validation_alias=AliasChoices("S3_BUCKET", "s3_bucket"),
        description="The one bucket we use.",
    )
    s3_access_key_id: str | None = Field(
        None,
        validation_alias=AliasChoices("AWS_ACCESS_KEY_ID", "s3_access_key_id"),
        description="S3 key; empty to use the machine's own role.",
    )
    s3_secret_access_key: str | None = Field(
        None,
        validation_alias=AliasChoices("AWS_SECRET_ACCESS_KEY", "s3_secret_access_key"),
        description="S3 secret of that key.",
    )

    inference_url: str = Field("http://127.0.0.1:8710", description="Where the inference runtime listens.")
    inference_token: str = Field(_DEFAULT_SECRET, description="Shared secret between the api and the runtime.")
    frontend_dist: Path = Field(Path("frontend/dist"), description="The built web page; the api serves it if there.")

    api_key: str = Field("", description="Signs `tailorbird import` in to an installation.")
    max_upload_bytes: int = Field(512 * 1024 * 1024, description="Largest file that may be uploaded at once.")
    max_upload_in_parts_bytes: int = Field(8 * 1024**3, description="Largest file that may be uploaded in parts.")
    upload_expires_s: int = Field(3600, description="How long a file in parts stays open, from its last part on.")
    import_timeout_s: float = Field(900, gt=0, description="How long a file may take that is fetched from an address.")
    import_link_expires_s: int = Field(3600, ge=60, description="How long a link into somebody's S3 is good for.")
    max_open_uploads_per_workspace: int = Field(20, description="Files that may arrive in parts at the same time.")
    max_open_upload_bytes_per_workspace: int = Field(
        32 * 1024**3, description="Bytes of all files together that arrive in parts at the same time."
    )
    base64_result_files: bool = Field(
        False,
        description="Give the content of a run's result file in base64, as OpenAI does; else it is plain CSV.",
    )
    max_api_keys_per_workspace: int = Field(
        200, ge=0, description="API keys that a workspace may have at once; 0 is no limit, here and for members."
    )
    max_members_per_workspace: int = Field(
        500, ge=0, description="Members that a workspace may have; a seat that is offered is taken."
    )
    max_aliases_per_workspace: int = Field(
        1000, ge=0, description="Aliases that a workspace may have at once; 0 is no limit."
    )
    max_workspace_bytes: int = Field(
        0, description="What all files of a workspace may take together, unless set for it; 0 is no limit."
    )
    rate_limit_reads: int = Field(
        6000,
        ge=0,
        description="Requests a minute by which one API key, or one person in a browser, may read; 0 is no limit, here "
        "and for the others.",
    )
    rate_limit_writes: int = Field(600, ge=0, description="Requests a minute by which one may change something.")
    rate_limit_jobs: int = Field(120, ge=0, description="Requests a minute by which one workspace may start a job.")
    rate_limit_uploads: int = Field(600, ge=0, description="Files, and parts of files, that one may send in a minute.")
    rate_limit_chat: int = Field(600, ge=0, description="Questions to models that one may send in a minute.")
    rate_limit_chat_tokens: int = Field(
        1_000_000,
        ge=0,
        le=60_000_000,
        description="Tokens that the models may read and write in a minute for one workspace.",
    )
    rate_limit_public: int = Field(
        600,
        ge=0,
        description="Requests a minute from one address by whom nobody knows yet: signed out, or a wrong key.",
    )
    rate_limit_sign_in: int = Field(60, ge=0, description="Attempts a minute from one address to sign in.")
    trusted_proxies: str = Field(
        "",
        description="Addresses and networks of the reverse proxies in front of the api, with commas between, such as "
        "`10.0.0.0/8`. Only from them is `X-Forwarded-For` believed; without one the client is who connects.",
    )
    header_timeout_s: float = Field(10, gt=0, description="How long the head of a request may take to arrive.")
    body_grace_s: float = Field(10, gt=0, description="How many seconds a body may fall behind the least rate.")
    min_body_bytes_per_s: int = Field(4096, gt=0, description="The least rate at which a body must arrive.")
    max_connections: int = Field(
        2000, gt=0, description="Connections of one api process; beyond it those that say nothing are closed first."
    )
    max_connections_per_address: int = Field(
        1000, gt=0, description="Connections from one address, unless it is a trusted proxy's."
    )
    audit_client_addresses: Literal["full", "network", "none"] = Field(
        "full",
        description="How much of a client's address the audit log keeps: all of it, its network (/24, or /48 of IPv6), "
        "or nothing.",
    )
    lease_s: float = Field(60, description="How long a worker may go silent before its job is given to another.")
    heartbeat_s: float = Field(10, description="How often a worker renews its lease.")
    reconcile_interval_s: float = Field(15, description="How often lost doorbells and dead leases are looked for.")
    no_progress_s: float = Field(600, description="A job whose process says nothing for so long is ended as hung.")
    kill_grace_s: float = Field(30, description="How long a process may take to end after it was asked to.")
    checkpoint_every_s: float = Field(60, description="How often a run saves its place.")
    child_memory_bytes: int = Field(
        0, description="Memory that the process of one job may use; 0 leaves it to the machine."
    )
    worker_token: str = Field("", description="What a worker shows to be let in; an admin makes it.")
    queue_stuck_s: float = Field(300, description="A queue whose due jobs wait so long beside idle workers is stuck.")
    max_running_per_workspace: int = Field(
        0, description="Jobs of one workspace that may run at once in a queue, unless set for it; 0 is no limit."
    )
    webhook_log_days: int = Field(30, ge=1, description="How long a webhook's deliveries are kept once they are over.")
    allow_workspace_creation: bool = Field(
        False, description="Whether everybody may make workspaces, or only admins of the installation."
    )
    session_idle_s: int = Field(12 * 3600, description="A browser session ends after this long without a request.")
    session_max_s: int = Field(7 * 24 * 3600, description="A browser session ends after this long in any case.")
    idempotency_window_s: int = Field(600, description="How long a client's retry of a create finds the first one.")
    max_chats_per_workspace: int = Field(
        16, ge=1, description="Answers of one workspace that may be under way at once; more are told to come back."
    )
    max_adapter_bytes: int = Field(
        2 << 30, ge=1, description="Memory for adapters in the inference runtime; those not asked for longest go first."
    )
    max_base_model_bytes: int = Field(
        0,
        ge=0,
        description="Memory for base models in the inference runtime, all together; the one not asked for longest goes "
        "first. 0 takes it from the machine: 80 % of the GPU, or half of the memory where there is none, less what "
        "adapters may take.",
    )
    pinned_base_models: str = Field(
        "",
        description="Base models that the inference runtime loads at its start and never evicts, by id with commas "
        "between; `<id>@nf4` is one as QLoRA trains on it.",
    )
    max_prefix_bytes: int = Field(
        256 << 20,
        ge=0,
        description="Memory for what one base model read before, so that a conversation is not read anew at each turn; "
        "0 reads everything anew.",
    )
    export_days: int = Field(7, ge=1, le=365, description="Days that a packed model can be fetched.")
    stored_completions_days: int = Field(
        30, ge=0, description="Days that an answer asked for with `store` is kept; 0 keeps it until it is deleted."
    )
    num_cpu_threads: int = Field(2, description="Threads that one training or inference process may use.")
    gpus_per_worker: int = Field(1, ge=1, description="GPUs of one gpu worker; a run may be spread over all of them.")

    @field_validator("outbound_allow", "outbound_ports")
    @classmethod
    def _is_readable(cls, value: str, info: ValidationInfo) -> str:
        is_hosts = info.field_name == "outbound_allow"
        ssrf.Rules.parse(allow=value if is_hosts else "", ports="" if is_hosts else value, needs_https=True)
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _names_networks(cls, proxies: str) -> str:
        for name in filter(None, map(str.strip, proxies.split(","))):
            ip_network(name, strict=False)
        return proxies

    @property
    def pinned_bases(self) -> tuple[str, ...]:
        """As they were written, each once, in the order given."""
        return tuple(dict.fromkeys(filter(None, map(str.strip, self.pinned_base_models.split(",")))))

    @property
    def base_models_dir(self) -> Path:
        return self.home / "base_models"

    @property
    def runs_dir(self) -> Path:
        """Run folders of jobs in progress on this machine."""
        return self.home / "runs"

    @property
    def uploads_dir(self) -> Path:
        """Where files lie, without a name, while they arrive."""
        return self.home / "uploads"

    @property
    def has_sealing_key(self) -> bool:
        """Whether this process can open what the api sealed: machines that only train are not given the key."""
        return bool(self.encryption_keys.strip()) or self.secret_key != _DEFAULT_SECRET

    def outbound_rules(self) -> ssrf.Rules:
        """Where calls to addresses that users gave may lead. Raises `ValueError`."""
        return ssrf.Rules.parse(
            allow=self.outbound_allow,
            ports=self.outbound_ports,
            needs_https=self.mode == "production" and not self.outbound_http,
        )

    @property
    def auto_join_domains(self) -> frozenset[str]:
        """In lower case, without the at sign."""
        domains = (domain.strip().lower().removeprefix("@") for domain in self.oidc_auto_join_domains.split(","))
        return frozenset(domain for domain in domains if domain)

    @property
    def setup_token(self) -> str | None:
        """What the first admin of a fresh installation shows, so that no stranger is faster; None without a secret."""
        if self.secret_key == _DEFAULT_SECRET:
            return None
        return hmac.new(self.secret_key.encode(), b"tailorbird setup", hashlib.sha256).hexdigest()[:_SETUP_TOKEN_CHARS]

    def sealer(self) -> Sealer:
        """Seals what is kept and must be read again. Raises `ValueError` for malformed keys."""
        return Sealer.of_settings(self.encryption_keys, self.secret_key)

    def production_problems(self) -> list[str]:
        """Everything that forbids a start in production, in plain sentences; empty when all is well."""
        if self.mode != "production":
            return []
        problems = []
        if self.secret_key == _DEFAULT_SECRET or len(self.secret_key) < 32:  # noqa: PLR2004 - 256 bits of hex
            problems.append("TAILORBIRD_SECRET_KEY is missing, the default, or shorter than 32 characters.")
        if self.inference_token == _DEFAULT_SECRET or len(self.inference_token) < 32:  # noqa: PLR2004 - as above
            problems.append("TAILORBIRD_INFERENCE_TOKEN is missing, the default, or shorter than 32 characters.")
        if not _is_web_address(self.public_url):
            problems.append("TAILORBIRD_PUBLIC_URL is not an address such as https://tailorbird.example.com.")
        return problems + self._sign_in_problems() + self._server_problems()

    def worker_problems(self) -> list[str]:
        """The same for a worker, which knows no secret of the api's and must be let in."""
        if self.mode != "production":
            return []
        is_known = bool(self.worker_token)
        missing = [] if is_known else ["TAILORBIRD_WORKER_TOKEN is missing: an admin makes one for this machine."]
        return self._server_problems() + missing

    def _sign_in_problems(self) -> list[str]:
        problems = []
        try:
            self.sealer()
        except ValueError as error:
            problems.append(f"TAILORBIRD_ENCRYPTION_KEYS is malformed. {error}")
        if bool(self.oidc_issuer) != bool(self.oidc_client_id):
            problems.append("TAILORBIRD_OIDC_ISSUER and TAILORBIRD_OIDC_CLIENT_ID go together: set both, or neither.")
        if self.oidc_issuer and not (_is_web_address(self.oidc_issuer) and self.oidc_issuer.startswith("https://")):
            problems.append("TAILORBIRD_OIDC_ISSUER is not an address that begins with https://.")
        return problems

    def _server_problems(self) -> list[str]:
        problems = []
        if "database_url" not in self.model_fields_set:
            problems.append("DATABASE_URL is missing.")
        if "redis_url" not in self.model_fields_set:
            problems.append("REDIS_URL is missing.")
        if self.database_owner_url == self.database_url:
            problems.append("DATABASE_URL must not be the owner's: row-level security would not bind it.")
        return problems


def _is_web_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname)


_FOR_CHILDREN = ("PATH", "HOME", "LANG", "TZ", "TMPDIR", "USER", "VIRTUAL_ENV")
_FOR_CHILDREN_PREFIXES = (
    *("LC_", "PYTHON", "LD_", "XDG_"),
    *("CUDA_", "NVIDIA_", "NCCL_", "GLOO_", "OMP_", "GOMP_", "MKL_", "TORCH_"),
)


def environment_of_children() -> dict[str, str]:
    """What the process of a job inherits: where programs and devices are, and no address or secret of ours."""
    return {
        name: value
        for name, value in os.environ.items()
        if name in _FOR_CHILDREN or name.startswith(_FOR_CHILDREN_PREFIXES)
    }


def environment_of_hub() -> dict[str, str]:
    """Where models are fetched from, and by whose right: for the one process that fetches them."""
    return {name: value for name, value in os.environ.items() if name.startswith("HF_")}


def environment_of_engine() -> dict[str, str]:
    """What another Python environment's program inherits: of that of a job's process, nothing that names our Python."""
    return {
        name: value
        for name, value in environment_of_children().items()
        if not name.startswith("PYTHON") and name != "VIRTUAL_ENV"
    }
