"""The totals that pages and limits read, made after the backfill so that they are built under the right providers."""

import django.db.models.deletion
from django.db import migrations, models

from lib.schema import ExactText


class Migration(migrations.Migration):
    dependencies = [("billing", "0003_backfill_actual_provider_name")]

    operations = [
        migrations.CreateModel(
            name="UsageDay",
            fields=[
                ("calls", models.BigIntegerField(default=0)),
                ("errors", models.BigIntegerField(default=0)),
                ("tokens_total", models.BigIntegerField(default=0)),
                ("cost_nano", models.BigIntegerField(default=0)),
                ("unpriced_calls", models.BigIntegerField(default=0)),
                ("billable_calls", models.BigIntegerField(default=0)),
                ("fallback_calls", models.BigIntegerField(default=0)),
                ("tokens_input", models.BigIntegerField(default=0)),
                ("tokens_output", models.BigIntegerField(default=0)),
                ("response_time_sum", models.BigIntegerField(default=0)),
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "account_id",
                        "day",
                        "declared",
                        "actual",
                        "category",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("day", models.DateField()),
                ("declared", models.CharField(max_length=50)),
                ("actual", models.CharField(max_length=50)),
                ("category", models.CharField(max_length=20)),
                (
                    "account",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        to="billing.account",
                    ),
                ),
            ],
            options={
                "db_table": "usage_days",
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            ("cost_nano__gte", -9000000000000000000), ("cost_nano__lte", 9000000000000000000)
                        ),
                        name="usage_days_cost_fits",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="UsageModel",
            fields=[
                ("calls", models.BigIntegerField(default=0)),
                ("errors", models.BigIntegerField(default=0)),
                ("tokens_total", models.BigIntegerField(default=0)),
                ("cost_nano", models.BigIntegerField(default=0)),
                ("unpriced_calls", models.BigIntegerField(default=0)),
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "account_id",
                        "period",
                        "actual",
                        "model",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("period", models.DateField()),
                ("actual", models.CharField(max_length=50)),
                ("model", models.CharField(max_length=200)),
                (
                    "account",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        to="billing.account",
                    ),
                ),
            ],
            options={
                "db_table": "usage_models",
            },
        ),
        migrations.AddConstraint(
            model_name="usagemodel",
            constraint=models.CheckConstraint(
                condition=models.Q(("cost_nano__gte", -9000000000000000000), ("cost_nano__lte", 9000000000000000000)),
                name="usage_models_cost_fits",
            ),
        ),
        migrations.CreateModel(
            name="PlatformDay",
            fields=[
                ("calls", models.BigIntegerField(default=0)),
                ("errors", models.BigIntegerField(default=0)),
                ("tokens_total", models.BigIntegerField(default=0)),
                ("cost_nano", models.BigIntegerField(default=0)),
                ("unpriced_calls", models.BigIntegerField(default=0)),
                ("billable_calls", models.BigIntegerField(default=0)),
                ("fallback_calls", models.BigIntegerField(default=0)),
                ("tokens_input", models.BigIntegerField(default=0)),
                ("tokens_output", models.BigIntegerField(default=0)),
                ("response_time_sum", models.BigIntegerField(default=0)),
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "day",
                        "declared",
                        "actual",
                        "category",
                        "slot",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("day", models.DateField()),
                ("declared", models.CharField(max_length=50)),
                ("actual", models.CharField(max_length=50)),
                ("category", models.CharField(max_length=20)),
                ("slot", models.SmallIntegerField()),
            ],
            options={
                "db_table": "platform_days",
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            ("cost_nano__gte", -9000000000000000000), ("cost_nano__lte", 9000000000000000000)
                        ),
                        name="platform_days_cost_fits",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="ProviderMinute",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "minute", "actual", "slot", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("minute", models.DateTimeField()),
                ("actual", models.CharField(max_length=50)),
                ("slot", models.SmallIntegerField()),
                ("calls", models.BigIntegerField(default=0)),
                ("errors", models.BigIntegerField(default=0)),
                ("response_time_sum", models.BigIntegerField(default=0)),
            ],
            options={
                "db_table": "provider_minutes",
            },
        ),
        ExactText("usage_days", "usage_models", "platform_days", "provider_minutes"),
    ]
