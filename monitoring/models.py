"""The service's own requests, one row each; their counts by minute and hour, route and status class; the periodic jobs."""

from __future__ import annotations

from django.db import models

from lib import ids


class ApiRequest(models.Model):
    """One answered request. Stores no path, query string, body or header but the user agent: they may contain secrets."""

    id = models.UUIDField(primary_key=True, default=ids.new_id, editable=False)
    at = models.DateTimeField(help_text="When the request was answered.")
    route = models.CharField(max_length=200, help_text="The URL pattern, or “unmatched”.")
    method = models.CharField(max_length=16)
    status = models.PositiveSmallIntegerField()
    duration_us = models.PositiveBigIntegerField(help_text="Microseconds until the response was ready to be sent.")
    request_bytes = models.PositiveBigIntegerField(
        null=True, help_text="Size of the body; empty if sent without a length."
    )
    response_bytes = models.PositiveBigIntegerField(null=True, help_text="Size of the body; empty if streamed.")
    account_id = models.BigIntegerField(null=True, help_text="The caller's account, if the caller is bound to one.")
    key_id = models.BigIntegerField(null=True, help_text="The API key; empty for a session or an anonymous request.")
    client_address = models.CharField(max_length=39, blank=True, help_text="Empty if no trusted source gave it.")
    user_agent = models.CharField(max_length=500, blank=True)
    poll = models.BooleanField(default=False, help_text="Automatic request of a live card; not counted in health.")

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
    """Counts of the requests that a route answered with a status class (2 for 2xx), in all processes."""

    route = models.CharField(max_length=200)
    status_class = models.PositiveSmallIntegerField()
    requests = models.PositiveBigIntegerField()
    errors = models.PositiveBigIntegerField(
        help_text="Requests with a status of HEALTH_ERROR_FROM or above, by its value at the time."
    )
    duration_us = models.PositiveBigIntegerField(help_text="Sum of the durations in microseconds.")
    ms_1 = models.PositiveBigIntegerField(
        help_text="Requests that took up to 1 ms. Each later column counts from the previous bound up to its own."
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
        db_default=0,
        help_text="Requests that a process could not log, stored in the minute in which it could report them.",
    )

    class Meta:
        abstract = True


class RequestMinute(RequestCounts):
    """The counts of a UTC minute, from which health is computed."""

    pk = models.CompositePrimaryKey("minute", "route", "status_class")
    minute = models.DateTimeField()

    class Meta:
        db_table = "request_minutes"

    def __str__(self) -> str:
        return f"{self.minute:%Y-%m-%d %H:%M} {self.route} {self.status_class}xx"


class RequestHour(RequestCounts):
    """The sum of an hour's minutes, written together with them: adding up a month of minutes would take seconds."""

    pk = models.CompositePrimaryKey("hour", "route", "status_class")
    hour = models.DateTimeField()

    class Meta:
        db_table = "request_hours"

    def __str__(self) -> str:
        return f"{self.hour:%Y-%m-%d %H:00} {self.route} {self.status_class}xx"


class JobRun(models.Model):
    """A periodic job: when it is due, the lease of its current run, and the result of its last run."""

    class Outcome(models.TextChoices):
        DONE = "done", "done"
        TROUBLE = "trouble", "problems found"
        FAILED = "failed", "failed"

    name = models.CharField(max_length=50, primary_key=True)
    due_at = models.DateTimeField()
    holder = models.UUIDField(null=True, help_text="Id of the run that holds the lease.")
    leased_until = models.DateTimeField(null=True, help_text="No other process starts the job before this time.")
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    outcome = models.CharField(max_length=10, choices=Outcome, blank=True)
    summary = models.CharField(max_length=500, blank=True)
    runs = models.PositiveBigIntegerField(default=0)
    failures = models.PositiveBigIntegerField(default=0, help_text="Runs that did not end as “done”.")

    class Meta:
        db_table = "job_runs"
        ordering = ["name"]
        verbose_name = "job"

    def __str__(self) -> str:
        return self.name
