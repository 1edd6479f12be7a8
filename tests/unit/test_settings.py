"""Settings come from the environment and a `.env` file, are refused in one sentence, and print no secret."""

from __future__ import annotations

import os
import traceback
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pipeline.catalog import LakeCatalog, Schemas, without_password
from pipeline.errors import FixSettings
from pipeline.settings import SECRETS, Credentials, Secret, Settings, parse_date
from tests.support import examples

VARIABLES = [field.validation_alias for field in Settings.model_fields.values()]


def load(tmp_path: Path, **environ: str) -> Settings:
    """Load the settings of a process with this environment, in `tmp_path`."""
    return Settings.load(environ, tmp_path)


def refusal(tmp_path: Path, **environ: str) -> str:
    """Return the sentence that refuses this environment."""
    with pytest.raises(FixSettings) as caught:
        load(tmp_path, **environ)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("name", SECRETS)
def test_secret_is_read_from_a_file(tmp_path: Path, name: str) -> None:
    """`<variable>_FILE` names a file with the secret, in the environment or in `.env`; a final newline is ignored."""
    secret = "json://a-secret-from-a-file"
    (tmp_path / "secret").write_text(f"{secret}\n")
    by_environment = load(tmp_path, **{f"{name}_FILE": f"{tmp_path}/secret"})
    (tmp_path / ".env").write_text(f"{name}_FILE=secret\n")
    by_env_file = load(tmp_path)
    assert by_environment == by_env_file == load(tmp_path, **{f"{name}_FILE": "", name: secret})


def test_secret_in_a_file_that_cannot_be_used_is_refused(tmp_path: Path) -> None:
    """The sentence names the variable and the file, never the content."""
    (tmp_path / "empty").write_text(" \n")
    (tmp_path / "large").write_text("x" * 20_000)
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "lines").write_text("shh\nshh")
    variable = "STREAM_API_SECRET_FILE"
    for file, why in {
        "empty": "which is empty; name the file that holds the secret",
        "large": "which is too large for a secret; name the file that holds the secret",
        "binary": "which cannot be read (it is not text); fix it",
        "missing": "which cannot be read (No such file or directory); fix it",
        ".": "which cannot be read (Is a directory); fix it",
        "a\0b": "which cannot be read (it is not text); fix it",
    }.items():
        assert refusal(tmp_path, **{variable: file}) == f"{variable} is {file!r}, {why}"
    assert "shh" not in refusal(tmp_path, **{variable: "lines"})
    assert (
        refusal(tmp_path, STREAM_API_SECRET="a", STREAM_API_SECRET_FILE="empty")
        == "both STREAM_API_SECRET and STREAM_API_SECRET_FILE are set; unset one of them"
    )


@pytest.mark.parametrize("path", ["/dev/null", "pipe"])
def test_database_that_is_not_a_regular_file_is_refused(tmp_path: Path, path: str) -> None:
    """A device would be renamed, and a pipe would block for ever."""
    os.mkfifo(tmp_path / "pipe")
    assert "which is not a file; write the name of a file" in refusal(tmp_path, CALL_METRICS_WAREHOUSE=path)


def test_line_of_an_env_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    """The sentence names the file and the line."""
    (tmp_path / ".env").write_text("STREAM_API_KEY=abc\n='nonsense\n")
    assert refusal(tmp_path) == f"{tmp_path}/.env has a line that cannot be read, from line 2 on; write NAME=value"


def test_defaults_need_no_variable(tmp_path: Path) -> None:
    """Without any variable, the defaults are the documented ones."""
    settings = load(tmp_path)
    assert settings == Settings(data=tmp_path / "data")
    assert settings.base_url == "https://video.stream-io-api.com"
    assert settings.warehouse == tmp_path / "data" / "warehouse.duckdb"
    assert settings.start == date(2026, 1, 1)
    assert (settings.concurrency, settings.quota_share, settings.client_ip) == (16, 1.0, "keep")


@pytest.mark.parametrize(
    ("variable", "text", "field", "value"),
    [
        ("STREAM_API_KEY", "abc", "api_key", "abc"),
        ("STREAM_API_SECRET", "shh", "api_secret", Secret("shh")),
        ("STREAM_BASE_URL", "http://127.0.0.1:8080/", "base_url", "http://127.0.0.1:8080"),
        ("STREAM_BASE_URL", "https://gateway.example/stream", "base_url", "https://gateway.example/stream"),
        ("CALL_METRICS_APP", "support_2", "app", "support_2"),
        ("CALL_METRICS_DATA", "/var/lib/metrics", "data", Path("/var/lib/metrics")),
        ("CALL_METRICS_DATA", "~/metrics", "data", Path("~/metrics").expanduser()),
        ("CALL_METRICS_DATA", "file:///var/lib/my%20metrics", "data", Path("/var/lib/my metrics")),
        ("CALL_METRICS_SCRATCH", "/var/tmp/metrics", "scratch", Path("/var/tmp/metrics")),
        ("CALL_METRICS_WAREHOUSE", "/srv/w.duckdb", "warehouse", Path("/srv/w.duckdb")),
        ("CALL_METRICS_WAREHOUSE", "ducklake:/srv/c.ducklake", "warehouse_file", "ducklake:/srv/c.ducklake"),
        ("CALL_METRICS_WAREHOUSE", "ducklake:postgres:dbname=a", "warehouse_file", "ducklake:postgres:dbname=a"),
        ("CALL_METRICS_SNAPSHOT_DAYS", "30", "snapshot_days", 30),
        ("CALL_METRICS_KEEP_RAW_DAYS", "7", "keep_raw_days", 7),
        ("CALL_METRICS_KEEP_DAYS", "400", "keep_days", 400),
        ("CALL_METRICS_KEEP_DAYS", "", "keep_days", None),
        ("CALL_METRICS_START", "2025-06-30", "start", date(2025, 6, 30)),
        ("CALL_METRICS_CONCURRENCY", "1", "concurrency", 1),
        ("CALL_METRICS_CONCURRENCY", "256", "concurrency", 256),
        ("CALL_METRICS_QUOTA_SHARE", "0.25", "quota_share", 0.25),
        ("CALL_METRICS_QUOTA_SHARE", "1", "quota_share", 1.0),
        ("CALL_METRICS_CLIENT_IP", "truncate", "client_ip", "truncate"),
        ("CALL_METRICS_CLIENT_IP", "drop", "client_ip", "drop"),
        ("CALL_METRICS_DETAILS", "poor", "details", "poor"),
        ("CALL_METRICS_DETAILS", "all", "details", "all"),
        ("CALL_METRICS_SERVE_TOKEN", "sixteen-letters!", "serve_token", Secret("sixteen-letters!")),
        ("CALL_METRICS_ALERTS", "json://localhost/a", "alerts", Secret("json://localhost/a")),
        ("CALL_METRICS_LOG_FORMAT", "json", "log_format", "json"),
        (
            "CALL_METRICS_ALERTS",
            "mailto://me:word@mail.example, json://localhost/a?b=1,2",
            "alert_addresses",
            (Secret("mailto://me:word@mail.example"), Secret("json://localhost/a?b=1,2")),
        ),
    ],
)
def test_setting_is_read_from_its_variable(tmp_path: Path, variable: str, text: str, field: str, value: object) -> None:
    """Blanks around a value are ignored."""
    assert getattr(load(tmp_path, **{variable: text}), field) == value
    assert getattr(load(tmp_path, **{variable: f" {text} "}), field) == value


def test_every_setting_has_a_case_above() -> None:
    """A new setting needs cases in `test_setting_is_read_from_its_variable`."""
    marks = test_setting_is_read_from_its_variable.pytestmark  # type: ignore[attr-defined]
    tested = {case[0] for case in marks[0].args[1]}
    assert tested == set(VARIABLES)


@pytest.mark.parametrize("variable", VARIABLES)
def test_blank_variable_counts_as_not_set(tmp_path: Path, variable: str) -> None:
    """A blank value gives the default, also if `.env` has another one."""
    assert load(tmp_path, **{variable: "  "}) == load(tmp_path)
    (tmp_path / ".env").write_text(f"{variable}=overridden\n")
    assert load(tmp_path, **{variable: ""}) == Settings(data=tmp_path / "data")


def test_relative_path_is_in_the_working_folder(tmp_path: Path) -> None:
    """Paths are made absolute once, so that a later change of folder changes nothing."""
    settings = load(tmp_path, CALL_METRICS_DATA="some/where", CALL_METRICS_WAREHOUSE="w.duckdb")
    assert settings.data == tmp_path / "some" / "where"
    assert settings.warehouse == tmp_path / "w.duckdb"


SHARED = "ducklake:postgres:dbname=lake host=db"


@pytest.mark.parametrize(
    ("text", "remote"),
    [
        ("s3://my-bucket/metrics/app", "s3://my-bucket/metrics/app"),
        (" s3://my-bucket/ ", "s3://my-bucket"),
        ("s3://my_bucket/a.b", "s3://my_bucket/a.b"),
        ("az://container/app-1/", "az://container/app-1"),
        ("gs://my_bucket/a.b", "gs://my_bucket/a.b"),
    ],
)
def test_data_can_be_in_an_object_store(tmp_path: Path, text: str, remote: str) -> None:
    """Then the data folder is a scratch folder, another one for every address, or the one that is set."""
    environ = {"CALL_METRICS_WAREHOUSE": SHARED, "CALL_METRICS_DATA": text}
    settings = load(tmp_path, **environ)
    assert (settings.remote, settings.location) == (remote, remote)
    assert settings.data.is_absolute()
    assert settings.data != load(tmp_path, **environ | {"CALL_METRICS_DATA": f"{remote}/x"}).data
    settings = load(tmp_path, **environ, CALL_METRICS_SCRATCH="work")
    assert (settings.remote, settings.data) == (remote, tmp_path / "work")
    assert Settings(data=text.strip(), scratch=tmp_path).remote == remote


def test_data_in_a_folder_are_not_remote(tmp_path: Path) -> None:
    """An address of a local folder is that folder."""
    for text in ("data", "file:///srv/data"):
        settings = load(tmp_path, CALL_METRICS_DATA=text)
        assert (settings.remote, settings.location) == (None, str(settings.data))


def test_scratch_folder_of_a_user_is_in_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is in a temporary folder if the cache cannot be written, as in many containers."""
    address = "s3://bucket/prefix"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert Settings(data=address).data.parent == tmp_path / "call-metrics"
    monkeypatch.setattr("os.access", lambda *_: False)
    assert not Settings(data=address).data.is_relative_to(tmp_path)


def test_data_in_an_object_store_need_a_server_for_turns(tmp_path: Path) -> None:
    """Several machines can share an object store, and nothing else keeps them apart."""
    message = refusal(tmp_path, CALL_METRICS_DATA="s3://bucket/prefix")
    assert message.startswith("CALL_METRICS_DATA is s3://bucket/prefix, which several machines can share; set ")
    assert "ducklake:postgres:" in message


@pytest.mark.parametrize(
    "text",
    [
        "s3://",
        "s3:///prefix",
        "s3://bucket/a b",
        "s3://bucket/../x",
        "s3://bucket//x",
        "s3://bucket/x?versions",
        "ftp://bucket/x",
        "https://bucket.s3.amazonaws.com/x",
        "s3://key:hunter2@bucket/prefix",
        "s3://bucket/x?secret=hunter2",
        "file://host/folder",
    ],
)
def test_bad_address_of_a_store_is_refused_with_what_to_write(tmp_path: Path, text: str) -> None:
    """One sentence says what to write instead, and repeats no secret."""
    message = refusal(tmp_path, CALL_METRICS_DATA=text, CALL_METRICS_WAREHOUSE=SHARED)
    assert message.startswith("CALL_METRICS_DATA is ")
    assert "; write it like s3://bucket/prefix" in message
    assert "hunter2" not in message


@pytest.mark.parametrize(
    ("variable", "texts"),
    [
        (
            "STREAM_BASE_URL",
            [
                "stream.example",
                "ftp://x.example",
                "http://",
                "http://x:notaport",
                "http://u:p@x.example",
                "http://x?a=b",
                "http://x#a",
                "http://[::1",
                "http://x:99999",
                "http://a b",
                "http://a\\b",
                "http://",
            ],
        ),
        ("CALL_METRICS_START", ["yesterday", "2026-13-01", "2026-02-30", "01.11.2026", "2026-11-01T00:00"]),
        ("CALL_METRICS_START", ["0001-01-01", "1969-12-31", "9" * 5_000]),
        (
            "CALL_METRICS_CONCURRENCY",
            ["0", "-1", "257", "many", "1.5", "16.0", "+16", "1_6", "1e2", "1" * 5_000],
        ),
        ("CALL_METRICS_KEEP_RAW_DAYS", ["0", "6", "-1", "36501", "never", "7.5", "+30"]),
        ("CALL_METRICS_KEEP_DAYS", ["0", "1", "6", "all", "1_000"]),
        ("CALL_METRICS_CONCURRENCY", ["\uff11\uff16", "\u0661\u0666"]),
        ("CALL_METRICS_QUOTA_SHARE", ["0", "-0.5", "1.01", "half", "nan", "inf", "50%", "1" * 5_000]),
        ("CALL_METRICS_APP", ["Support", "2nd", "_a", "my-app", "a.b", "a/b", "..", "é", "x" * 41, "a b", 'a"b', "'"]),
        ("CALL_METRICS_APP", ["main", "store", "lake", "all_apps", "information_schema", "pg_catalog", "system"]),
        ("CALL_METRICS_APP", ["temp", "memory", "default", "raw", "tables", "dagster", "support_store"]),
        ("CALL_METRICS_DATA", ["~nobody-of-that-name/x", "x" * 300]),
        ("CALL_METRICS_WAREHOUSE", ["~nobody-of-that-name/x", "x" * 300, ".", "data/.work/warehouse.duckdb"]),
        ("CALL_METRICS_CLIENT_IP", ["yes", "KEEP", "truncated"]),
        ("CALL_METRICS_DETAILS", ["on", "ALL", "worst"]),
    ],
)
def test_bad_value_is_refused_with_what_to_write(tmp_path: Path, variable: str, texts: list[str]) -> None:
    """One sentence names the variable and says what to write instead."""
    for text in texts:
        message = refusal(tmp_path, **{variable: text})
        assert message.startswith(f"{variable} is ")
        assert "; write " in message
        assert len(message) < 200


@pytest.mark.parametrize("variable", VARIABLES)
@pytest.mark.parametrize("text", ["twenty-letters-long\0", "twenty-letters\n-long", "twenty-letters-\udcff-long"])
def test_control_characters_are_refused(tmp_path: Path, variable: str, text: str) -> None:
    """Control characters and broken encodings would otherwise fail later, far from their origin."""
    message = refusal(tmp_path, **{variable: text})
    assert message == f"{variable} is not plain text; remove the control characters"
    assert "twenty" not in message


@given(st.text(max_size=20))
@examples(300)
def test_any_text_is_read_or_refused(text: str) -> None:
    """Every text gives a value in its range or a sentence."""
    for variable in ("CALL_METRICS_CONCURRENCY", "CALL_METRICS_QUOTA_SHARE", "CALL_METRICS_START", "STREAM_BASE_URL"):
        try:
            settings = Settings.load({variable: text}, Path("/nowhere"))
        except FixSettings as error:
            sentence = str(error)
        else:
            sentence = f"{variable} is usable"
            assert 1 <= settings.concurrency <= 256
            assert 0 < settings.quota_share <= 1
            assert settings.base_url.startswith(("http://", "https://"))
        assert sentence.startswith(f"{variable} is ")


def test_secret_in_an_address_is_not_repeated(tmp_path: Path) -> None:
    """The refusal of an address with a password does not contain the password."""
    assert "hunter2" not in refusal(tmp_path, STREAM_BASE_URL="https://me:hunter2@stream.example")


@pytest.mark.parametrize(
    ("variable", "meant"),
    [
        ("CALL_METRICS_CONCURENCY", "CALL_METRICS_CONCURRENCY"),
        ("CALL_METRICS_DATA_DIR", "CALL_METRICS_DATA"),
        ("CALL_METRICS_CLIENT_IPS", "CALL_METRICS_CLIENT_IP"),
        ("CALL_METRICS_WAREHOSE", "CALL_METRICS_WAREHOUSE"),
    ],
)
def test_misspelt_setting_is_refused_with_the_meant_one(tmp_path: Path, variable: str, meant: str) -> None:
    """A misspelt name is not ignored silently."""
    sentence = f"{variable} is not a setting of Call Metrics; did you mean {meant}?"
    assert refusal(tmp_path, **{variable: "1"}) == sentence


def test_unknown_setting_is_refused_even_if_empty(tmp_path: Path) -> None:
    """Someone who sets it expects an effect."""
    assert "CALL_METRICS_" in refusal(tmp_path, CALL_METRICS_QQQQ="")


def test_unknown_setting_unlike_any_lists_all(tmp_path: Path) -> None:
    """If no name is similar, the sentence lists the settings."""
    message = refusal(tmp_path, CALL_METRICS_="1")
    assert "did you mean" in message or "CALL_METRICS_DATA" in message


def test_variables_of_other_programs_are_ignored(tmp_path: Path) -> None:
    """Only names with our own prefix are refused."""
    assert load(tmp_path, STREAM_WHATEVER="1", CALLMETRICS="1", PATH="/bin") == load(tmp_path)


def test_names_of_fields_are_not_variables(tmp_path: Path) -> None:
    """A variable such as `data` belongs to another program, in the environment and in `.env`."""
    names = dict.fromkeys(Settings.model_fields, "1")
    (tmp_path / ".env").write_text("".join(f"{name}=1\n" for name in names))
    assert load(tmp_path, **names) == Settings(data=tmp_path / "data")


def test_environment_wins_over_the_file(tmp_path: Path) -> None:
    """The file wins over the defaults."""
    (tmp_path / ".env").write_text("STREAM_API_KEY=from-file\nexport CALL_METRICS_CONCURRENCY='4' # a comment\n")
    settings = load(tmp_path, STREAM_API_KEY="from-environment")
    assert settings.api_key == "from-environment"
    assert settings.concurrency == 4


def test_file_is_checked_like_the_environment(tmp_path: Path) -> None:
    """Misspelt names and bad values in `.env` are refused too."""
    (tmp_path / ".env").write_text("CALL_METRICS_CONCURENCY=4\n")
    assert "did you mean CALL_METRICS_CONCURRENCY?" in refusal(tmp_path)
    (tmp_path / ".env").write_text("CALL_METRICS_CONCURRENCY=none\n")
    assert refusal(tmp_path).startswith("CALL_METRICS_CONCURRENCY is 'none'")


def test_unreadable_file_is_named(tmp_path: Path) -> None:
    """A `.env` that is not text is refused in one sentence."""
    path = tmp_path / ".env"
    path.write_bytes(b"STREAM_API_KEY=\xff\xfe\n")
    assert refusal(tmp_path).startswith(f"{path} cannot be read")


def test_folder_named_env_is_ignored(tmp_path: Path) -> None:
    """Some people keep their Python environment in a folder `.env`."""
    (tmp_path / ".env").mkdir()
    assert load(tmp_path) == Settings(data=tmp_path / "data")


def test_load_reads_the_process_by_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without arguments, `load` reads the environment and the working folder of this process."""
    monkeypatch.setenv("CALL_METRICS_CONCURRENCY", "3")
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("STREAM_API_KEY=k\n")
    settings = Settings.load()
    assert (settings.concurrency, settings.api_key, settings.data) == (3, "k", tmp_path / "data")


def test_constructor_reads_its_arguments_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`Settings(…)` ignores the environment and `.env`."""
    monkeypatch.setenv("CALL_METRICS_CONCURRENCY", "3")
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("STREAM_API_KEY=k\n")
    settings = Settings(data=Path("here"))
    assert (settings.concurrency, settings.api_key, settings.data) == (16, None, Path("here"))


def test_constructor_refuses_an_unknown_name() -> None:
    """A misspelt field is an error, not ignored."""
    with pytest.raises(ValidationError):
        Settings(concurency=1)


def test_deleted_working_folder_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Someone may remove the folder, or put another in its place, while a shell is in it."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    folder.rmdir()
    with pytest.raises(FixSettings, match="the working folder no longer exists"):
        Settings.load({})


@pytest.mark.parametrize(
    ("environ", "missing"),
    [
        ({}, "STREAM_API_KEY and STREAM_API_SECRET"),
        ({"STREAM_API_KEY": "k"}, "STREAM_API_SECRET"),
        ({"STREAM_API_SECRET": "s3cr3t"}, "STREAM_API_KEY"),
    ],
)
def test_half_of_the_credentials_is_refused(tmp_path: Path, environ: dict[str, str], missing: str) -> None:
    """The missing half is named, and the other one is not shown."""
    with pytest.raises(FixSettings) as caught:
        load(tmp_path, **environ).credentials()
    assert str(caught.value).startswith(f"set {missing} ")
    assert "s3cr3t" not in str(caught.value)


def test_credentials_have_key_and_secret(tmp_path: Path) -> None:
    """Both are as they were set."""
    settings = load(tmp_path, STREAM_API_KEY="k", STREAM_API_SECRET="s3cr3t")
    assert settings.credentials() == Credentials("k", Secret("s3cr3t"))
    assert settings.credentials().secret.reveal() == "s3cr3t"


def _shown(secret: Secret) -> list[str]:
    settings = Settings(api_key="k", api_secret=secret)
    held: list[Any] = [secret, settings, settings.credentials(), [secret], {"secret": secret}]
    shown = [form(one) for one in held for form in (str, repr, "{}".format, "{!r:>40}".format, "%s".__mod__)]
    try:
        raise ValueError(settings, secret)
    except ValueError as error:
        shown.append("".join(traceback.TracebackException.from_exception(error, capture_locals=True).format()))
    return [*shown, str(vars(settings)), str(settings.model_copy(update={"api_key": "x"}))]


def test_secret_never_shows() -> None:
    """A secret is masked in text of any form, in objects that hold it, and in tracebacks with local variables."""
    shown = _shown(Secret("s3cr3t"))
    assert not [text for text in shown if "s3cr3t" in text]
    assert all("********" in text for text in shown)


def test_secret_does_not_show_its_length() -> None:
    """All secrets look the same."""
    assert str(Secret("a")) == str(Secret("b" * 80))


@pytest.mark.parametrize("field", ["api_key", "api_secret", "serve_token"])
def test_secret_of_a_wrong_type_does_not_show(field: str) -> None:
    """An error of pydantic does not contain the value either."""
    given: dict[str, Any] = {field: ["s", "3", "c", "r", "3", "t"]}
    with pytest.raises((ValidationError, FixSettings)) as caught:
        Settings(**given)
    assert "'3'" not in "".join(traceback.format_exception(caught.value))


def test_secrets_with_the_same_text_are_equal() -> None:
    """Equality makes settings comparable."""
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a"), Secret("b")}) == 2


def test_parse_date_reads_iso_dates_only() -> None:
    """Any other text is refused with the name that was given."""
    assert parse_date("--from", "2026-11-01") == date(2026, 11, 1)
    with pytest.raises(FixSettings, match=r"^--from is '1/11/2026'; write a date as YYYY-MM-DD, such as 2026-11-01$"):
        parse_date("--from", "1/11/2026")
    with pytest.raises(FixSettings, match="write a date as YYYY-MM-DD"):
        parse_date("--from", "\uff12\uff10\uff12\uff16-11-01")


def test_lake_has_its_files_in_the_data_root(tmp_path: Path) -> None:
    """The file of a catalog is relative to the working folder, as other paths are."""
    settings = load(tmp_path, CALL_METRICS_WAREHOUSE="ducklake:c.ducklake", CALL_METRICS_DATA="d")
    assert settings.warehouse == LakeCatalog(f"{tmp_path}/c.ducklake", f"{tmp_path}/d/lake/")
    assert settings.warehouse_path is None


@pytest.mark.parametrize(
    "text",
    [
        "ducklake:postgres:dbname=a password=hunter2hunter2",
        "ducklake:postgres:dbname=a PASSWORD = 'hunter2hunter2 x'",
        "ducklake:postgres:postgresql://me:hunter2hunter2@host/a",
        "ducklake:postgres:postgresql://host/a?password=hunter2hunter2",
    ],
)
def test_password_in_the_warehouse_is_refused_and_not_shown(tmp_path: Path, text: str) -> None:
    """PostgreSQL's own variables and files are for it."""
    message = refusal(tmp_path, CALL_METRICS_WAREHOUSE=text)
    assert message.startswith("CALL_METRICS_WAREHOUSE has a password; leave it out, and give it in PGPASSWORD")
    assert "hunter2" not in message


@pytest.mark.parametrize("text", ["ducklake:", "ducklake:/", "ducklake:mysql:db=a", "ducklake:sqlite:a.db"])
def test_other_catalogs_are_refused(tmp_path: Path, text: str) -> None:
    """One sentence says what can be written."""
    assert "names no catalog that we know; write ducklake:postgres:" in refusal(tmp_path, CALL_METRICS_WAREHOUSE=text)


def test_messages_of_servers_lose_their_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever way a connection string is written, and whatever else repeats the variable."""
    monkeypatch.setenv("PGPASSWORD", "hunter2-outside")
    for text in (
        "host=a password=hunter2 user=b",
        "password='hun hunter2' x",
        "at postgres://me:hunter2@host/db",
        "hunter2-outside!",
        "AccountName=a;AccountKey=hunter2==;BlobEndpoint=b",
        "https://a.blob.core.windows.net/c?sv=1&sig=hunter2%3D&se=2",
    ):
        shown = without_password(f"Unable to connect to {text}")
        assert "hunter2" not in shown
        assert "…" in shown


def test_app_has_a_folder_in_the_data_root(tmp_path: Path) -> None:
    """The data root is the same for all apps; raw responses, tables, work and the embedded database are the app's."""
    for place in ({}, {"CALL_METRICS_DATA": "d"}, {"CALL_METRICS_DATA": f"file://{tmp_path}/d/"}):
        root = tmp_path / ("d" if place else "data")
        settings = load(tmp_path, CALL_METRICS_APP=" support ", **place)
        assert (settings.root, settings.root_location, settings.location) == (root, f"{root}", f"{root}/support")
        assert (settings.raw, settings.work) == (root / "support" / "raw", root / "support" / ".work")
        assert settings.warehouse == root / "support" / "warehouse.duckdb"
        again = load(tmp_path, CALL_METRICS_APP="support", CALL_METRICS_DATA=settings.root_location)
        assert again == settings
    assert Settings(data=tmp_path / "d", app="support").data == tmp_path / "d" / "support"
    nameless = load(tmp_path, CALL_METRICS_DATA="d")
    assert (nameless.root, nameless.root_location) == (nameless.data, f"{nameless.data}")


def test_apps_share_a_lake_in_the_data_root(tmp_path: Path) -> None:
    """Each has its own schemas in it."""
    environ = {"CALL_METRICS_WAREHOUSE": "ducklake:c.ducklake", "CALL_METRICS_DATA": "d"}
    lake = load(tmp_path, CALL_METRICS_APP="support", **environ).warehouse
    assert lake == LakeCatalog(f"{tmp_path}/c.ducklake", f"{tmp_path}/d/lake/", "support")
    assert lake.schemas == Schemas("support", "support_store")
    assert load(tmp_path, **environ).warehouse.schemas == Schemas("main", "store")  # type: ignore[union-attr]


@pytest.mark.parametrize("address", ["s3://bucket/metrics", "s3://bucket", "s3://bucket/support"])
def test_app_has_a_prefix_in_an_object_store(tmp_path: Path, address: str) -> None:
    """And a folder in the scratch folder, which the apps of a machine may share."""
    environ = {"CALL_METRICS_WAREHOUSE": SHARED, "CALL_METRICS_DATA": address, "CALL_METRICS_APP": "support"}
    settings = load(tmp_path, CALL_METRICS_SCRATCH="s", **environ)
    assert (settings.remote, settings.root_location) == (f"{address}/support", address)
    assert (settings.data, settings.root) == (tmp_path / "s" / "support", tmp_path / "s")
    assert settings.warehouse == LakeCatalog("postgres:dbname=lake host=db", f"{address}/lake/", "support")
    scratch = load(tmp_path, **environ).root
    assert scratch == load(tmp_path, **environ | {"CALL_METRICS_APP": "sales"}).root
    assert scratch == load(tmp_path, **environ | {"CALL_METRICS_APP": ""}).root


def test_data_root_that_is_a_file_is_refused_for_an_app_too(tmp_path: Path) -> None:
    """The app's folder cannot be there."""
    (tmp_path / "d").write_text("")
    message = refusal(tmp_path, CALL_METRICS_DATA="d", CALL_METRICS_APP="support")
    assert "which is not a folder; write the name of a folder" in message


def test_our_sql_is_adapted_to_the_schemas_of_an_app() -> None:
    """Only the schema `store` is meant, not what has it in its name."""
    sql = "CREATE SCHEMA IF NOT EXISTS store; FROM store.samples, datastore.x, x.store.y, this_call('store.series')"
    assert Schemas().adapt(sql) == sql
    assert Schemas.of("a").adapt(sql) == (
        "CREATE SCHEMA IF NOT EXISTS a_store; FROM a_store.samples, datastore.x, x.store.y, this_call('a_store.series')"
    )
