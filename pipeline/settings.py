"""What a user can set, read once from the environment and a `.env` file into one frozen object.

The environment goes before `.env`. A value that cannot be used, and a CALL_METRICS_* name that does not exist, is
refused in one sentence. What the settings are used for is the business of whoever takes them.
"""

from __future__ import annotations

import difflib
import os
import stat
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Literal, cast
from urllib.parse import urlsplit

from dotenv import dotenv_values

from pipeline.errors import FixSettings

__all__ = ["MIN_TOKEN", "ClientIp", "Credentials", "Secret", "Settings", "parse_date"]

ClientIp = Literal["keep", "truncate", "drop"]

PREFIX = "CALL_METRICS_"
WAREHOUSE = "warehouse.duckdb"
WORK = ".work"
LOOPBACK = ("127.0.0.1", "::1", "localhost")

EARLIEST = date(1970, 1, 1)
"""No call was before."""

MIN_TOKEN = 16
"""Characters that a token must have at least."""


class Secret:
    """A string that does not print. `reveal()` gives it to the one place that needs it."""

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return "Secret('********')"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)


@dataclass(frozen=True)
class Credentials:
    """A Stream app's key and secret."""

    key: str
    secret: Secret


@dataclass(frozen=True)
class Settings:
    """Everything that can be set. Each field's metadata names its variable and says what it is for."""

    api_key: str | None = field(
        default=None, metadata={"variable": "STREAM_API_KEY", "help": "key of your Stream app, from its dashboard"}
    )
    api_secret: Secret | None = field(
        default=None, metadata={"variable": "STREAM_API_SECRET", "help": "secret that belongs to the key"}
    )
    base_url: str = field(
        default="https://video.stream-io-api.com",
        metadata={"variable": "STREAM_BASE_URL", "help": "address of the API"},
    )
    data: Path = field(
        default=Path("data"), metadata={"variable": "CALL_METRICS_DATA", "help": "folder in which everything is kept"}
    )
    warehouse_file: Path | None = field(
        default=None,
        metadata={
            "variable": "CALL_METRICS_WAREHOUSE",
            "help": "the published database; `warehouse.duckdb` in the data folder unless set",
        },
    )
    start: date = field(
        default=date(2026, 1, 1),
        metadata={"variable": "CALL_METRICS_START", "help": "first day that can be ingested (UTC)"},
    )
    concurrency: int = field(
        default=16, metadata={"variable": "CALL_METRICS_CONCURRENCY", "help": "requests in flight at the same time"}
    )
    quota_share: float = field(
        default=1.0,
        metadata={
            "variable": "CALL_METRICS_QUOTA_SHARE",
            "help": "share of the API's quota to use, above 0 and at most 1",
        },
    )
    client_ip: ClientIp = field(
        default="keep",
        metadata={
            "variable": "CALL_METRICS_CLIENT_IP",
            "help": "`keep`, `truncate` (to /24 or /48) or `drop` IP addresses before anything lands",
        },
    )

    serve_token: Secret | None = field(
        default=None,
        metadata={
            "variable": "CALL_METRICS_SERVE_TOKEN",
            "help": "token that clients of `call-metrics serve` must give; one is made and kept unless set",
        },
    )

    @classmethod
    def load(cls, environ: Mapping[str, str] | None = None, folder: Path | None = None) -> Settings:
        """The settings of this process, relative paths made absolute.

        `environ` stands in for the process's environment and `folder` for the working directory, where `.env` is.
        Raises `FixSettings` naming the first variable that cannot be used.
        """
        try:
            folder = (folder or Path.cwd()).absolute()
        except FileNotFoundError:
            raise FixSettings("the working folder is gone; change to one that is there") from None
        values = {**_dotenv(folder), **(os.environ if environ is None else environ)}
        variables = {item.metadata["variable"]: name for name, item in cls.__dataclass_fields__.items()}
        for name in values:
            if name.startswith(PREFIX) and name not in variables:
                near = difflib.get_close_matches(name, variables, n=1, cutoff=0.5)
                hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(_sorted_own(variables))}"
                raise FixSettings(f"{name} is no setting of Call Metrics; {hint}")
        given = {
            variables[name]: _PARSERS[variables[name]](name, _plain(name, value.strip()))
            for name, value in values.items()
            if name in variables and value.strip()
        }
        settings = cls(**given)  # type: ignore[arg-type]
        data = folder / settings.data
        warehouse = folder / settings.warehouse_file if settings.warehouse_file else None
        if _kind("CALL_METRICS_DATA", data) == "file":
            raise FixSettings(f"CALL_METRICS_DATA is {_shown(str(data))}, which is no folder; write the name of one")
        if warehouse is not None and _kind("CALL_METRICS_WAREHOUSE", warehouse) == "folder":
            raise FixSettings(f"CALL_METRICS_WAREHOUSE is a folder; write the name of a file, such as {WAREHOUSE}")
        if warehouse is not None and warehouse.resolve().is_relative_to((data / WORK).resolve()):
            raise FixSettings("CALL_METRICS_WAREHOUSE is in the folder .work, which is ours; write another name")
        return cls(**{**given, "data": data, "warehouse_file": warehouse})  # type: ignore[arg-type]

    @property
    def warehouse(self) -> Path:
        """Where the published database lies."""
        return self.warehouse_file or self.data / WAREHOUSE

    @property
    def raw(self) -> Path:
        """Where raw answers land."""
        return self.data / "raw"

    @property
    def tables(self) -> Path:
        """Where the Parquet tables lie."""
        return self.data / "tables"

    @property
    def work(self) -> Path:
        """What is nobody's business but ours: locks, the writer's database, temporary files."""
        return self.data / WORK

    @property
    def demo_mark(self) -> Path:
        """A file that is there where the data are the demo's."""
        return self.work / "demo"

    def keep_apart_from_demo(self) -> None:
        """Raises `FixSettings` where a source that is not on this machine would be mixed with the demo's data."""
        if self.demo_mark.exists() and urlsplit(self.base_url).hostname not in LOOPBACK:
            raise FixSettings(
                f"{self.data} holds the data of the demo; set CALL_METRICS_DATA to another folder, or delete that one"
            )

    def credentials(self) -> Credentials:
        """Key and secret. Raises `FixSettings` where one of them is missing."""
        missing = [
            name
            for name, value in (("STREAM_API_KEY", self.api_key), ("STREAM_API_SECRET", self.api_secret))
            if not value
        ]
        if missing or self.api_key is None or self.api_secret is None:
            raise FixSettings(
                f"set {' and '.join(missing)} (environment or .env) to those of your Stream app, "
                "or try `call-metrics demo`, which needs no account"
            )
        return Credentials(self.api_key, self.api_secret)


def parse_date(name: str, text: str) -> date:
    """An ISO date, such as 2026-11-01. Raises `FixSettings` naming `name`."""
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).date()
    except ValueError:
        raise FixSettings(f"{name} is {_shown(text)}; write a date as YYYY-MM-DD, such as 2026-11-01") from None


def _sorted_own(variables: Mapping[str, str]) -> list[str]:
    return sorted(name for name in variables if name.startswith(PREFIX))


def _dotenv(folder: Path) -> dict[str, str]:
    path = folder / ".env"
    try:
        return {name: value for name, value in dotenv_values(path).items() if value is not None}
    except (OSError, UnicodeDecodeError) as error:
        raise FixSettings(f"{path} cannot be read ({type(error).__name__}); mend it or move it away") from None


def _plain(name: str, text: str) -> str:
    """`text`, which may be a secret, without control characters and of an encoding that everyone can write."""
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in text):
        raise FixSettings(f"{name} is no plain text; write it anew, without control characters")
    return text


def _shown(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:59]}…")


def _path(name: str, text: str) -> Path:
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise FixSettings(f"{name} is {_shown(text)}, whose home folder is unknown; write the whole path") from None


def _kind(name: str, path: Path) -> Literal["folder", "file", "nothing"]:
    """What lies there. Raises `FixSettings` where the system cannot say."""
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return "nothing"
    except OSError as error:
        raise FixSettings(
            f"{name} is {_shown(str(path))}, which cannot be used ({error.strerror}); write another path"
        ) from None
    return "folder" if stat.S_ISDIR(mode) else "file"


def _start(name: str, text: str) -> date:
    if (day := parse_date(name, text)) < EARLIEST:
        raise FixSettings(f"{name} is {day}; write a date from {EARLIEST} on")
    return day


def _url(name: str, text: str) -> str:
    try:
        parts = urlsplit(text)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and not (parts.query or parts.fragment)
        usable = usable and (parts.port is None or parts.port > 0) and not (parts.username or parts.password)
        usable = usable and not set(text) & set(' \\"<>^`{|}')
    except ValueError:
        usable = False
    if not usable:
        raise FixSettings(f"{name} is no address of an API; write it like https://video.stream-io-api.com")
    return text.rstrip("/")


def _concurrency(name: str, text: str) -> int:
    if not text.isdecimal() or len(text) > 9 or not 1 <= int(text) <= 256:
        raise FixSettings(f"{name} is {_shown(text)}; write a whole number from 1 to 256")
    return int(text)


def _share(name: str, text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = 0.0
    if not 0 < share <= 1:
        raise FixSettings(f"{name} is {_shown(text)}; write a number above 0 and at most 1, such as 0.5")
    return share


def _client_ip(name: str, text: str) -> ClientIp:
    if text not in ("keep", "truncate", "drop"):
        raise FixSettings(f"{name} is {_shown(text)}; write keep, truncate or drop")
    return cast("ClientIp", text)


def _token(name: str, text: str) -> Secret:
    if len(text) < MIN_TOKEN:
        raise FixSettings(f"{name} is too short; use at least {MIN_TOKEN} characters that nobody guesses")
    return Secret(text)


_PARSERS: dict[str, Callable[[str, str], object]] = {
    "api_key": lambda _, text: text,
    "api_secret": lambda _, text: Secret(text),
    "base_url": _url,
    "data": _path,
    "warehouse_file": _path,
    "start": _start,
    "concurrency": _concurrency,
    "quota_share": _share,
    "client_ip": _client_ip,
    "serve_token": _token,
}
