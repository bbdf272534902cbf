"""Limit checks: time of preflight against a one-query view; rate of reserve + settle on one account against two updates."""

from __future__ import annotations

import os
import subprocess
import sys

from django.db import connection
from django.test import Client
from django.urls import path as url_path
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from bench import reserve_worker, timing, workloads
from bench.benchmarks import Sizes
from bench.measurement import Measurement, compare_rates, compare_times
from billing.accounts import access, accounts
from billing.api import urls
from billing.api.api_view import ApiView
from billing.events import events
from billing.models import Account, Plan, UsageReservation
from billing.plans.plans import supersede
from billing.recording import metering
from lib import ids

PREFLIGHT_CALLS = 300
PROCESSES, PAIRS_PER_PROCESS = 16, 60
CALL = {"operations": [{"provider": "gemini", "model": "gemini-2.5-flash", "estimate": {"input_tokens": 900}}]}


class OneQueryView(ApiView):
    """The peer: key authentication, one query, a small response."""

    required_scope = "limits"

    def post(self, request: Request) -> Response:
        return Response({"account": Account.objects.get(external_key=ids.lookup_key(reserve_worker.ACCOUNT)).name})


def measure_preflight(sizes: Sizes) -> list[Measurement]:
    """In this process, with all middleware and a key of an account that has a month of usage."""
    account = _unlimited_account()
    at = timezone.now()
    batch = [
        events.parse({**event, "account": account.external_id}) for event in workloads.events("one", 1_000, seed=1)
    ]
    metering.record(batch, source=metering.EventSource(account=account, any_age=True), at=at)
    _, token = access.create_key(name="bench", scopes=["limits"], at=at, account=account)
    client = Client(headers={"authorization": f"Bearer {token}", "host": "localhost"})

    def seconds_per_call(path: str) -> float:
        return timing.elapsed_seconds(lambda: _post_calls(client, path)) / PREFLIGHT_CALLS

    urls.urlpatterns.insert(0, url_path("bare/", OneQueryView.as_view()))
    for path in ("preflight/", "bare/"):
        seconds_per_call(path)
    times = timing.alternate(sizes.rounds, lambda: seconds_per_call("preflight/"), lambda: seconds_per_call("bare/"))
    return [compare_times("preflight", times, peer="bare DRF view, one query", target=1.5)]


def _post_calls(client: Client, path: str) -> None:
    for _ in range(PREFLIGHT_CALLS):
        response = client.post(f"/api/v1/{path}", CALL, content_type="application/json")
        if response.status_code != 200:
            raise RuntimeError(f"{path} answered {response.status_code}: {response.content[:200]!r}")


def measure_reserve_and_settle(sizes: Sizes) -> list[Measurement]:
    """Pairs per second of all processes, each with its own connection, on one account whose limits are never reached."""
    _unlimited_account()
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE bare_quota (used bigint, reserved bigint, cap bigint)")
        cursor.execute("INSERT INTO bare_quota VALUES (0, 0, 1000000000)")
    rates = timing.alternate(sizes.rounds, lambda: _pairs_per_second("tollgate"), lambda: _pairs_per_second("updates"))
    if UsageReservation.objects.exclude(state="settled").exists():
        raise RuntimeError("a reservation was not settled")
    what = f"reserve + settle, one hot account, {PROCESSES} processes"
    return [compare_rates(what, rates, unit="pairs/s", peer="a conditional UPDATE pair by psycopg", target=0.5)]


def _unlimited_account() -> Account:
    """Create the account on a plan whose limits are never reached."""
    at = timezone.now()
    plan = Plan.objects.get(slug="free")
    limits = list(plan.limits.select_related("meter"))
    for limit in limits:
        limit.amount = 10**15
    supersede(plan=plan, limits=limits, at=at)
    accounts.ensure([reserve_worker.ACCOUNT], at=at)
    return accounts.find([reserve_worker.ACCOUNT])[reserve_worker.ACCOUNT]


def _pairs_per_second(contender: str) -> float:
    command = [sys.executable, "-m", "bench.reserve_worker", contender, str(PAIRS_PER_PROCESS)]
    workers = [
        subprocess.Popen(command, env=os.environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(PROCESSES)
    ]
    for worker in workers:
        if worker.stdout is None or worker.stdout.readline() != "ready\n":
            raise RuntimeError("a process did not start")

    def run() -> None:
        for worker in workers:
            if worker.stdin:
                worker.stdin.write("go\n")
                worker.stdin.flush()
        for worker in workers:
            if worker.stdout is None or worker.stdout.readline() != "done\n":
                raise RuntimeError("a process did not end")

    elapsed = timing.elapsed_seconds(run)
    for worker in workers:
        worker.communicate()
    return PROCESSES * PAIRS_PER_PROCESS / elapsed
