"""Where a DuckLake is: its catalog, in PostgreSQL or in a file, and the folder of its Parquet files. No password.

One lake can hold several Stream apps, each with its tables in schemas of its own.

How it is attached and written is in `warehouse`; `settings` reads it from CALL_METRICS_WAREHOUSE.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from pipeline.errors import FixSettings

__all__ = ["ALL_APPS", "LAKE_PREFIX", "LakeCatalog", "Schemas", "data_path_of", "without_password"]

LAKE_PREFIX = "ducklake:"
_POSTGRES = "postgres:"

_STORE = re.compile(r"(?<![\w.])store(?=\.\w|;)")

_SECRETS = (
    "PGPASSWORD",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AZURE_STORAGE_ACCOUNT_KEY",
    "AZURE_STORAGE_ACCESS_KEY",
    "AZURE_STORAGE_KEY",
    "AZURE_STORAGE_SAS_TOKEN",
    "AZURE_STORAGE_SAS_KEY",
    "AZURE_STORAGE_CONNECTION_STRING",
    "AZURE_CLIENT_SECRET",
)
_PATIENCE = {
    "connect_timeout": "10",
    "keepalives_idle": "20",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "30000",
}
"""Settings of libpq, in seconds (the last in milliseconds), so that a network that is cut off in silence is an error
within a minute: by default it takes a quarter of an hour, or two hours if nothing was sent."""


_PASSWORD_FIELD = re.compile(r"(?i)\b((?:ssl)?password\s*=\s*)('(?:[^'\\]|\\.)*'|[^\s&;\"]+)")
_AZURE_KEY = re.compile(r"(?i)\b((?:AccountKey|SharedAccessSignature|sig)=)[^;&\s\"']+")
_PASSWORD_IN_URL = re.compile(r"(?i)(postgres(?:ql)?://[^\s:/@]*:)[^\s@/]*(@)")


def without_password(text: str) -> str:
    """Return a message of PostgreSQL or DuckDB without passwords, which both may repeat from a connection string."""
    text = _PASSWORD_IN_URL.sub(r"\1…\2", _PASSWORD_FIELD.sub(r"\1…", _AZURE_KEY.sub(r"\1…", text)))
    for name in _SECRETS:
        secret = os.environ.get(name)
        text = text.replace(secret, "…") if secret and len(secret) > 3 else text
    return text


def data_path_of(data: Path | str) -> str:
    """Return where the lake's Parquet files are, for a data root, which is a folder or the address of a store."""
    return f"{data / 'lake'}/" if isinstance(data, Path) else f"{data.rstrip('/')}/lake/"


@dataclass(frozen=True)
class Schemas:
    """The schemas of an app: `main` and `store` without a name, such as `support` and `support_store` with one.

    Attributes:
        public: has the tables and views of the contract.
        internal: has the tables behind them. Our SQL calls it `store`.
    """

    public: str = "main"
    internal: str = "store"

    @classmethod
    def of(cls, public: str | None) -> Self:
        """Return the schemas of an app by its name, or by the name of its public schema; of one without for None."""
        return cls() if public in (None, "main") else cls(f"{public}", f"{public}_store")

    def adapt(self, statement: str) -> str:
        """Return a statement of ours, in which `store` stands for the internal schema, for these schemas."""
        return _STORE.sub(self.internal, statement)


ALL_APPS = Schemas.of("all_apps")
"""Schemas of a lake with views over all its apps. No app has this name."""


@dataclass(frozen=True)
class LakeCatalog:
    """A DuckLake. `str()` is what CALL_METRICS_WAREHOUSE says, for messages.

    Attributes:
        connection: what follows `ducklake:`: `postgres:` and a connection string of PostgreSQL, or the path of a file.
        data_path: the folder of its Parquet files, or its address such as `s3://bucket/lake/`, ending in a slash.
        app: the app whose tables are meant; None for the one without a name.
    """

    connection: str
    data_path: str
    app: str | None = None

    @classmethod
    def parse(cls, text: str, data: Path | str, folder: Path | None = None, *, app: str | None = None) -> Self:
        """Return the lake that a setting names, for a data root. `folder` is the one that paths are relative to.

        Raises `FixSettings` for a password in the setting, and for another kind of catalog.
        """
        connection = text.removeprefix(LAKE_PREFIX)
        if without_password(connection) != connection:
            raise FixSettings(
                "CALL_METRICS_WAREHOUSE has a password; leave it out, and give it in PGPASSWORD or PostgreSQL's "
                "password file (PGPASSFILE)"
            )
        if not connection.startswith(_POSTGRES):
            if re.match(r"[a-z_]{2,}:", connection) or not connection.strip("/"):
                raise FixSettings(
                    "CALL_METRICS_WAREHOUSE names no catalog that we know; write ducklake:postgres:dbname=… host=… "
                    "user=…, or ducklake: and the path of a file"
                )
            connection = str((folder or Path.cwd()) / Path(connection).expanduser())
        return cls(connection, data_path_of(data), app)

    @property
    def schemas(self) -> Schemas:
        """The schemas of the app."""
        return Schemas.of(self.app)

    @property
    def postgres(self) -> str | None:
        """The connection string of PostgreSQL; None for a file."""
        return self.connection.removeprefix(_POSTGRES) if self.connection.startswith(_POSTGRES) else None

    @property
    def patient_postgres(self) -> str | None:
        """The connection string with our time limits, each unless it sets its own; None for a file."""
        text = self.postgres
        if text is None:
            return None
        missing = {name: value for name, value in _PATIENCE.items() if not re.search(rf"\b{name}\s*=", text)}
        if text.startswith(("postgres://", "postgresql://")):
            options = "&".join(f"{name}={value}" for name, value in missing.items())
            return f"{text}{'&' if '?' in text else '?'}{options}"
        return " ".join([text, *(f"{name}={value}" for name, value in missing.items())]).strip()

    @property
    def file(self) -> Path | None:
        """The file of the catalog; None for PostgreSQL."""
        return None if self.connection.startswith(_POSTGRES) else Path(self.connection)

    @property
    def is_remote(self) -> bool:
        """Whether its Parquet files are in an object store."""
        return "://" in self.data_path

    def __str__(self) -> str:
        return f"{LAKE_PREFIX}{self.connection}"
