from django.db import migrations, models

import lib.ids
import lib.schema


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="RequestMinute",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "minute", "route", "status_class", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("minute", models.DateTimeField()),
                ("route", models.CharField(max_length=200)),
                ("status_class", models.PositiveSmallIntegerField()),
                ("requests", models.PositiveBigIntegerField()),
                (
                    "errors",
                    models.PositiveBigIntegerField(
                        help_text="Status of HEALTH_ERROR_FROM or above, as set when they were answered."
                    ),
                ),
                ("duration_us", models.PositiveBigIntegerField(help_text="Sum of the microseconds.")),
                (
                    "ms_1",
                    models.PositiveBigIntegerField(
                        help_text="Requests that took up to 1 ms; each next column, above the one before it."
                    ),
                ),
                ("ms_2", models.PositiveBigIntegerField()),
                ("ms_5", models.PositiveBigIntegerField()),
                ("ms_10", models.PositiveBigIntegerField()),
                ("ms_25", models.PositiveBigIntegerField()),
                ("ms_50", models.PositiveBigIntegerField()),
                ("ms_100", models.PositiveBigIntegerField()),
                ("ms_250", models.PositiveBigIntegerField()),
                ("ms_500", models.PositiveBigIntegerField()),
                ("ms_1000", models.PositiveBigIntegerField()),
                ("ms_2500", models.PositiveBigIntegerField()),
                ("ms_5000", models.PositiveBigIntegerField()),
                ("ms_10000", models.PositiveBigIntegerField()),
                ("ms_more", models.PositiveBigIntegerField()),
            ],
            options={
                "db_table": "request_minutes",
            },
        ),
        migrations.CreateModel(
            name="ApiRequest",
            fields=[
                ("id", models.UUIDField(default=lib.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ("at", models.DateTimeField(help_text="When it was answered.")),
                ("route", models.CharField(help_text="The URL pattern, or “unmatched”.", max_length=200)),
                ("method", models.CharField(max_length=16)),
                ("status", models.PositiveSmallIntegerField()),
                (
                    "duration_us",
                    models.PositiveBigIntegerField(help_text="Microseconds until the answer was ready to be sent."),
                ),
                (
                    "request_bytes",
                    models.PositiveBigIntegerField(help_text="Of the body; empty: sent without a length.", null=True),
                ),
                (
                    "response_bytes",
                    models.PositiveBigIntegerField(help_text="Of the body; empty: streamed.", null=True),
                ),
                ("account_id", models.BigIntegerField(help_text="Of the caller, where it is bound to one.", null=True)),
                ("key_id", models.BigIntegerField(help_text="Of the API key; empty: a session or nobody.", null=True)),
                (
                    "client_address",
                    models.CharField(blank=True, help_text="Empty: nobody trustworthy told it.", max_length=39),
                ),
                ("user_agent", models.CharField(blank=True, max_length=500)),
                (
                    "poll",
                    models.BooleanField(
                        default=False, help_text="Made by a live card on its own; not counted in health."
                    ),
                ),
            ],
            options={
                "verbose_name": "API request",
                "db_table": "api_requests",
                "ordering": ["-at", "-id"],
                "indexes": [models.Index(fields=["-at", "-id"], name="api_requests_newest")],
            },
        ),
        lib.schema.ExactText("api_requests", "request_minutes"),
    ]
