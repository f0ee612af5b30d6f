"""Mail, where a server for it is set. Everything that is sent is also a link that a page shows, so none is needed."""

import logging
import smtplib
import ssl
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from typing import Protocol
from urllib.parse import unquote, urlsplit

from core.backends.hints import HintSender
from core.config import Settings

logger = logging.getLogger(__name__)

_TIMEOUT_S = 10
_PORTS = {"smtp": 25, "smtps": 465}


@dataclass(frozen=True, slots=True)
class Mail:
    """Plain text to one person."""

    to: str
    subject: str
    text: str


class Mailer(Protocol):
    @property
    def is_configured(self) -> bool:
        """Whether mail gets anywhere."""

    def send(self, mail: Mail) -> None:
        """Never waits and never raises. What cannot be sent is logged by its recipient's domain and dropped."""


class SmtpMailer:
    """By `settings.smtp_url`; without one, nothing is sent."""

    def __init__(self, settings: Settings) -> None:
        self._url = urlsplit(settings.smtp_url) if settings.smtp_url else None
        self._from = settings.mail_from
        self._outgoing = HintSender("mails", self._deliver, (OSError, smtplib.SMTPException))

    @property
    def is_configured(self) -> bool:
        return self._url is not None

    def send(self, mail: Mail) -> None:
        if self._url is not None:
            self._outgoing.give(mail)

    def flush(self, timeout_s: float) -> bool:
        """Wait until everything is sent or given up; False if that takes longer."""
        return self._outgoing.flush(timeout_s)

    def _deliver(self, mail: Mail) -> None:
        assert self._url is not None  # noqa: S101 - nothing is given to send without one
        message = EmailMessage()
        message["From"], message["To"], message["Subject"] = self._from, mail.to, mail.subject
        message["Date"], message["Message-ID"] = formatdate(), make_msgid()
        message.set_content(mail.text)
        host, is_tls = self._url.hostname or "localhost", self._url.scheme == "smtps"
        port = self._url.port or _PORTS[self._url.scheme]
        context = ssl.create_default_context()
        with (
            smtplib.SMTP_SSL(host, port, timeout=_TIMEOUT_S, context=context)
            if is_tls
            else smtplib.SMTP(host, port, timeout=_TIMEOUT_S)
        ) as server:
            server.ehlo()
            if not is_tls and server.has_extn("starttls"):
                server.starttls(context=context)
            if self._url.username:
                server.login(unquote(self._url.username), unquote(self._url.password or ""))
            server.send_message(message)


@dataclass(slots=True)
class RecordingMailer:
    """Keeps what was sent. For tests."""

    is_configured: bool = True
    sent: list[Mail] = field(default_factory=list)

    def send(self, mail: Mail) -> None:
        self.sent.append(mail)
