"""Deciding about limits: preflight against a bare view; reserve + settle on one hot account against a bare pair."""

from __future__ import annotations

import os
import subprocess
import sys

from django.db import connection
from django.test import Client
from django.urls import path as address
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from bench import load, reserve_worker, rounds
from bench.outcome import Outcome, compared, slower
from bench.rows import Sizes
from billing.accounts import access, accounts
from billing.api import urls
from billing.events import events
from billing.models import Account, Plan, UsageReservation
from billing.plans.plans import supersede
from billing.recording import metering
from lib import ids

CALLS = 300
PROCESSES, PAIRS = 16, 60
CALL = {"operations": [{"provider": "gemini", "model": "gemini-2.5-flash", "estimate": {"input_tokens": 900}}]}


class BareView(APIView):
    """The peer: key authentication, one query, a small answer."""

    required_scope = "limits"

    def post(self, request: Request) -> Response:
        return Response({"account": Account.objects.get(external_key=ids.key_of(reserve_worker.ACCOUNT)).name})


def preflight(sizes: Sizes) -> list[Outcome]:
    """Over every middleware, in this process, as a key that is bound to an account with a month of usage."""
    account = _account()
    at = timezone.now()
    batch = [events.parse({**one, "account": account.external_id}) for one in load.events("one", 1_000, seed=1)]
    metering.record(batch, source=metering.Source(account=account, any_age=True), at=at)
    _, token = access.create_key(name="bench", scopes=["limits"], at=at, account=account)
    client = Client(headers={"authorization": f"Bearer {token}", "host": "localhost"})

    def ask(path: str) -> float:
        return rounds.seconds(lambda: _all_ok(client, path)) / CALLS

    urls.urlpatterns.insert(0, address("bare/", BareView.as_view()))
    for path in ("preflight/", "bare/"):
        ask(path)
    times = rounds.alternated(sizes.rounds, lambda: ask("preflight/"), lambda: ask("bare/"))
    return [slower("preflight", times, peer="bare DRF view, one query", target=1.5)]


def _all_ok(client: Client, path: str) -> None:
    for _ in range(CALLS):
        answer = client.post(f"/api/v1/{path}", CALL, content_type="application/json")
        if answer.status_code != 200:
            raise RuntimeError(f"{path} answered {answer.status_code}: {answer.content[:200]!r}")


def reserve_and_settle(sizes: Sizes) -> list[Outcome]:
    """Pairs a second of sixteen processes, each with its own connection, on one account without a cap in their way."""
    _account()
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE bare_quota (used bigint, reserved bigint, cap bigint)")
        cursor.execute("INSERT INTO bare_quota VALUES (0, 0, 1000000000)")
    rates = rounds.alternated(sizes.rounds, lambda: _pairs("ours"), lambda: _pairs("bare"))
    if UsageReservation.objects.exclude(state="settled").exists():
        raise RuntimeError("a reservation was not settled")
    what = f"reserve + settle, one hot account, {PROCESSES} processes"
    return [compared(what, rates, unit="pairs/s", peer="a conditional UPDATE pair by psycopg", target=0.5)]


def _account() -> Account:
    """The account, on a plan whose caps are all wide."""
    at = timezone.now()
    plan = Plan.objects.get(slug="free")
    limits = list(plan.limits.select_related("meter"))
    for limit in limits:
        limit.amount = 10**15
    supersede(plan=plan, limits=limits, at=at)
    accounts.ensure([reserve_worker.ACCOUNT], at=at)
    return accounts.find([reserve_worker.ACCOUNT])[reserve_worker.ACCOUNT]


def _pairs(who: str) -> float:
    command = [sys.executable, "-m", "bench.reserve_worker", who, str(PAIRS)]
    running = [
        subprocess.Popen(command, env=os.environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(PROCESSES)
    ]
    for one in running:
        if one.stdout is None or one.stdout.readline() != "ready\n":
            raise RuntimeError("a process did not start")

    def run() -> None:
        for one in running:
            if one.stdin:
                one.stdin.write("go\n")
                one.stdin.flush()
        for one in running:
            if one.stdout is None or one.stdout.readline() != "done\n":
                raise RuntimeError("a process did not end")

    taken = rounds.seconds(run)
    for one in running:
        one.communicate()
    return PROCESSES * PAIRS / taken
