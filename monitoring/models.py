"""How the service itself behaves: a row a request to look into; minutes and hours by route and status class to judge by."""

from __future__ import annotations

from django.db import models

from lib import ids


class ApiRequest(models.Model):
    """One answered request. Holds no path, query string, header (but the user agent) or body: secrets live there."""

    id = models.UUIDField(primary_key=True, default=ids.new_id, editable=False)
    at = models.DateTimeField(help_text="When it was answered.")
    route = models.CharField(max_length=200, help_text="The URL pattern, or “unmatched”.")
    method = models.CharField(max_length=16)
    status = models.PositiveSmallIntegerField()
    duration_us = models.PositiveBigIntegerField(help_text="Microseconds until the answer was ready to be sent.")
    request_bytes = models.PositiveBigIntegerField(null=True, help_text="Of the body; empty: sent without a length.")
    response_bytes = models.PositiveBigIntegerField(null=True, help_text="Of the body; empty: streamed.")
    account_id = models.BigIntegerField(null=True, help_text="Of the caller, where it is bound to one.")
    key_id = models.BigIntegerField(null=True, help_text="Of the API key; empty: a session or nobody.")
    client_address = models.CharField(max_length=39, blank=True, help_text="Empty: nobody trustworthy told it.")
    user_agent = models.CharField(max_length=500, blank=True)
    poll = models.BooleanField(default=False, help_text="Made by a live card on its own; not counted in health.")

    class Meta:
        db_table = "api_requests"
        ordering = ["-at", "-id"]
        indexes = [models.Index(fields=["-at", "-id"], name="api_requests_newest")]
        verbose_name = "API request"

    def __str__(self) -> str:
        return f"{self.method} {self.route} {self.status}"

    @property
    def duration_ms(self) -> float:
        return self.duration_us / 1000


class RequestCounts(models.Model):
    """What is counted of the requests that one route answered with one status class (2 for 2xx), of every process."""

    route = models.CharField(max_length=200)
    status_class = models.PositiveSmallIntegerField()
    requests = models.PositiveBigIntegerField()
    errors = models.PositiveBigIntegerField(
        help_text="Status of HEALTH_ERROR_FROM or above, as set when they were answered."
    )
    duration_us = models.PositiveBigIntegerField(help_text="Sum of the microseconds.")
    ms_1 = models.PositiveBigIntegerField(
        help_text="Requests that took up to 1 ms; each next column, above the one before it."
    )
    ms_2 = models.PositiveBigIntegerField()
    ms_5 = models.PositiveBigIntegerField()
    ms_10 = models.PositiveBigIntegerField()
    ms_25 = models.PositiveBigIntegerField()
    ms_50 = models.PositiveBigIntegerField()
    ms_100 = models.PositiveBigIntegerField()
    ms_250 = models.PositiveBigIntegerField()
    ms_500 = models.PositiveBigIntegerField()
    ms_1000 = models.PositiveBigIntegerField()
    ms_2500 = models.PositiveBigIntegerField()
    ms_5000 = models.PositiveBigIntegerField()
    ms_10000 = models.PositiveBigIntegerField()
    ms_more = models.PositiveBigIntegerField()
    dropped = models.PositiveBigIntegerField(
        db_default=0, help_text="Requests that a process had no room to log, told when it could."
    )

    class Meta:
        abstract = True


class RequestMinute(RequestCounts):
    """A UTC minute: what health reads."""

    pk = models.CompositePrimaryKey("minute", "route", "status_class")
    minute = models.DateTimeField()

    class Meta:
        db_table = "request_minutes"

    def __str__(self) -> str:
        return f"{self.minute:%Y-%m-%d %H:%M} {self.route} {self.status_class}xx"


class RequestHour(RequestCounts):
    """The sum of an hour's minutes, written with them: a month of minutes would take seconds to add up."""

    pk = models.CompositePrimaryKey("hour", "route", "status_class")
    hour = models.DateTimeField()

    class Meta:
        db_table = "request_hours"

    def __str__(self) -> str:
        return f"{self.hour:%Y-%m-%d %H:00} {self.route} {self.status_class}xx"


class JobRun(models.Model):
    """A periodic job: when it is due, who runs it now, and how its last run ended."""

    class Outcome(models.TextChoices):
        DONE = "done", "done"
        TROUBLE = "trouble", "found trouble"
        FAILED = "failed", "failed"

    name = models.CharField(max_length=50, primary_key=True)
    due_at = models.DateTimeField()
    holder = models.UUIDField(null=True, help_text="The run that holds the lease.")
    leased_until = models.DateTimeField(null=True, help_text="Until then no other process starts it.")
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    outcome = models.CharField(max_length=10, choices=Outcome, blank=True)
    summary = models.CharField(max_length=500, blank=True)
    runs = models.PositiveBigIntegerField(default=0)
    failures = models.PositiveBigIntegerField(default=0, help_text="Runs that did not end as done.")

    class Meta:
        db_table = "job_runs"
        ordering = ["name"]
        verbose_name = "job"

    def __str__(self) -> str:
        return self.name
