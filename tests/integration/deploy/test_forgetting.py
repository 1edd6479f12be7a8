"""People who are erased from two machines at once, and while a third one fetches the same day."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator

import pyarrow.parquet as pq
import pytest

from pipeline.emulator import Emulator, Quota, uniform_world
from tests.integration.deploy.conftest import Cluster
from tests.support.command_line import YESTERDAY, finish

DAYS = ("--from", f"{YESTERDAY}", "--to", f"{YESTERDAY}")
CALLS, PEOPLE = 5, 4
WORLD = uniform_world(YESTERDAY, calls=CALLS, people=PEOPLE, minutes=40, step_seconds=60)
QUICK = Quota(10_000, 60.0)

Make = Callable[[str], Cluster]


@pytest.fixture
def source() -> Iterator[Emulator]:
    """Yield the API."""
    with Emulator(WORLD, quotas={"participant_metrics": QUICK}) as emulator:
        yield emulator


def objects_naming(machines: Cluster, user: str) -> list[str]:
    """Return the objects of the bucket that name a user, in any column of a Parquet file or as text."""
    found = []
    for key, content in machines.bucket.contents().items():
        text = content
        if key.endswith(".parquet"):
            text = "\n".join(map(str, pq.read_table(io.BytesIO(content)).to_pylist())).encode()
        if user.encode() in text:
            found.append(key)
    return found


def forget(machines: Cluster, users: dict[int, str]) -> list[tuple[int, str, str]]:
    """Erase people from several machines at once. Returns how each ended."""
    started = [machines.start(number, "forget", "--user", user) for number, user in users.items()]
    return [finish(process) for process in started]


def assert_forgotten(machines: Cluster, *users: str) -> None:
    """Assert that no object and no table names them, and that everyone else is there in full."""
    for user in users:
        assert objects_naming(machines, user) == []
    query = (
        "SELECT p.user_id, count(DISTINCT p.user_session_id) AS stays, count(m.value) AS points "
        "FROM participant_sessions p JOIN metric_points m USING (session_date, call_type, call_id, call_session_id, "
        "user_id, user_session_id) GROUP BY ALL ORDER BY ALL"
    )
    code, out, err = finish(machines.start(90, "sql", "--format", "csv", query))
    assert code == 0, err
    _, *rows = [line.split(",") for line in out.splitlines()]
    everyone = {stay.user_id for call in WORLD.calls for stay in call.participants}
    assert {row[0] for row in rows} == everyone - set(users), out
    assert {row[1] for row in rows} == {f"{CALLS}"}
    expected = {}
    for row in point_users():
        expected[row] = expected.get(row, 0) + 1
    assert {row[0]: int(row[2]) for row in rows} == {user: n for user, n in expected.items() if user not in users}


def point_users() -> list[str]:
    """Return the user of every data point of the source."""
    with Emulator(WORLD) as source:
        return [row["user_id"] for row in source.expected_rows()["metric_points"]]


@pytest.mark.timeout(240)
@pytest.mark.slow
def test_two_people_are_erased_from_two_machines_at_once(cluster: Make, source: Emulator) -> None:
    """Both are gone from everywhere once both commands have ended well; one that did not says what to do."""
    machines = cluster(source.url)
    code, out, err = finish(machines.start(0, "backfill", *DAYS))
    assert code == 0, out + err
    users = {1: "user-000", 2: "user-001"}
    for (number, user), (code, _, err) in zip(users.items(), forget(machines, users), strict=True):
        if code != 0:
            assert err.count("\n") == 1, err
            assert "run `forget` again" in err or "run again" in err
            assert finish(machines.start(number + 10, "forget", "--user", user))[0] == 0
    assert_forgotten(machines, *users.values())
    code, out, err = finish(machines.start(3, "backfill", *DAYS))
    assert code == 0, out + err
    assert_forgotten(machines, *users.values())


@pytest.mark.timeout(240)
@pytest.mark.slow
def test_person_is_erased_while_their_day_is_fetched(cluster: Make, source: Emulator) -> None:
    """Nothing about them that lands afterwards stays, and the backfill ends well."""
    machines = cluster(source.url)
    source.set_quota("participant_metrics", Quota(8, 1.0))
    fetching = machines.start(1, "backfill", *DAYS)
    for _ in range(600):
        if source.count("participant_metrics", 200) >= 8:
            break
        time.sleep(0.05)
    users = {2: "user-000", 3: "user-001"}
    started = [machines.start(number, "forget", "--user", user) for number, user in users.items()]
    time.sleep(1)
    source.set_quota("participant_metrics", QUICK)
    for code, out, err in map(finish, [*started, fetching]):
        assert code == 0, out + err
    for user in users.values():
        assert objects_naming(machines, user) == []
    code, out, err = finish(machines.start(4, "backfill", *DAYS))
    assert code == 0, out + err
    assert_forgotten(machines, *users.values())
