"""What a user can set: environment variables and a `.env` file, read once into one frozen object.

The environment wins over `.env`. An unusable value, or a CALL_METRICS_* name that does not exist, is refused in one
sentence. What the settings are used for belongs to the modules that take them.
"""

from __future__ import annotations

import contextlib
import difflib
import hashlib
import logging
import os
import re
import stat
import tempfile
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import unquote, urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    ModelWrapValidatorHandler,
    PrivateAttr,
    SecretStr,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticUseDefault
from pydantic_settings import BaseSettings, DotEnvSettingsSource, EnvSettingsSource, SettingsConfigDict

from pipeline.catalog import LAKE_PREFIX, LakeCatalog
from pipeline.errors import FixSettings

__all__ = ["MIN_TOKEN", "SECRETS", "ClientIp", "Credentials", "Secret", "Settings", "parse_date"]

PREFIX = "CALL_METRICS_"
WAREHOUSE = "warehouse.duckdb"
WORK = ".work"
LOOPBACK = ("127.0.0.1", "::1", "localhost")

EARLIEST = date(1970, 1, 1)
"""First day that can be set; no call is older."""

_REMOTE = re.compile(
    r"""(s3|gs|az)://[A-Za-z0-9][A-Za-z0-9._-]+(/(?!\.{1,2}(/|$))[^/\s\\"'<>^`{|}?#%*@:\x00-\x1f]+)*/?"""
)
"""The address of a prefix in S3 (or what speaks its protocol), Google Cloud Storage or Azure."""

SHARED_WAREHOUSE = "ducklake:postgres:"
"""How the setting of a warehouse starts that many machines share, with a server that gives them their turns."""

SECRETS = ("STREAM_API_KEY", "STREAM_API_SECRET", "CALL_METRICS_SERVE_TOKEN")
"""Variables that can also be in a file, which `<variable>_FILE` names: Docker and Kubernetes mount secrets as files."""

MAX_SECRET = 10_000
"""Most bytes of a file with a secret."""

MIN_TOKEN = 16
"""Minimum length of a token, in characters."""


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
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).date()
    except ValueError:
        raise FixSettings(f"{name} is {_shown(text)}; write a date as YYYY-MM-DD, such as 2026-11-01") from None


def _or_refuse(refusal: str) -> WrapValidator:
    """Refuse what the type refuses with a sentence that starts with the variable. `{value}` stands for the value."""

    def validate(value: Any, of_type: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
        try:
            return of_type(value)
        except (ValidationError, RuntimeError):  # RuntimeError: from `Path.expanduser`
            raise FixSettings(f"{_variable(info)} {refusal.format(value=_shown(value))}") from None

    return WrapValidator(validate)


def _api_address(text: str) -> str:
    parts = urlsplit(text)
    extras = parts.query or parts.fragment or parts.username or parts.password or set(text) & set(' \\"<>^`{|}')
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0 or extras:
        raise ValueError
    return text.rstrip("/")


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
    if isinstance(value, str) and not value.isdecimal():  # not 16.0, +16 or 1_6
        raise ValueError
    return value


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


def _setting(variable: str, default: object, description: str) -> Any:
    return Field(default, validation_alias=variable, description=description)


class Settings(BaseSettings):
    """Everything that can be set. Each field has a variable (`validation_alias`) and a `description`.

    The constructor reads its arguments only; `load` reads the environment and `.env`.
    """

    model_config = SettingsConfigDict(
        case_sensitive=True, populate_by_name=True, extra="forbid", frozen=True, hide_input_in_errors=True
    )

    api_key: str | None = _setting("STREAM_API_KEY", None, "key of your Stream app, from its dashboard")
    api_secret: Secret | None = _setting(
        "STREAM_API_SECRET", None, "secret that belongs to the key; never printed, never stored"
    )
    base_url: ApiAddress = _setting("STREAM_BASE_URL", "https://video.stream-io-api.com", "address of the API")
    data: AnyPath = _setting(
        "CALL_METRICS_DATA",
        Path("data"),
        "folder in which everything is kept, or the address of an object store, such as `s3://bucket/prefix`",
    )
    scratch: AnyPath | None = _setting(
        "CALL_METRICS_SCRATCH",
        None,
        "folder for what a machine needs while it works, if the data are in an object store; in the user's cache "
        "unless set",
    )
    warehouse_file: PathOrLake | None = _setting(
        "CALL_METRICS_WAREHOUSE",
        None,
        f"the published database; `{WAREHOUSE}` in the data folder unless set. "
        "`ducklake:postgres:dbname=… host=… user=…`, or `ducklake:` and the path of a file, makes it a DuckLake",
    )
    snapshot_days: Days = _setting(
        "CALL_METRICS_SNAPSHOT_DAYS", 7, "days that a DuckLake keeps what was replaced, for readers and to look back"
    )
    start: Start = _setting("CALL_METRICS_START", date(2026, 1, 1), "first day that can be ingested (UTC)")
    concurrency: Concurrency = _setting("CALL_METRICS_CONCURRENCY", 16, "requests in flight at the same time, 1 to 256")
    quota_share: Share = _setting(
        "CALL_METRICS_QUOTA_SHARE", 1.0, "share of the API's quota to use, above 0 and at most 1"
    )
    client_ip: ClientIpSetting = _setting(
        "CALL_METRICS_CLIENT_IP",
        "keep",
        "`keep`, `truncate` (to /24 or /48) or `drop` IP addresses before anything lands",
    )
    serve_token: Token | None = _setting(
        "CALL_METRICS_SERVE_TOKEN",
        None,
        "token that clients of `call-metrics serve` and `call-metrics mcp --http` must give, at least "
        f"{MIN_TOKEN} characters; never printed. Unless set, one is made and kept in `serve-token` in the data folder",
    )

    _remote: str | None = PrivateAttr(None)

    @model_validator(mode="wrap")
    @classmethod
    def _with_remote(cls, values: Any, of_model: ModelWrapValidatorHandler[Settings]) -> Settings:
        """Take an address in the place of the data folder: then that is a scratch folder."""
        remote = None
        if isinstance(values, dict):
            name = next((name for name in ("CALL_METRICS_DATA", "data") if name in values), "data")
            given = values.get(name)
            if isinstance(given, str) and "://" in given:
                folder, remote = _data_root(given.strip())
                scratch = values.get("CALL_METRICS_SCRATCH") or values.get("scratch")
                values = {**values, name: folder or scratch or _default_scratch(given.strip())}
        settings = of_model(values)
        settings._remote = remote
        return settings

    @field_validator("*", mode="before")
    @classmethod
    def _plain_text(cls, value: object, info: ValidationInfo) -> object:
        """Strip text, and take blank text as not set. Refuse control characters and broken encodings."""
        if not isinstance(value, str):
            return value
        if not (text := value.strip()):
            raise PydanticUseDefault
        if any(unicodedata.category(character) in ("Cc", "Cs") for character in text):
            raise FixSettings(f"{_variable(info)} is not plain text; remove the control characters")
        return text

    @classmethod
    def settings_customise_sources(cls, *_: object, **sources: Any) -> tuple[Any, ...]:
        """Make the constructor read its arguments only."""
        return (sources["init_settings"],)

    @classmethod
    def load(cls, environ: Mapping[str, str] | None = None, folder: Path | None = None) -> Settings:
        """Return the settings of this process, with absolute paths.

        `environ` replaces the process's environment, and `folder` the working folder, where `.env` is.
        Raises `FixSettings` that names the first variable that cannot be used.
        """
        try:
            folder = (folder or Path.cwd()).absolute()
            with _refusing_unparsed_lines(folder / ".env"):
                file = DotEnvSettingsSource(cls, env_file=folder / ".env")
        except FileNotFoundError:
            raise FixSettings("the working folder no longer exists; change to one that does") from None
        except (OSError, UnicodeDecodeError) as error:
            raise FixSettings(
                f"{folder}/.env cannot be read ({type(error).__name__}); fix it or move it away"
            ) from None
        environment = EnvSettingsSource(cls)
        environment.env_vars = environment.env_vars if environ is None else environ
        variables = [f"{field.validation_alias}" for field in cls.model_fields.values()]
        files = [f"{name}_FILE" for name in SECRETS]
        _refuse_unknown([*file.env_vars, *environment.env_vars], [*variables, *files])
        given = {**file(), **environment()}  # also by the names of fields, which are not variables
        secrets = _read_secrets({**file.env_vars, **environment.env_vars}, folder)
        settings = cls(**{name: given[name] for name in variables if name in given} | secrets)
        settings.refuse_remote_without_server()
        data = folder / settings.data
        _refuse_unless("folder", "CALL_METRICS_SCRATCH" if settings.remote else "CALL_METRICS_DATA", data)
        if settings.warehouse_file is None:
            return settings.model_copy(update={"data": data})
        if isinstance(settings.warehouse_file, str):
            lake = LakeCatalog.parse(settings.warehouse_file, settings.remote or data, folder)
            if lake.file is not None:
                _refuse_unless("file", "CALL_METRICS_WAREHOUSE", lake.file)
            return settings.model_copy(update={"data": data, "warehouse_file": str(lake)})
        warehouse = folder / settings.warehouse_file
        _refuse_unless("file", "CALL_METRICS_WAREHOUSE", warehouse)
        if warehouse.resolve().is_relative_to((data / WORK).resolve()):
            raise FixSettings(f"CALL_METRICS_WAREHOUSE is in {data / WORK}, which is internal; write another name")
        return settings.model_copy(update={"data": data, "warehouse_file": warehouse})

    @property
    def remote(self) -> str | None:
        """Where raw responses and tables are, such as `s3://bucket/prefix`; None if they are in `data`.

        If it is set, `data` is a scratch folder: a machine may lose it, and loses at most a few seconds' responses.
        """
        return self._remote

    @property
    def location(self) -> str:
        """Where the data are, for messages and for the environment of other processes."""
        return self._remote or str(self.data)

    def refuse_remote_without_server(self) -> None:
        """Raise `FixSettings` if workers on several machines share the data and nothing gives them their turns."""
        if self._remote is not None and not f"{self.warehouse_file or ''}".startswith(SHARED_WAREHOUSE):
            raise FixSettings(
                f"CALL_METRICS_DATA is {self._remote}, which several machines can share; set CALL_METRICS_WAREHOUSE to "
                f"{SHARED_WAREHOUSE}dbname=… host=… user=…, whose server gives them their turns"
            )
        if self._remote is not None and not self._remote.startswith("s3://"):
            raise FixSettings(
                f"CALL_METRICS_DATA is {self._remote}, and a DuckLake can have its files in S3 only; use an address "
                "that begins with s3://"
            )

    @property
    def warehouse(self) -> Path | LakeCatalog:
        """The published database: a file, or a DuckLake."""
        if isinstance(self.warehouse_file, str):
            return LakeCatalog.parse(self.warehouse_file, self.remote or self.data)
        return self.warehouse_file or self.data / WAREHOUSE

    @property
    def warehouse_path(self) -> Path | None:
        """The file of the published database; None if it is a DuckLake."""
        return self.warehouse if isinstance(self.warehouse, Path) else None

    @property
    def raw(self) -> Path:
        """The folder of raw responses."""
        return self.data / "raw"

    @property
    def tables(self) -> Path:
        """The folder of Parquet tables."""
        return self.data / "tables"

    @property
    def work(self) -> Path:
        """The folder of internal files: locks, the writer's database, temporary files."""
        return self.data / WORK

    @property
    def demo_mark(self) -> Path:
        """A file that exists if the data are the demo's."""
        return self.work / "demo"

    def keep_apart_from_demo(self) -> None:
        """Raise `FixSettings` if data from another machine would be mixed with the demo's."""
        if self.demo_mark.exists() and urlsplit(self.base_url).hostname not in LOOPBACK:
            raise FixSettings(
                f"{self.data} holds the data of the demo; set CALL_METRICS_DATA to another folder, or delete that one"
            )

    def credentials(self) -> Credentials:
        """Return key and secret. Raises `FixSettings` if one of them is missing."""
        if self.api_key and self.api_secret:
            return Credentials(self.api_key, self.api_secret)
        given = {"STREAM_API_KEY": self.api_key, "STREAM_API_SECRET": self.api_secret}
        raise FixSettings(
            f"set {' and '.join(name for name, value in given.items() if not value)} (environment or .env) to those of "
            "your Stream app, or try `call-metrics demo`, which needs no account"
        )


def _variable(info: ValidationInfo) -> str:
    return f"{Settings.model_fields[info.field_name or ''].validation_alias}"


@contextlib.contextmanager
def _refusing_unparsed_lines(path: Path) -> Iterator[None]:
    """Within the block, refuse a line that python-dotenv would skip with a warning."""
    logger = logging.getLogger("dotenv.main")
    lines: list[object] = []

    def keep(record: logging.LogRecord) -> bool:
        lines.extend(record.args if isinstance(record.args, tuple) else ())
        return False

    logger.addFilter(keep)
    try:
        yield
    finally:
        logger.removeFilter(keep)
    if lines:
        raise FixSettings(f"{path} has a line that cannot be read, from line {lines[0]} on; write NAME=value")


def _data_root(address: str) -> tuple[Path | None, str | None]:
    """Return the folder of a `file://` address, or else the address of an object store as we write it."""
    parts = urlsplit(address)
    if parts.scheme == "file" and parts.netloc in ("", "localhost") and parts.path:
        return Path(unquote(parts.path)), None
    if not _REMOTE.fullmatch(address):
        shown = "" if "@" in address or parts.query else f" {_shown(address)},"
        raise FixSettings(
            f"CALL_METRICS_DATA is{shown} not the address of an object store; write it like s3://bucket/prefix (or "
            "gs://, az://, file:///folder), without credentials"
        )
    return None, address.rstrip("/")


def _default_scratch(address: str) -> Path:
    """Return a folder of this user for what is worked on, another one for every address."""
    name = hashlib.sha256(address.rstrip("/").encode()).hexdigest()[:16]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache")
    with contextlib.suppress(RuntimeError):  # the home folder is unknown
        cache = cache.expanduser()
        existing = next(folder for folder in (cache, *cache.parents) if folder.exists())
        if cache.is_absolute() and os.access(existing, os.W_OK):
            return cache / "call-metrics" / name
    return Path(tempfile.gettempdir()) / f"call-metrics-{os.getuid()}" / name


def _read_secrets(variables: Mapping[str, str | None], folder: Path) -> dict[str, str]:
    """Return the secrets that are in files, by variable. A file holds one secret; white space around it is ignored."""
    secrets = {}
    for name in SECRETS:
        path = (variables.get(f"{name}_FILE") or "").strip()
        if not path:
            continue
        if (variables.get(name) or "").strip():
            raise FixSettings(f"both {name} and {name}_FILE are set; unset one of them")
        try:
            with (folder / path).open("rb") as source:
                text = source.read(MAX_SECRET + 1).decode("utf-8")
        except (OSError, ValueError) as error:
            reason = (error.strerror if isinstance(error, OSError) else None) or "it is not text"
            raise FixSettings(f"{name}_FILE is {_shown(path)}, which cannot be read ({reason}); fix it") from None
        if not text.strip() or len(text) > MAX_SECRET:
            size = "is empty" if not text.strip() else "is too large for a secret"
            raise FixSettings(f"{name}_FILE is {_shown(path)}, which {size}; name the file that holds the secret")
        secrets[name] = text
    return secrets


def _refuse_unknown(names: Iterable[str], variables: Iterable[str]) -> None:
    """Refuse a name that has our prefix but is not a setting. The sentence has the setting that was probably meant."""
    own = sorted(variable for variable in variables if variable.startswith(PREFIX))
    for name in names:
        if name.startswith(PREFIX) and name not in own:
            near = difflib.get_close_matches(name, own, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(own)}"
            raise FixSettings(f"{name} is not a setting of Call Metrics; {hint}")


def _refuse_unless(kind: Literal["folder", "file"], name: str, path: Path) -> None:
    """Refuse a path that exists and is of another kind, or that the system refuses."""
    try:
        mode = path.stat().st_mode
        usable = stat.S_ISDIR(mode) if kind == "folder" else stat.S_ISREG(mode)
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        why = f"which cannot be used ({error.strerror}); write another path"
        raise FixSettings(f"{name} is {_shown(path)}, {why}") from None
    if not usable:
        raise FixSettings(f"{name} is {_shown(path)}, which is not a {kind}; write the name of a {kind}")


def _shown(value: object) -> str:
    text = f"{value}"
    return repr(text if len(text) <= 60 else f"{text[:59]}…")
