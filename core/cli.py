"""`tailorbird …`: each command is a few lines over the service that does it."""

import argparse
import getpass
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path

from pydantic import ValidationError
from sqlalchemy.orm import Session

from core import sealed_secrets
from core.audit import service as audit
from core.audit.types import Anchor, Break, Fault
from core.config import Settings
from core.db.migrate import upgrade
from core.db.session import SYSTEM, Database
from core.errors import AppError, Invalid
from core.exports import verification
from core.identity import service as identity
from core.jobs.kinds import QueueName
from core.kit.sealing import Unsealable
from core.openai_import import model_names
from core.openai_import import service as openai_import
from core.openai_import.plan import Wanted
from core.openai_import.report import printable
from core.stack import demo, join, up
from core.workers import service as workers
from core.workspaces import service as workspaces
from core.workspaces import setup
from core.workspaces.roles import Role

Command = Callable[[Settings, argparse.Namespace], int]


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        command: Command = options.command
        return command(Settings(), options)
    except AppError as error:
        # what it quotes may come from a file or a server that nobody trusts
        print(f"tailorbird: {printable(error.message)}", file=sys.stderr)
    except ValidationError as error:
        for problem in error.errors():
            name = ".".join(map(str, problem["loc"]))
            print(f"tailorbird: the setting {name} is wrong: {problem['msg']}.", file=sys.stderr)
    except KeyboardInterrupt:
        print("tailorbird: stopped.", file=sys.stderr)
    return 1


def run_up(settings: Settings, _options: argparse.Namespace) -> int:
    return up.up(settings)


def run_demo(settings: Settings, _options: argparse.Namespace) -> int:
    return demo.run(settings)


def run_worker(settings: Settings, options: argparse.Namespace) -> int:
    joined = join.with_addresses(
        settings, database=options.database, redis=options.redis, s3=options.s3, token=options.token
    )
    return join.join(joined, options.queue)


def migrate(settings: Settings, _options: argparse.Namespace) -> int:
    if not settings.database_owner_url:
        raise Invalid(
            "DATABASE_OWNER_URL is not set: tables are made by their owner, not by the application's role.",
            code="owner_url_missing",
        )
    upgrade(settings.database_owner_url, settings.database_url)
    print("The tables are up to date.")
    if settings.worker_token:
        _register_worker_token(settings)
    _print_setup_link(settings)
    return 0


def _print_setup_link(settings: Settings) -> None:
    """Whoever reads what the migration says is who may make the first admin."""
    with _session(settings) as session:
        link = setup.link(session, settings=settings)
    if link:
        print(f"Make the first admin (keep the link to yourself until then):  {link}")


def rotate_secrets(settings: Settings, _options: argparse.Namespace) -> int:
    try:
        sealer = settings.sealer()
    except ValueError as error:
        raise Invalid(f"TAILORBIRD_ENCRYPTION_KEYS is malformed. {error}", code="encryption_keys_malformed") from error
    with _session(settings) as session:
        try:
            num_sealed = sealed_secrets.reseal(session, sealer=sealer)
        except Unsealable as error:
            raise Invalid(f"Nothing was changed. {error}", code="secret_unreadable") from error
    for name, num in num_sealed.items():
        print(f"{name}: {num} sealed anew")
    print("Every secret is sealed with the first key now; the others may go from TAILORBIRD_ENCRYPTION_KEYS.")
    return 0


@contextmanager
def _session(settings: Settings) -> Iterator[Session]:
    database = Database(settings.database_url, pool_size=1)
    try:
        with database.session(SYSTEM) as session:
            yield session
    finally:
        database.dispose()


def _register_worker_token(settings: Settings) -> None:
    """The workers of this deployment show the token of its environment, which no admin has made."""
    with _session(settings) as session:
        is_valid = workers.register_token(session, name="the deployment's own", secret=settings.worker_token)
    if not is_valid:
        raise Invalid("TAILORBIRD_WORKER_TOKEN was revoked by an admin; set another.", code="worker_token_refused")


def create_admin(settings: Settings, options: argparse.Namespace) -> int:
    """The password comes from the terminal, or from standard input when that is not one; never from an argument."""
    password = getpass.getpass("Password: ") if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")
    with _session(settings) as session:
        workspace = workspaces.ensure_default_workspace(session)
        user = identity.create_user(session, email=options.email, name=options.name, password=password)
        workspaces.add_member(session, workspace_id=workspace.id, user_id=user.id, role=Role.ADMIN)
        identity.make_installation_admin(session, user_id=user.id)
    print(f"{options.email} may sign in to {settings.public_url} as an admin.")
    return 0


def import_openai(settings: Settings, options: argparse.Namespace) -> int:
    """The key comes from the environment, an argument or, in a terminal, a question."""
    key = options.key or settings.api_key or (getpass.getpass("API key: ") if sys.stdin.isatty() else "")
    wanted = Wanted(
        models=model_names.parse(options.map), job_ids=frozenset(options.job), files_only=options.files_only
    )
    return openai_import.run(
        openai_import.Import(
            folder=options.folder,
            url=options.url or settings.public_url,
            key=key,
            wanted=wanted,
            keeps_hyperparameters=options.hyperparameters == "keep",
            is_dry_run=options.dry_run,
            report=options.report,
        )
    )


_FAULTS = {
    Fault.CHANGED: "it was changed after it was written",
    Fault.MISSING: "it was removed",
    Fault.CUT_OFF: "it and all after it were removed",
    Fault.UNKNOWN: "it was put in from outside",
    Fault.REPLACED: "it is not the one whose hash was noted",
}


def verify_audit(settings: Settings, options: argparse.Namespace) -> int:
    """Walk every chain of the audit log, or one. An anchor belongs to one chain, so it needs its name."""
    if options.anchor and not options.chain:
        raise Invalid("Say to which chain the anchor belongs: --chain WORKSPACE_ID.", code="chain_missing")
    database = Database(settings.database_url, pool_size=1, statement_timeout_s=3600)
    is_whole = True
    with database.session(SYSTEM) as session:
        for chain_id in [options.chain] if options.chain else audit.chain_ids(session):
            found = audit.verify(session, chain_id=chain_id, anchors=options.anchor)
            since = f" since {found.since:%Y-%m-%d}" if found.since else ""
            if found.first_break is None:
                print(f"{chain_id}: unbroken{since}, {found.sequence} events, the last {found.sequence}:{found.hash}")
            else:
                is_whole = False
                print(f"{chain_id}: BROKEN at event {_broken(found.first_break)}", file=sys.stderr)
    database.dispose()
    return 0 if is_whole else 1


def _broken(found: Break) -> str:
    name = f" ({found.event_id})" if found.event_id else ""
    return f"{found.sequence}{name}: {_FAULTS[found.fault]}"


def _anchor(text: str) -> Anchor:
    sequence, _, digest = text.partition(":")
    if not sequence.isdecimal() or len(digest) != 64:  # noqa: PLR2004 - sha256 in hexadecimal
        raise argparse.ArgumentTypeError("an anchor is NUMBER:HASH, as an earlier check printed it")
    return Anchor(int(sequence), digest)


def verify_export(settings: Settings, options: argparse.Namespace) -> int:
    """The key is asked of the installation, or given; that in the folder proves nothing."""
    key = options.key or verification.key_of(options.url or settings.public_url)
    found = verification.verify(options.folder, public_key=key)
    for problem in found.problems:
        print(printable(problem), file=sys.stderr)
    if found.problems:
        return 1
    model = found.manifest["model"]
    print(printable(f"Whole, and signed with the key {found.key_id}: {len(found.manifest['files'])} files."))
    print(printable(f"{model['name'] or model['id']} as {found.manifest['format']}, made {found.manifest['made_at']}."))
    return 0


def check_settings(settings: Settings, _options: argparse.Namespace) -> int:
    problems = settings.production_problems()
    for problem in problems:
        print(problem, file=sys.stderr)
    if not problems:
        print(f"The settings are sound (mode {settings.mode}).")
    return 1 if problems else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tailorbird", description="Fine-tune your own language model.")
    parser.add_argument("--version", action="version", version=metadata.version("tailorbird"))
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, command: Command, about: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=about, description=about)
        added.set_defaults(command=command)
        return added

    add("up", run_up, "Run everything on this machine until Ctrl-C.")
    add("demo", run_demo, "Tune a small model on sample data by the REST API, and compare it with its base.")
    for_worker = add("worker", run_worker, "Work on this machine for an installation; what it needs may also be set.")
    for_worker.add_argument("queue", nargs="*", type=QueueName, help="io, cpu, gpu; by default io and what is here")
    for_worker.add_argument("--database", metavar="URL", help="Postgres, as the application's role (DATABASE_URL)")
    for_worker.add_argument("--redis", metavar="URL", help="Redis or Valkey (REDIS_URL)")
    for_worker.add_argument(
        "--s3", metavar="URL", help="http://KEY:SECRET@host:port/bucket (S3_ENDPOINT_URL and others)"
    )
    for_worker.add_argument("--token", help="what an admin made for this machine (TAILORBIRD_WORKER_TOKEN)")
    add("migrate", migrate, "Bring the tables up to date (needs DATABASE_OWNER_URL).")
    for_admin = add("create-admin", create_admin, "Add an admin; the password is asked for, or read from stdin.")
    for_admin.add_argument("email")
    for_admin.add_argument("--name", default="")
    _add_imports(commands)
    for_audit = commands.add_parser("audit", help="Check the audit log.", description="Check the audit log.")
    for_verify = for_audit.add_subparsers(required=True, metavar="COMMAND").add_parser(
        "verify", help="Say whether any event was changed, removed, added or moved, and the first if one was."
    )
    for_verify.set_defaults(command=verify_audit)
    for_verify.add_argument("--chain", metavar="ID", help="a workspace's, or `installation`; else all of them")
    for_verify.add_argument(
        "--anchor",
        type=_anchor,
        action="append",
        default=[],
        metavar="NUMBER:HASH",
        help="what an earlier check printed, and was kept where the database cannot reach",
    )
    for_export = add("verify", verify_export, "Say whether an unpacked export of a model is as it was signed.")
    for_export.add_argument("folder", type=Path)
    source = for_export.add_mutually_exclusive_group()
    source.add_argument("--key", metavar="BASE64", help="the public key of the installation that made it")
    source.add_argument("--url", help="of that installation; the public URL of the settings by default")
    add("rotate-secrets", rotate_secrets, "Seal every kept secret anew with the first of the encryption keys.")
    add("settings-check", check_settings, "Say what is wrong with the settings, if anything.")
    return parser


def _add_imports(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    for_import = commands.add_parser("import", help="Bring over what you have elsewhere.")
    about = "Make the fine-tuning files and jobs of an OpenAI account again here; a second run makes nothing twice."
    sources = for_import.add_subparsers(required=True, metavar="SOURCE")
    parser = sources.add_parser("openai", help=about, description=f"{about} See docs/migrate-from-openai.md.")
    parser.set_defaults(command=import_openai)
    parser.add_argument("folder", type=Path, metavar="EXPORT_DIR", help="what the script of the docs has saved")
    parser.add_argument("--url", help="of the installation; the public URL of the settings by default")
    parser.add_argument("--key", help="an API key that may start runs (better: TAILORBIRD_API_KEY)")
    parser.add_argument(
        "--map",
        action="append",
        default=[],
        metavar="THEIRS=OURS",
        help="the base model here for one of OpenAI's, or for all others with *=OURS; as often as needed",
    )
    parser.add_argument("--job", action="append", default=[], metavar="ID", help="only this job and its files")
    parser.add_argument("--files-only", action="store_true", help="no jobs")
    parser.add_argument(
        "--hyperparameters",
        choices=("keep", "auto"),
        default="keep",
        help="keep those of OpenAI (default), or leave them to the recipe here",
    )
    parser.add_argument("--dry-run", action="store_true", help="only show what would happen, and why something cannot")
    parser.add_argument("--report", type=Path, metavar="FILE", help="where to write it; into EXPORT_DIR by default")


if __name__ == "__main__":
    sys.exit(main())
