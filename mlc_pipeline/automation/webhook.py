"""Posts an alert to a webhook, as JSON that Slack and what imitates it understand.

Here and not in a client's room: it speaks to no system of the sync, only to whoever reads
alerts.

What must not come in: which alerts there are, retries.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx

from mlc_pipeline.automation.delivery import NotDelivered
from mlc_pipeline.connection.model import LOOPBACK_HOSTS

_SECONDS = 5.0


def post(address: str, payload: Mapping[str, Any]) -> None:
    """Post a payload as JSON.

    Args:
        address: https URL; http on this machine only. It is a secret and is never shown.
        payload: JSON values.

    Raises:
        NotDelivered: there was no answer, or one that is no success.
    """
    if not _is_safe(address):
        raise NotDelivered(
            "alert_webhook_url is no https address; run mlc secret set with the right one"
        )
    try:
        # A redirect would carry the alert to an address that nobody configured.
        answer = httpx.post(address, json=payload, timeout=_SECONDS, follow_redirects=False)
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        # The message may hold the address.
        raise NotDelivered(
            f"the webhook could not be reached ({type(error).__name__})"
        ) from None
    if not answer.is_success:
        raise NotDelivered(f"the webhook answered HTTP {answer.status_code}")


def _is_safe(address: str) -> bool:
    try:
        parts = urlsplit(address)
    except ValueError:
        return False
    return parts.scheme == "https" or parts.hostname in LOOPBACK_HOSTS
