"""The settings: one frozen object, read from the environment and a `.env` file."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import (
    Field,
    ModelWrapValidatorHandler,
    PrivateAttr,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticUseDefault
from pydantic_settings import BaseSettings, DotEnvSettingsSource, EnvSettingsSource, SettingsConfigDict

from pipeline.catalog import LakeCatalog
from pipeline.errors import FixSettings
from pipeline.logs import LOG_FORMAT
from pipeline.settings.data_root import DATA, place
from pipeline.settings.refusals import refuse_unknown, refuse_unless, refusing_unparsed_lines
from pipeline.settings.secret_files import SECRETS, read_secrets
from pipeline.settings.values import (
    MIN_TOKEN,
    Addresses,
    AnyPath,
    ApiAddress,
    AppName,
    ClientIpSetting,
    Concurrency,
    Credentials,
    Days,
    DetailsSetting,
    KeepDays,
    LogFormatSetting,
    PathOrLake,
    Refused,
    Secret,
    Share,
    Start,
    Token,
    split_addresses,
)

__all__ = ["Settings"]

WAREHOUSE = "warehouse.duckdb"
WORK = ".work"
LOOPBACK = ("127.0.0.1", "::1", "localhost")

SHARED_WAREHOUSE = "ducklake:postgres:"
"""How the setting of a warehouse starts that many machines share, with a server that gives them their turns."""


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
    app: AppName | None = _setting(
        "CALL_METRICS_APP",
        None,
        "name of the Stream app, such as `support`, if several share a deployment: at most 40 characters a-z, 0-9 and "
        "_. Its files are in a folder of this name, and its tables in a schema of this name in a DuckLake",
    )
    data: AnyPath = _setting(
        "CALL_METRICS_DATA",
        DATA,
        "folder in which everything is kept, or the address of an object store, such as `s3://bucket/prefix`, "
        "`az://container/prefix` or `gs://bucket/prefix`",
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
    keep_raw_days: KeepDays | None = _setting(
        "CALL_METRICS_KEEP_RAW_DAYS",
        None,
        "days after which `call-metrics prune` removes the raw responses of a complete day, and keeps its tables; all "
        "are kept unless set",
    )
    keep_days: KeepDays | None = _setting(
        "CALL_METRICS_KEEP_DAYS",
        None,
        "days after which `call-metrics prune` removes a complete day from raw responses, tables and database; all are "
        "kept unless set",
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
    details: DetailsSetting = _setting(
        "CALL_METRICS_DETAILS",
        "off",
        "whose connection series and timelines to fetch too, what each person sent and received and what happened to "
        "them: `off`, `poor` (everyone in calls with a poor publisher or a low score) or `all`",
    )
    serve_token: Token | None = _setting(
        "CALL_METRICS_SERVE_TOKEN",
        None,
        "token that clients of `call-metrics serve` and `call-metrics mcp --http` must give, at least "
        f"{MIN_TOKEN} characters; never printed. Unless set, one is made and kept in `serve-token` in the data folder",
    )

    alerts: Addresses | None = _setting(
        "CALL_METRICS_ALERTS",
        None,
        "addresses that are told what needs a person, as the library Apprise takes them (`slack://…`, `mailto://…`, "
        "`json://…` for a webhook, and many more), with blanks between them; never printed, never stored. Needs the "
        "extra `alerts`",
    )

    log_format: LogFormatSetting = _setting(
        LOG_FORMAT,
        "text",
        "what is written to standard error: `text` for people, or `json`, one object a line, for a log collector",
    )

    _remote: str | None = PrivateAttr(None)

    @model_validator(mode="wrap")
    @classmethod
    def _placed(cls, values: Any, of_model: ModelWrapValidatorHandler[Settings]) -> Settings:
        """Take an address in the place of the data folder, and put an app with a name into a folder of its own."""
        remote = None
        if isinstance(values, dict):
            values, remote = place(values)
        settings = of_model(values)
        settings._remote = remote
        return settings

    @field_validator("*", mode="wrap")
    @classmethod
    def _plain_text(cls, value: object, of_type: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
        """Strip text, and take blank text as not set. Refuse control characters and broken encodings.

        What the type of the field refuses becomes a sentence that starts with the variable.
        """
        variable = cls.model_fields[info.field_name or ""].validation_alias
        if isinstance(value, str):
            if not (value := value.strip()):
                raise PydanticUseDefault
            if any(unicodedata.category(character) in ("Cc", "Cs") for character in value):
                raise FixSettings(f"{variable} is not plain text; remove the control characters")
        try:
            return of_type(value)
        except Refused as refused:
            raise FixSettings(f"{variable} {refused}") from None

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
            with refusing_unparsed_lines(folder / ".env"):
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
        refuse_unknown([*file.env_vars, *environment.env_vars], [*variables, *files])
        given = {**file(), **environment()}  # also by the names of fields, which are not variables
        secrets = read_secrets({**file.env_vars, **environment.env_vars}, folder)
        settings = cls(**{name: given[name] for name in variables if name in given} | secrets)
        settings.refuse_remote_without_server()
        data = folder / settings.data
        for path in (folder / settings.root, data):
            refuse_unless("folder", "CALL_METRICS_SCRATCH" if settings.remote else "CALL_METRICS_DATA", path)
        if settings.warehouse_file is None:
            return settings.model_copy(update={"data": data})
        if isinstance(settings.warehouse_file, str):
            lake = LakeCatalog.parse(settings.warehouse_file, data, folder)
            if lake.file is not None:
                refuse_unless("file", "CALL_METRICS_WAREHOUSE", lake.file)
            return settings.model_copy(update={"data": data, "warehouse_file": str(lake)})
        warehouse = folder / settings.warehouse_file
        refuse_unless("file", "CALL_METRICS_WAREHOUSE", warehouse)
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
    def alert_addresses(self) -> tuple[Secret, ...]:
        """The addresses that are told, in their order; none if alerts are off."""
        return tuple(map(Secret, split_addresses(self.alerts))) if self.alerts else ()

    @property
    def location(self) -> str:
        """Where the data are, for messages."""
        return self._remote or str(self.data)

    @property
    def root(self) -> Path:
        """The folder of this machine that the apps of a deployment share; that of the data if the app has no name."""
        return self.data.parent if self.app else self.data

    @property
    def root_location(self) -> str:
        """The data root, as CALL_METRICS_DATA names it for every app of a deployment."""
        if self._remote is None:
            return str(self.root)
        return self._remote.removesuffix(f"/{self.app}") if self.app else self._remote

    def refuse_remote_without_server(self) -> None:
        """Raise `FixSettings` if workers on several machines share the data and nothing gives them their turns."""
        if self._remote is not None and not f"{self.warehouse_file or ''}".startswith(SHARED_WAREHOUSE):
            raise FixSettings(
                f"CALL_METRICS_DATA is {self._remote}, which several machines can share; set CALL_METRICS_WAREHOUSE to "
                f"{SHARED_WAREHOUSE}dbname=… host=… user=…, whose server gives them their turns"
            )

    @property
    def warehouse(self) -> Path | LakeCatalog:
        """The published database: a file, or a DuckLake."""
        if isinstance(self.warehouse_file, str):
            return LakeCatalog.parse(
                self.warehouse_file, self.root_location if self.remote else self.root, app=self.app
            )
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
