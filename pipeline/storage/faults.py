"""What an object store can refuse, in sentences that say what to do.

Messages of the store and of `obstore` never reach a user: they hold keys, signatures and requests. Only the code of an
error does, such as `AccessDenied`.
"""

from __future__ import annotations

import contextlib
import errno
import re
from collections.abc import Iterator

from pipeline.errors import FixStorage

__all__ = ["SENTENCES", "code_of", "translated"]

UNREACHABLE = "cannot be reached; check the network and AWS_ENDPOINT_URL, and run again"
REFUSED = "refuses the credentials ({code}); check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN"
EXPIRED = "refuses the credentials, which have expired; renew them and run again"
NO_BUCKET = "does not exist; create the bucket, or correct CALL_METRICS_DATA"
DENIED = "does not allow it ({code}); the credentials need the right to read, list, write and delete there"
REGION = "is in another region; set AWS_REGION to the bucket's"
BUSY = "does not respond for now ({code}); run again later: what has landed stays"
NO_CREDENTIALS = "finds no credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the machine a role"
SKEWED = "refuses requests because this machine's clock is wrong; set the clock and run again"

SENTENCES = {
    "NoSuchBucket": NO_BUCKET,
    "ContainerNotFound": NO_BUCKET,
    "ExpiredToken": EXPIRED,
    "ExpiredTokenException": EXPIRED,
    "TokenRefreshRequired": EXPIRED,
    "RequestExpired": EXPIRED,
    "InvalidAccessKeyId": REFUSED,
    "InvalidToken": REFUSED,
    "SignatureDoesNotMatch": REFUSED,
    "AuthenticationFailed": REFUSED,
    "AuthFailure": REFUSED,
    "AccessDenied": DENIED,
    "AllAccessDisabled": DENIED,
    "AuthorizationPermissionMismatch": DENIED,
    "PermanentRedirect": REGION,
    "AuthorizationHeaderMalformed": REGION,
    "IllegalLocationConstraintException": REGION,
    "SlowDown": BUSY,
    "ServiceUnavailable": BUSY,
    "InternalError": BUSY,
    "ServerBusy": BUSY,
    "RequestTimeTooSkewed": SKEWED,
}
"""What codes of S3 and Azure mean, as the rest of a sentence that starts with the address of the store."""


@contextlib.contextmanager
def translated(url: str) -> Iterator[None]:
    """Translate the errors of `obstore`: to `FileNotFoundError` if an object is missing, else to `FixStorage`.

    `AlreadyExistsError` and `PreconditionError` pass: they are answers.
    """
    from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError

    try:
        yield
    except (AlreadyExistsError, PreconditionError):
        raise
    except FileNotFoundError as error:
        if code_of(error) in ("NoSuchBucket", "ContainerNotFound"):
            raise FixStorage(f"{url} {NO_BUCKET}") from None
        raise FileNotFoundError(errno.ENOENT, "no such object", url) from None
    except (BaseError, OSError, ValueError) as error:
        raise FixStorage(f"{url} {_reason(error)}") from None


def code_of(error: BaseException) -> str:
    """Return the code of a store's error, such as `AccessDenied`; empty if it has none."""
    found = re.search(r"<Code>(\w+)</Code>", str(error))
    return found[1] if found else ""


def _reason(error: BaseException) -> str:
    code, text = code_of(error), str(error)
    status = re.search(r"status code: (\d{3})", text)
    if code in SENTENCES:
        return SENTENCES[code].format(code=code)
    if "redirect without LOCATION" in text:
        return REGION
    if status is not None and status[1] == "404":
        return NO_BUCKET
    if status is not None and status[1] in ("401", "403"):
        return REFUSED.format(code=code or f"HTTP {status[1]}")
    if status is not None:
        return BUSY.format(code=code or f"HTTP {status[1]}")
    if "error sending request" in text or "HttpError" in text or "Connect" in text:
        return UNREACHABLE
    if "credential" in text.lower() or "metadata" in text.lower():
        return NO_CREDENTIALS
    return f"cannot be used ({type(error).__name__}); check CALL_METRICS_DATA and the network, and run again"
