"""The values of settings: their types, and the sentences that refuse what is none of them.

A type says only what is wrong with a value. Which variable has it is added by `settings`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)

from pipeline.catalog import LAKE_PREFIX, LakeCatalog
from pipeline.errors import FixSettings
from pipeline.logs import LogFormat

__all__ = [
    "MIN_KEEP_DAYS",
    "MIN_TOKEN",
    "Addresses",
    "AnyPath",
    "ApiAddress",
    "AppName",
    "ClientIp",
    "ClientIpSetting",
    "Concurrency",
    "Credentials",
    "Days",
    "Details",
    "DetailsSetting",
    "KeepDays",
    "LogFormatSetting",
    "PathOrLake",
    "Refused",
    "Secret",
    "Share",
    "Start",
    "Token",
    "is_app_name",
    "parse_date",
    "shown",
    "split_addresses",
]

EARLIEST = date(1970, 1, 1)
"""First day that can be set; no call is older."""

MIN_TOKEN = 16
"""Minimum length of a token, in characters."""

MIN_KEEP_DAYS = 7
"""Fewest days that can be kept. A day that is removed is not requested again, and until the third night after it
reports and ratings still come. The rest is for a source or a network that is away for some days."""

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://[^\s]+", re.IGNORECASE)

_APP = re.compile(r"[a-z][a-z0-9_]{0,39}")

_RESERVED = {
    *("raw", "tables", "lake", "dagster"),  # folders in the data root
    *("main", "store", "all_apps", "information_schema", "pg_catalog", "default"),  # schemas
    *("system", "temp", "memory"),  # databases of DuckDB, which a schema of the same name would be mistaken for
}
"""Names that no app can have, since something else has them."""


class Refused(Exception):
    """What is wrong with a value, as the rest of a sentence that starts with its variable."""


class Secret(SecretStr):
    """A string that does not print. `reveal()` returns it to the one place that needs it."""

    def reveal(self) -> str:
        return self.get_secret_value()


@dataclass(frozen=True)
class Credentials:
    """A Stream app's key and secret."""

    key: str
    secret: Secret


def parse_date(name: str, text: str) -> date:
    """Parse an ISO date, such as 2026-11-01. Raises `FixSettings` that names `name`."""
    try:
        if not text.isascii():  # other digits than ours would pass
            raise ValueError
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).date()
    except ValueError:
        raise FixSettings(f"{name} is {shown(text)}; write a date as YYYY-MM-DD, such as 2026-11-01") from None


def _or_refuse(refusal: str) -> WrapValidator:
    """Refuse what the type refuses. `{value}` stands for the value."""

    def validate(value: Any, of_type: ValidatorFunctionWrapHandler) -> Any:
        try:
            return of_type(value)
        except (ValidationError, RuntimeError):  # RuntimeError: from `Path.expanduser`
            raise Refused(refusal.format(value=shown(value))) from None

    return WrapValidator(validate)


def _api_address(text: str) -> str:
    parts = urlsplit(text)
    extras = parts.query or parts.fragment or parts.username or parts.password or set(text) & set(' \\"<>^`{|}')
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0 or extras:
        raise ValueError
    return text.rstrip("/")


def is_app_name(text: str) -> bool:
    """Return whether a Stream app can have this name: it becomes a folder, and a schema of a DuckLake."""
    return _APP.fullmatch(text) is not None and text not in _RESERVED and not text.endswith("_store")


def _app_name(text: str) -> str:
    if _APP.fullmatch(text) is not None and not is_app_name(text):
        raise Refused(f"is {shown(text)}, a name that is used otherwise; write another one")
    if not is_app_name(text):
        raise ValueError
    return text


def _path_or_lake(value: object) -> object:
    """Return the path of a database, or the text that names a DuckLake."""
    if not isinstance(value, str):
        return value
    if not value.startswith(LAKE_PREFIX):
        return Path(value).expanduser()
    LakeCatalog.parse(value, Path())
    return value


def _parse_start(value: object) -> object:
    return parse_date("CALL_METRICS_START", value) if isinstance(value, str) else value


def _whole_number(value: object) -> object:
    if isinstance(value, str) and not (value.isascii() and value.isdecimal()):  # not 16.0, +16 or 1_6
        raise ValueError
    return value


AppName = Annotated[
    str,
    AfterValidator(_app_name),
    _or_refuse(
        "is {value}; write a name of at most 40 characters a-z, 0-9 and _ that starts with a letter, such as support"
    ),
]
ApiAddress = Annotated[
    str,
    AfterValidator(_api_address),
    _or_refuse("is not the address of an API; write it like https://video.stream-io-api.com"),
]
AnyPath = Annotated[
    Path, AfterValidator(Path.expanduser), _or_refuse("is {value}, whose home folder is unknown; write the whole path")
]
PathOrLake = Annotated[
    Path | str,
    BeforeValidator(_path_or_lake),
    _or_refuse("is {value}, whose home folder is unknown; write the whole path"),
]
ClientIp = Literal["keep", "truncate", "drop"]
ClientIpSetting = Annotated[ClientIp, _or_refuse("is {value}; write keep, truncate or drop")]
Details = Literal["off", "poor", "all"]
DetailsSetting = Annotated[Details, _or_refuse("is {value}; write off, poor or all")]
LogFormatSetting = Annotated[LogFormat, _or_refuse("is {value}; write text or json")]
Concurrency = Annotated[
    int,
    Field(ge=1, le=256),
    BeforeValidator(_whole_number),
    _or_refuse("is {value}; write a whole number from 1 to 256"),
]
Days = Annotated[
    int,
    Field(ge=1, le=3650),
    BeforeValidator(_whole_number),
    _or_refuse("is {value}; write a whole number of days from 1 to 3650"),
]
KeepDays = Annotated[
    int,
    Field(ge=MIN_KEEP_DAYS, le=36500),
    BeforeValidator(_whole_number),
    _or_refuse(
        f"is {{value}}; write a whole number of days from {MIN_KEEP_DAYS} to 36500, or leave it out to keep everything"
    ),
]
Share = Annotated[float, Field(gt=0, le=1), _or_refuse("is {value}; write a number above 0 and at most 1, such as 0.5")]
Start = Annotated[
    date,
    Field(ge=EARLIEST),
    BeforeValidator(_parse_start),
    _or_refuse(f"is {{value}}; write a date from {EARLIEST} on"),
]
Token = Annotated[
    Secret,
    Field(min_length=MIN_TOKEN),
    _or_refuse(f"is too short; use at least {MIN_TOKEN} characters that are hard to guess"),
]


def _addresses(secret: Secret) -> Secret:
    if not all(_SCHEME.fullmatch(address) for address in split_addresses(secret)):
        raise ValueError
    return secret


def split_addresses(secret: Secret) -> list[str]:
    """Return the addresses of a value, which are separated by blanks, or by commas and blanks."""
    return [address for part in secret.reveal().split() if (address := part.strip(","))]


Addresses = Annotated[
    Secret,
    AfterValidator(_addresses),
    _or_refuse(
        "has something that is not an address; write addresses as the library Apprise takes them, such as "
        "mailto://… or slack://…, with blanks between them"
    ),
]


def shown(value: object) -> str:
    """Return a value as a sentence shows it: quoted, and cut if it is long."""
    text = f"{value}"
    return repr(text if len(text) <= 60 else f"{text[:59]}…")
