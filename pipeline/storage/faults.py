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

__all__ = ["NO_CREDENTIALS", "UNREACHABLE", "code_of", "sentence_for", "translated", "worded"]

UNREACHABLE = "cannot be reached; check the network and {endpoint}, and run again"
REFUSED = "refuses the credentials ({code}); check {keys}"
EXPIRED = "refuses the credentials, which have expired; renew them and run again"
NO_BUCKET = "does not exist; create the {bucket}, or correct CALL_METRICS_DATA"
DENIED = "does not allow it ({code}); the credentials need the right to read, list, write and delete there"
REGION = "is in another region; set AWS_REGION to the bucket's"
BUSY = "does not respond for now ({code}); run again later: what has landed stays"
NO_CREDENTIALS = "finds no credentials; set {needed}, or give the machine {identity}"
SKEWED = "refuses requests because this machine's clock is wrong; set the clock and run again"

IMMUTABLE = "does not let its objects be deleted (a policy or a hold); change the policy of the {bucket}"

VARIABLES = {
    "s3": {
        "bucket": "bucket",
        "endpoint": "AWS_ENDPOINT_URL",
        "keys": "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN",
        "needed": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
        "identity": "a role",
    },
    "az": {
        "bucket": "container",
        "endpoint": "AZURE_STORAGE_ACCOUNT_NAME",
        "keys": "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY, or AZURE_STORAGE_CONNECTION_STRING",
        "needed": "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY",
        "identity": "an identity",
    },
    "gs": {
        "bucket": "bucket",
        "endpoint": "GOOGLE_BASE_URL",
        "keys": "GOOGLE_APPLICATION_CREDENTIALS",
        "needed": "GOOGLE_APPLICATION_CREDENTIALS to the path of a service account's key",
        "identity": "a service account",
    },
}
"""Words and variables of a kind of store, by the scheme of its address."""

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
    "InvalidAuthenticationInfo": REFUSED,
    "NoAuthenticationInformation": REFUSED,
    "AccessDenied": DENIED,
    "AllAccessDisabled": DENIED,
    "AuthorizationPermissionMismatch": DENIED,
    "AuthorizationFailure": DENIED,
    "AccountIsDisabled": DENIED,
    "AuthenticationRequired": REFUSED,
    "AccountDisabled": DENIED,
    "BlobImmutableDueToPolicy": IMMUTABLE,
    "RetentionPolicyNotMet": IMMUTABLE,
    "ObjectUnderActiveHold": IMMUTABLE,
    "PermanentRedirect": REGION,
    "AuthorizationHeaderMalformed": REGION,
    "IllegalLocationConstraintException": REGION,
    "SlowDown": BUSY,
    "ServiceUnavailable": BUSY,
    "InternalError": BUSY,
    "ServerBusy": BUSY,
    "OperationTimedOut": BUSY,
    "ContainerBeingDeleted": NO_BUCKET,
    "RequestTimeTooSkewed": SKEWED,
}
"""What codes of S3, Azure and Google mean, as the rest of a sentence that starts with the address of the store."""


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
            raise FixStorage(worded(url, NO_BUCKET)) from None
        raise FileNotFoundError(errno.ENOENT, "no such object", url) from None
    except (BaseError, OSError, ValueError) as error:
        raise FixStorage(_reason(url, error)) from None


def worded(url: str, sentence: str, code: str = "") -> str:
    """Return a sentence about a store, with its address, and the words and variables of its kind."""
    variables = VARIABLES.get(url.partition("://")[0], VARIABLES["s3"])
    return f"{url} {sentence.format(code=code, **variables)}"


def sentence_for(url: str, code: str) -> str | None:
    """Return what a code means; None if it is not known."""
    return worded(url, SENTENCES[code], code) if code in SENTENCES else None


def code_of(error: BaseException) -> str:
    """Return the code of a store's error, such as `AccessDenied`; empty if it has none."""
    found = re.search(r"<Code>(\w+)</Code>", str(error))
    return found[1] if found else ""


def _reason(url: str, error: BaseException) -> str:
    code, text = code_of(error), str(error)
    status = re.search(r"status code: (\d{3})", text)
    if (sentence := sentence_for(url, code)) is not None:
        return sentence
    if "redirect without LOCATION" in text:
        return worded(url, REGION)
    if status is not None and status[1] == "404":
        return worded(url, NO_BUCKET)
    if status is not None and status[1] in ("401", "403"):
        return worded(url, REFUSED, code or f"HTTP {status[1]}")
    if status is not None:
        return worded(url, BUSY, code or f"HTTP {status[1]}")
    if "error sending request" in text or "HttpError" in text or "Connect" in text:
        return worded(url, UNREACHABLE)
    if "credential" in text.lower() or "metadata" in text.lower():
        return worded(url, NO_CREDENTIALS)
    return f"{url} cannot be used ({type(error).__name__}); check CALL_METRICS_DATA and the network, and run again"
