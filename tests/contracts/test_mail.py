"""The real mailer against a real SMTP server, and what it makes of one that is not there."""

import socket
from collections.abc import Iterator
from email import message_from_bytes
from email.policy import default

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from core.backends.mail import Mail, SmtpMailer
from core.config import Settings
from core.stack.ports import choose

MAIL = Mail(to="ana@example.com", subject="Grüße von Tailorbird", text="Grüße\n\nhttp://127.0.0.1/x?y=z")


class Inbox:
    def __init__(self) -> None:
        self.received: list[Envelope] = []

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - its API
        self.received.append(envelope)
        return "250 taken"


@pytest.fixture
def inbox() -> Inbox:
    return Inbox()


@pytest.fixture
def smtp_url(inbox: Inbox) -> Iterator[str]:
    controller = Controller(inbox, hostname="127.0.0.1", port=choose(["smtp"], {})["smtp"])
    controller.start()
    yield f"smtp://127.0.0.1:{controller.port}"
    controller.stop()


def test_a_mail_arrives_as_it_was_written(inbox: Inbox, smtp_url: str) -> None:
    mailer = SmtpMailer(Settings(smtp_url=smtp_url, mail_from="Tailorbird <birds@example.com>"))
    mailer.send(MAIL)
    assert mailer.flush(10)
    [envelope] = inbox.received
    assert (envelope.mail_from, envelope.rcpt_tos) == ("birds@example.com", ["ana@example.com"])
    assert isinstance(envelope.content, bytes)
    message = message_from_bytes(envelope.content, policy=default)
    assert message["Subject"] == MAIL.subject
    assert message.get_content().split() == MAIL.text.split()


def test_a_recipient_cannot_add_lines_to_the_head(inbox: Inbox, smtp_url: str) -> None:
    mailer = SmtpMailer(Settings(smtp_url=smtp_url))
    mailer.send(Mail(to="ana@example.com\r\nBcc: all@example.com", subject="Hello", text=""))
    assert mailer.flush(10)
    assert inbox.received == []


def test_a_server_that_is_away_costs_the_sender_nothing(caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        mailer = SmtpMailer(Settings(smtp_url=f"smtp://127.0.0.1:{taken.getsockname()[1]}"))
        mailer.send(MAIL)
        assert mailer.flush(10)
    assert "mails are lost for now" in caplog.text
    assert "ana@" not in caplog.text


def test_without_a_server_nothing_is_sent() -> None:
    mailer = SmtpMailer(Settings())
    assert not mailer.is_configured
    mailer.send(MAIL)
    assert mailer.flush(0)
