"""Sending, through the library Apprise. No address leaves this module: not in a sentence, and not in a log line.

Facts about the library are from its documentation (github.com/caronc/apprise).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from pipeline.alerts.messages import Message
from pipeline.errors import FixSettings
from pipeline.settings import Secret

__all__ = ["Address", "addresses"]

log = logging.getLogger(__name__)


class Address:
    """One address of CALL_METRICS_ALERTS. `position` counts from 1 and stands for it in sentences."""

    def __init__(self, position: int, secret: Secret, service: Any) -> None:
        self.position = position
        self.secret = secret
        self._service = service

    def __str__(self) -> str:
        scheme = self.secret.reveal().partition("://")[0]
        return f"address {self.position} of CALL_METRICS_ALERTS ({scheme}://…)"

    def send(self, message: Message) -> str | None:
        """Send a message. Returns None if it was accepted, else what is wrong, as a sentence."""
        if self._service is None:
            return f"{self} is not one that Apprise knows; write it as Apprise's documentation says"
        try:
            if self._service.notify(
                title=message.title, body=message.text, notify_type=message.kind, body_format="text"
            ):
                return None
        except Exception as error:  # noqa: BLE001 - its services raise all kinds, and messages may hold the address
            log.debug("%s raised %s", self, type(error).__name__)
        return f"{self} did not accept a message; check that it is right and that its server can be reached"


def addresses(secrets: Sequence[Secret]) -> list[Address]:
    """Return the addresses, ready to send. Raises `FixSettings` if the library is not installed.

    It is imported here since that takes long, and most commands tell nobody.
    """
    if not secrets:
        return []
    try:
        import apprise
    except ImportError:
        raise FixSettings(
            "CALL_METRICS_ALERTS is set, and telling needs a library; run `pip install 'call-metrics[alerts]'`"
        ) from None
    # What it logs may hold a part of an address. Whether a message was accepted, it returns.
    logger = logging.getLogger("apprise")
    logger.propagate = False
    logger.setLevel(logging.CRITICAL)
    asset = apprise.AppriseAsset(app_id="Call Metrics", app_desc="Call Metrics", async_mode=False, secure_logging=True)
    return [
        Address(position, secret, apprise.Apprise.instantiate(secret.reveal(), asset=asset))
        for position, secret in enumerate(secrets, start=1)
    ]
