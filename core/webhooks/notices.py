"""The workspace's admins are told when an endpoint was switched off without them."""

from functools import partial

from sqlalchemy.orm import Session

from core.backends.mail import Mail, Mailer
from core.db.session import after_commit
from core.webhooks.service import get
from core.webhooks.types import DisabledReason
from core.workspaces import service as workspaces

_WHY = {
    DisabledReason.GONE: 'It answered "410 Gone", which asks us to call it no more.',
    DisabledReason.FAILING: "For three days nothing that we sent arrived there.",
}


def tell_switched_off(
    session: Session,
    *,
    workspace_id: str,
    endpoint_id: str,
    reason: DisabledReason,
    mailer: Mailer,
    public_url: str,
) -> None:
    """By mail, after the commit; the page shows it in any case."""
    endpoint = get(session, workspace_id=workspace_id, endpoint_id=endpoint_id)
    workspace = workspaces.get_workspace(session, workspace_id=workspace_id)
    text = (
        f"The webhook {endpoint.name} of {workspace.name} has been switched off.\n\n{_WHY[reason]}\n\n"
        "What is lost is in its log, and can be sent again from there:\n"
        f"{public_url.rstrip('/')}/settings/webhooks/{endpoint.id}\n"
    )
    for admin in workspaces.list_admins(session, workspace_id=workspace_id):
        mail = Mail(to=admin.email, subject=f"Webhook switched off: {endpoint.name}", text=text)
        after_commit(session, partial(mailer.send, mail))
