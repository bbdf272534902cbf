"""The recorder's buffer: grouped, bounded, retained while the database is unavailable, and never written twice."""

import os
import threading
from datetime import UTC, datetime, timedelta

import pytest
from django.db import DataError, OperationalError, connection
from django.db.models import Sum
from pytest_django import DjangoAssertNumQueries, Settings

from lib import upsert
from monitoring import recorder, request_rows
from monitoring.models import ApiRequest, RequestHour, RequestMinute
from monitoring.recorder import Recorder
from tests.monitoring.conftest import entry

MINUTE = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)


class FailingDatabase:
    """Fails the first `times` writes with `error`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, error: type[Exception], times: int) -> None:
        self.error, self.times, self.store = error, times, request_rows.store
        monkeypatch.setattr(request_rows, "store", self)

    def __call__(self, batch: request_rows.RequestBatch) -> None:
        if self.times:
            self.times -= 1
            raise self.error
        self.store(batch)


def totals() -> list[tuple[object, ...]]:
    return list(
        RequestMinute.objects.order_by("minute", "route", "status_class").values_list(
            "minute", "route", "status_class", "requests", "errors", "duration_us", "ms_5", "ms_50", "ms_more"
        )
    )


@pytest.mark.django_db
def test_requests_are_grouped_by_minute_route_and_status_class(request_log: Recorder) -> None:
    for status, duration_us in ((200, 3_000), (201, 40_000), (404, 3_000), (503, 11_000_000)):
        request_log.add(entry(status=status, duration_us=duration_us))
    request_log.add(entry(at=MINUTE + timedelta(minutes=1)))
    request_log.add(entry(route="/admin/"))
    request_log.flush()
    assert totals() == [
        (MINUTE, "/admin/", 2, 1, 0, 3_000, 1, 0, 0),
        (MINUTE, "/api/v1/usage/", 2, 2, 0, 43_000, 1, 1, 0),
        (MINUTE, "/api/v1/usage/", 4, 1, 1, 3_000, 1, 0, 0),
        (MINUTE, "/api/v1/usage/", 5, 1, 1, 11_000_000, 0, 0, 1),
        (MINUTE + timedelta(minutes=1), "/api/v1/usage/", 2, 1, 0, 3_000, 1, 0, 0),
    ]
    assert ApiRequest.objects.count() == 6


@pytest.mark.django_db
def test_a_later_flush_adds_to_the_same_minute(request_log: Recorder) -> None:
    for _ in range(3):
        request_log.add(entry())
        request_log.flush()
    assert totals() == [(MINUTE, "/api/v1/usage/", 2, 3, 0, 9_000, 3, 0, 0)]


@pytest.mark.django_db
def test_hours_are_the_sums_of_their_minutes(request_log: Recorder) -> None:
    for minutes in (-31, -30, 0, 29, 30):
        request_log.add(entry(at=MINUTE + timedelta(minutes=minutes)))
        request_log.add(entry(at=MINUTE + timedelta(minutes=minutes), status=500, duration_us=40_000))
    request_log.flush()
    request_log.add(entry(at=MINUTE))
    request_log.flush()
    hours = RequestHour.objects.order_by("hour", "status_class").values_list(
        "hour", "route", "status_class", "requests", "errors", "duration_us", "ms_5", "ms_50"
    )
    assert list(hours) == [
        (MINUTE.replace(hour=8, minute=0), "/api/v1/usage/", 2, 1, 0, 3_000, 1, 0),
        (MINUTE.replace(hour=8, minute=0), "/api/v1/usage/", 5, 1, 1, 40_000, 0, 1),
        (MINUTE.replace(minute=0), "/api/v1/usage/", 2, 4, 0, 12_000, 4, 0),
        (MINUTE.replace(minute=0), "/api/v1/usage/", 5, 3, 3, 120_000, 0, 3),
        (MINUTE.replace(hour=10, minute=0), "/api/v1/usage/", 2, 1, 0, 3_000, 1, 0),
        (MINUTE.replace(hour=10, minute=0), "/api/v1/usage/", 5, 1, 1, 40_000, 0, 1),
    ]


@pytest.mark.django_db
@pytest.mark.parametrize(("error_from", "errors"), [(400, 2), (500, 1)])
def test_the_error_status_is_a_setting(request_log: Recorder, settings: Settings, error_from: int, errors: int) -> None:
    settings.HEALTH_ERROR_FROM = error_from
    for status in (399, 404, 500):
        request_log.add(entry(status=status))
    request_log.flush()
    assert sum(RequestMinute.objects.values_list("errors", flat=True)) == errors


@pytest.mark.django_db
def test_the_time_is_stored_to_the_microsecond(request_log: Recorder) -> None:
    at = datetime(2026, 11, 22, 9, 30, 59, 999_999, tzinfo=UTC)
    request_log.add(entry(at=at))
    request_log.flush()
    assert (ApiRequest.objects.get().at, RequestMinute.objects.get().minute) == (at, MINUTE)


@pytest.mark.django_db
def test_routes_that_differ_in_case_or_trailing_space_are_separate(request_log: Recorder) -> None:
    for route in ("/a/", "/A/", "/a/ "):
        request_log.add(entry(route=route))
    request_log.flush()
    assert set(RequestMinute.objects.values_list("route", flat=True)) == {"/a/", "/A/", "/a/ "}


@pytest.mark.django_db
def test_a_route_is_cut_to_the_length_of_its_column(request_log: Recorder) -> None:
    request_log.add(entry(route="/" + "é" * 300, method="M" * 300))
    request_log.flush()
    row = ApiRequest.objects.get()
    assert (row.route, row.method) == ("/" + "é" * 199, "M" * 16)
    assert RequestMinute.objects.get().route == row.route


@pytest.mark.django_db
def test_a_batch_takes_three_writes_in_one_transaction(
    request_log: Recorder, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for second in range(60):
        request_log.add(entry(at=MINUTE + timedelta(seconds=second)))
    unseen = connection.vendor == "postgresql"  # Django does not count a COPY as a query
    with django_assert_num_queries(5 - unseen) as queries:  # including the savepoint inside the test's transaction
        request_log.flush()
    writes = [query["sql"].split(" (")[0] for query in queries.captured_queries if "INSERT" in query["sql"]]
    assert len(writes) == 3 - unseen


@pytest.mark.django_db
def test_a_long_buffer_is_written_batch_by_batch(request_log: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder, "BATCH_SIZE", 10)
    for _ in range(25):
        request_log.add(entry())
    assert request_log.flush() is True
    assert (ApiRequest.objects.count(), RequestMinute.objects.get().requests) == (25, 25)


@pytest.mark.django_db
def test_requests_beyond_the_buffer_are_dropped_and_counted(
    request_log: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "MAX_BUFFERED", 3)
    for _ in range(5):
        request_log.add(entry())
    assert (recorder.dropped(), len(request_log._buffer)) == (2, 3)
    request_log.flush()
    assert ApiRequest.objects.count() == 3


def drops() -> tuple[int, int]:
    """The drops of all processes: in minutes, and in hours."""
    sums = [model.objects.aggregate(Sum("dropped"))["dropped__sum"] or 0 for model in (RequestMinute, RequestHour)]
    return sums[0], sums[1]


@pytest.mark.django_db
def test_drops_are_counted_once_over_several_flushes(request_log: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder, "MAX_BUFFERED", 1)
    for _ in range(4):
        request_log.add(entry())
    request_log.flush()
    request_log.flush()
    assert drops() == (3, 3)
    for _ in range(3):
        request_log.add(entry())
    request_log.flush()
    assert (drops(), request_log.dropped) == ((5, 5), 5)
    assert RequestMinute.objects.filter(route="/api/v1/usage/").get().requests == 2


@pytest.mark.django_db(transaction=True)
def test_drops_are_stored_once_the_database_is_back(request_log: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_args: object) -> None:
        raise OperationalError

    monkeypatch.setattr(recorder, "MAX_BUFFERED", 1)
    with monkeypatch.context() as patch:
        patch.setattr(request_rows, "store", fail)
        patch.setattr(request_rows, "store_drops", fail)
        for _ in range(3):
            request_log.add(entry())
        assert request_log.flush() is False
    assert drops() == (0, 0)
    assert request_log.flush() is True
    assert (drops(), ApiRequest.objects.count()) == ((2, 2), 1)


def test_memory_stays_bounded_while_the_database_is_unavailable_and_drops_are_counted(
    request_log: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    FailingDatabase(monkeypatch, OperationalError, times=10**6)
    monkeypatch.setattr(request_rows, "store_drops", request_rows.store)
    monkeypatch.setattr(recorder, "MAX_BUFFERED", 50)
    for _ in range(5):
        for _ in range(1_000):
            request_log.add(entry())
        assert request_log.flush() is False
    retained = len(request_log._buffer) + (len(request_log._batch.rows) if request_log._batch else 0)
    assert (retained, request_log.dropped) == (100, 4_900)


def test_a_request_does_not_wait_for_a_hanging_write(request_log: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    started, release = threading.Event(), threading.Event()

    def hang(_batch: request_rows.RequestBatch) -> None:
        started.set()
        release.wait(30)

    monkeypatch.setattr(request_rows, "store", hang)
    request_log.add(entry())
    writing = threading.Thread(target=request_log.flush)
    writing.start()
    assert started.wait(30)
    for _ in range(recorder.BATCH_SIZE * 2):
        request_log.add(entry())  # would hang if it waited
    assert len(request_log._buffer) == recorder.BATCH_SIZE * 2
    release.set()
    writing.join()


@pytest.mark.django_db(transaction=True)
def test_a_deadlock_is_retried_at_once(request_log: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    FailingDatabase(monkeypatch, OperationalError, times=1)
    request_log.add(entry())
    assert request_log.flush() is True
    assert (ApiRequest.objects.count(), RequestMinute.objects.get().requests) == (1, 1)


@pytest.mark.django_db(transaction=True)
def test_entries_are_retained_while_the_database_is_unavailable_and_written_once(
    request_log: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    FailingDatabase(monkeypatch, OperationalError, times=4)
    request_log.add(entry())
    assert request_log.flush() is False
    request_log.add(entry())
    assert request_log.flush() is False
    assert not ApiRequest.objects.exists()
    assert request_log.flush() is True
    assert (ApiRequest.objects.count(), RequestMinute.objects.get().requests) == (2, 2)
    assert request_log.dropped == 0


@pytest.mark.django_db(transaction=True)
def test_a_broken_connection_is_replaced(request_log: Recorder) -> None:
    if connection.vendor == "sqlite":
        pytest.skip("SQLite has no connection that can break")
    connection.ensure_connection()
    assert connection.connection is not None
    connection.connection.close()
    request_log.add(entry())
    assert request_log.flush() is True
    assert ApiRequest.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_commit_whose_confirmation_was_lost_is_not_counted_twice(
    request_log: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = request_rows.store

    def committed_and_cut(batch: request_rows.RequestBatch) -> None:
        store(batch)
        raise OperationalError

    monkeypatch.setattr(request_rows, "store", committed_and_cut)
    request_log.add(entry())
    assert request_log.flush() is True
    assert (ApiRequest.objects.count(), RequestMinute.objects.get().requests, request_log.dropped) == (1, 1, 0)


@pytest.mark.django_db(transaction=True)
def test_a_batch_that_the_database_rejects_is_dropped_and_the_next_is_written(
    request_log: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    FailingDatabase(monkeypatch, DataError, times=1)
    request_log.add(entry())
    assert request_log.flush() is True
    request_log.add(entry())
    assert request_log.flush() is True
    assert (ApiRequest.objects.count(), request_log.dropped) == (1, 1)


@pytest.mark.django_db(transaction=True)
def test_a_fault_between_rows_and_minutes_stores_neither(
    request_log: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_args: object) -> None:
        raise OperationalError

    with monkeypatch.context() as patch:
        patch.setattr(upsert, "increment", fail)
        request_log.add(entry())
        assert request_log.flush() is False
    assert not ApiRequest.objects.exists()
    assert request_log.flush() is True
    assert (ApiRequest.objects.count(), RequestMinute.objects.get().requests) == (1, 1)


@pytest.mark.real_clock(reason="forks")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_forked_process_starts_empty_and_without_a_thread(request_log: Recorder) -> None:
    request_log.add(entry())
    request_log._thread = object()  # type: ignore[assignment]  # any object will do
    child = os.fork()
    if child == 0:
        os._exit(0 if not request_log._buffer and request_log._thread is None else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert len(request_log._buffer) == 1


@pytest.mark.django_db(transaction=True)
def test_the_first_entry_starts_the_thread_and_stop_writes_the_rest() -> None:
    log = Recorder()
    threads = threading.active_count()
    log.add(entry())
    log.add(entry())
    assert threading.active_count() == threads + 1
    log.stop()
    assert threading.active_count() == threads
    assert (ApiRequest.objects.count(), RequestMinute.objects.get().requests) == (2, 2)
