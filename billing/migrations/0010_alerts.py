"""Alerts of limits with their deliveries, the webhooks that are told, and what the sweep knew of each account."""

import django.db.models.deletion
from django.db import migrations, models

import lib.ids
from lib.schema import AccountInPrimaryKey, ExactText


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0009_subscriptions_and_statements"),
    ]

    operations = [
        migrations.CreateModel(
            name="AlertMark",
            fields=[
                (
                    "account",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="alert_mark",
                        serialize=False,
                        to="billing.account",
                    ),
                ),
                ("config_version", models.PositiveBigIntegerField()),
                ("plans_version", models.BigIntegerField()),
                (
                    "sweep",
                    models.UUIDField(db_index=True, help_text="UUIDv7 of the sweep that looked: it tells the time."),
                ),
            ],
            options={
                "db_table": "alert_marks",
            },
        ),
        migrations.CreateModel(
            name="UsageAlert",
            fields=[
                ("id", models.UUIDField(default=lib.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ("period", models.DateField()),
                ("meter", models.CharField(max_length=60)),
                ("label", models.CharField(max_length=100)),
                ("unit", models.CharField(max_length=10)),
                (
                    "threshold",
                    models.PositiveSmallIntegerField(help_text="In per cent of the cap; 0: projected to exceed it."),
                ),
                ("cap", models.BigIntegerField()),
                ("used", models.BigIntegerField()),
                (
                    "projected",
                    models.BigIntegerField(help_text="Use at the period's end, at the rate until then.", null=True),
                ),
                ("raised_at", models.DateTimeField()),
                ("read_at", models.DateTimeField(null=True)),
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
                "verbose_name": "alert",
                "db_table": "usage_alerts",
                "ordering": ["-id"],
            },
        ),
        migrations.CreateModel(
            name="Webhook",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("url", models.CharField(max_length=500, verbose_name="URL")),
                ("salt", models.UUIDField(default=lib.ids.new_id, editable=False)),
                ("active", models.BooleanField(default=True)),
                ("created_at", models.DateTimeField(editable=False)),
                (
                    "account",
                    models.ForeignKey(
                        blank=True,
                        help_text="Empty: alerts of every account.",
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="webhooks",
                        to="billing.account",
                    ),
                ),
            ],
            options={
                "db_table": "webhooks",
                "ordering": ["id"],
            },
        ),
        migrations.CreateModel(
            name="Delivery",
            fields=[
                ("id", models.UUIDField(default=lib.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ("email", models.CharField(blank=True, help_text="Empty: a webhook.", max_length=320)),
                (
                    "state",
                    models.CharField(
                        choices=[("pending", "Pending"), ("delivered", "Delivered"), ("failed", "Given up")],
                        default="pending",
                        max_length=10,
                    ),
                ),
                ("attempts", models.PositiveIntegerField(default=0)),
                (
                    "due_at",
                    models.DateTimeField(help_text="Of the next attempt; while one runs, when it counts as lost."),
                ),
                ("give_up_at", models.DateTimeField(help_text="No attempt is planned for later.")),
                ("created_at", models.DateTimeField()),
                ("ended_at", models.DateTimeField(null=True)),
                ("response_status", models.PositiveSmallIntegerField(null=True)),
                (
                    "response",
                    models.CharField(blank=True, help_text="The first 500 characters of the answer.", max_length=500),
                ),
                ("error", models.CharField(blank=True, max_length=500)),
                (
                    "account",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        to="billing.account",
                    ),
                ),
                (
                    "alert",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="deliveries",
                        to="billing.usagealert",
                    ),
                ),
                (
                    "webhook",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="billing.webhook",
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "deliveries",
                "db_table": "deliveries",
                "ordering": ["-id"],
            },
        ),
        migrations.AddIndex(
            model_name="usagealert",
            index=models.Index(fields=["account", "-id"], name="usage_alerts_newest"),
        ),
        migrations.AddConstraint(
            model_name="usagealert",
            constraint=models.UniqueConstraint(
                fields=("account", "period", "meter", "threshold", "cap"), name="usage_alerts_once"
            ),
        ),
        migrations.AddIndex(
            model_name="delivery",
            index=models.Index(fields=["state", "due_at"], name="deliveries_due"),
        ),
        migrations.AddIndex(
            model_name="delivery",
            index=models.Index(fields=["account", "alert"], name="deliveries_of_alert"),
        ),
        ExactText("usage_alerts", "webhooks", "deliveries"),
        AccountInPrimaryKey("usage_alerts", "deliveries"),
    ]
