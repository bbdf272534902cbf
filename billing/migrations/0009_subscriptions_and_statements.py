"""Subscriptions with their history, statements, requests that must not run twice, and schedules that change."""

import django.db.models.deletion
from django.db import migrations, models

import lib.ids
from lib.schema import AccountInPrimaryKey, ExactText


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0008_shipped_plans"),
    ]

    operations = [
        migrations.AddField(
            model_name="account",
            name="earlier_schedules",
            field=models.TextField(
                blank=True,
                default="",
                editable=False,
                help_text="Anchors and zones before these: see billing/schedules.py.",
            ),
        ),
        migrations.AddField(
            model_name="account",
            name="next_close_at",
            field=models.DateTimeField(
                db_index=True,
                editable=False,
                help_text="When its oldest open period may be closed; null: look.",
                null=True,
            ),
        ),
        migrations.CreateModel(
            name="IdempotencyKey",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "account_id", "key", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("key", models.UUIDField()),
                ("digest", models.UUIDField()),
                ("answer", models.TextField(help_text="JSON as it was sent, down to the order of its keys.")),
                ("created_at", models.DateTimeField(db_index=True)),
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
                "db_table": "idempotency_keys",
            },
        ),
        migrations.CreateModel(
            name="Statement",
            fields=[
                ("id", models.UUIDField(default=lib.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ("period", models.DateField()),
                ("period_end", models.DateField()),
                ("calls", models.BigIntegerField()),
                ("tokens_total", models.BigIntegerField()),
                ("usage_nano", models.BigIntegerField(help_text="What was used, at cost.")),
                (
                    "allowance_nano",
                    models.BigIntegerField(
                        help_text="Soft monthly_cost limit; null: no overage is charged.", null=True
                    ),
                ),
                ("fee_nano", models.BigIntegerField()),
                ("overage_nano", models.BigIntegerField()),
                ("adjustments_nano", models.BigIntegerField()),
                ("total_nano", models.BigIntegerField()),
                ("total_cents", models.BigIntegerField()),
                ("lines", models.JSONField(default=list)),
                ("usage", models.JSONField(default=list)),
                ("closed_at", models.DateTimeField()),
                ("due_at", models.DateTimeField(null=True)),
                (
                    "state",
                    models.CharField(
                        choices=[("open", "Unpaid"), ("paid", "Paid"), ("nothing_due", "Nothing due")], max_length=12
                    ),
                ),
                ("paid_at", models.DateTimeField(null=True)),
                ("paid_by", models.CharField(blank=True, max_length=150)),
                ("payment_note", models.CharField(blank=True, max_length=500)),
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
                    "plan",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        to="billing.plan",
                    ),
                ),
            ],
            options={
                "db_table": "statements",
                "ordering": ["-period", "-id"],
                "indexes": [models.Index(fields=["state", "due_at"], name="statements_due")],
                "constraints": [models.UniqueConstraint(fields=("account", "period"), name="statements_once")],
            },
        ),
        migrations.CreateModel(
            name="Subscription",
            fields=[
                (
                    "account",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        related_name="subscription",
                        serialize=False,
                        to="billing.account",
                    ),
                ),
                ("cycle", models.CharField(choices=[("monthly", "Monthly"), ("yearly", "Yearly")], max_length=10)),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("active", "Active"),
                            ("past_due", "Past due"),
                            ("suspended", "Suspended"),
                            ("cancelled", "Cancelled"),
                        ],
                        default="active",
                        max_length=10,
                    ),
                ),
                ("period_start", models.DateField()),
                ("period_end", models.DateField(help_text="The day on which the next cycle starts.")),
                ("renews_at", models.DateTimeField(help_text="The first instant of that day.")),
                ("auto_renew", models.BooleanField(default=True, help_text="No: it ends with its cycle.")),
                (
                    "pending_cycle",
                    models.CharField(blank=True, choices=[("monthly", "Monthly"), ("yearly", "Yearly")], max_length=10),
                ),
                (
                    "grace_until",
                    models.DateTimeField(help_text="When it is suspended, where it is past due.", null=True),
                ),
                (
                    "fee_nano",
                    models.BigIntegerField(
                        default=0, help_text="What the last step asked for: whole cents, in nano-USD."
                    ),
                ),
                (
                    "prorated_from",
                    models.DateField(help_text="The first day of the fee, where it is not the cycle's.", null=True),
                ),
                (
                    "pending_plan",
                    models.ForeignKey(
                        null=True, on_delete=django.db.models.deletion.PROTECT, related_name="+", to="billing.plan"
                    ),
                ),
                (
                    "plan",
                    models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name="+", to="billing.plan"),
                ),
            ],
            options={
                "db_table": "subscriptions",
                "ordering": ["account__external_id"],
                "indexes": [models.Index(fields=["status", "renews_at"], name="subscriptions_due")],
            },
        ),
        migrations.CreateModel(
            name="SubscriptionEvent",
            fields=[
                ("id", models.UUIDField(default=lib.ids.new_id, editable=False, primary_key=True, serialize=False)),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("subscribed", "Subscribed"),
                            ("upgraded", "Upgraded"),
                            ("planned", "Change planned"),
                            ("changed", "Changed"),
                            ("renewed", "Renewed"),
                            ("cancel_planned", "Cancellation planned"),
                            ("resumed", "Resumed"),
                            ("cancelled", "Cancelled"),
                            ("past_due", "Past due"),
                            ("suspended", "Suspended"),
                            ("paid", "Paid up"),
                        ],
                        max_length=20,
                    ),
                ),
                ("effective_at", models.DateTimeField()),
                ("recorded_at", models.DateTimeField()),
                ("cycle", models.CharField(choices=[("monthly", "Monthly"), ("yearly", "Yearly")], max_length=10)),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("active", "Active"),
                            ("past_due", "Past due"),
                            ("suspended", "Suspended"),
                            ("cancelled", "Cancelled"),
                        ],
                        max_length=10,
                    ),
                ),
                ("period_start", models.DateField()),
                ("period_end", models.DateField()),
                ("billed_in", models.DateField(help_text="Start of the usage period whose statement carries the fee.")),
                ("fee_nano", models.BigIntegerField(default=0)),
                (
                    "fee_lines",
                    models.JSONField(
                        default=list, help_text="What the fee is made of: text and nano-USD of each part."
                    ),
                ),
                (
                    "usage",
                    models.JSONField(
                        default=dict, help_text="Calls, tokens and cost of the usage period, or of the ended cycle."
                    ),
                ),
                ("actor", models.CharField(blank=True, max_length=150)),
                ("reason", models.CharField(blank=True, max_length=500)),
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
                    "next_plan",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="billing.plan",
                    ),
                ),
                (
                    "plan",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="billing.plan",
                    ),
                ),
            ],
            options={
                "db_table": "subscription_events",
                "ordering": ["-id"],
                "indexes": [
                    models.Index(fields=["account", "-effective_at"], name="subscription_events_by_time"),
                    models.Index(fields=["account", "billed_in"], name="subscription_events_billed"),
                ],
            },
        ),
        ExactText("subscriptions", "subscription_events", "idempotency_keys", "statements"),
        AccountInPrimaryKey("subscription_events", "statements"),
    ]
