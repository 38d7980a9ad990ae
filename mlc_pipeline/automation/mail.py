"""Sends an alert by e-mail, through the connection's SMTP server.

What must not come in: which alerts there are, retries.
"""

from __future__ import annotations

import smtplib
import ssl
from email.message import EmailMessage
from email.utils import formatdate, make_msgid

from mlc_pipeline.automation.delivery import Alert, NotDelivered
from mlc_pipeline.connection.model import Email

_SECONDS = 5.0


def send(settings: Email, password: str | None, alert: Alert) -> None:
    """Send an alert to the recipients.

    Args:
        settings: server, sender, recipients.
        password: of `settings.user`; None when there is no user.
        alert: what is told.

    Raises:
        NotDelivered: the server could not be reached or did not take it.
    """
    try:
        message = _message(settings, alert)
        with _connected(settings) as server:
            if settings.user is not None and password is not None:
                server.login(settings.user, password)
            refused = server.send_message(message)
    except smtplib.SMTPResponseException as error:
        # Its text may repeat what was sent.
        raise NotDelivered(f"the mail server answered {error.smtp_code}") from None
    except UnicodeEncodeError:
        # Python's SMTP says credentials and addresses in ASCII alone; the error holds them.
        raise NotDelivered(
            "alert_smtp_password, or an address of alerts.email, has a letter that is not ASCII"
        ) from None
    except (OSError, ValueError, smtplib.SMTPException) as error:
        raise NotDelivered(f"the mail server: {type(error).__name__}") from None
    if refused:
        raise NotDelivered(f"the mail server refused {len(refused)} recipient(s)")


def _message(settings: Email, alert: Alert) -> EmailMessage:
    message = EmailMessage()
    message["Subject"] = " ".join(alert.subject.split())
    message["From"], message["To"] = settings.sender, ", ".join(settings.to)
    message["Date"], message["Message-ID"] = formatdate(), make_msgid(domain="mlc-pipeline")
    message.set_content(alert.text())
    return message


def _connected(settings: Email) -> smtplib.SMTP:
    host = settings.host or ""
    if settings.security == "tls":
        return smtplib.SMTP_SSL(
            host, settings.port, timeout=_SECONDS, context=ssl.create_default_context()
        )
    server = smtplib.SMTP(host, settings.port, timeout=_SECONDS)
    if settings.security == "starttls":
        try:
            server.starttls(context=ssl.create_default_context())
        except BaseException:
            server.close()
            raise
    return server
