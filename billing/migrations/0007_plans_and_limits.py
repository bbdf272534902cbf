"""Meters, plans with their limits, overrides of them, and the room that is held under them."""

import django.core.validators
import django.db.models.deletion
from django.db import migrations, models

import lib.ids
from lib.schema import AccountInPrimaryKey, ExactText


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0006_corrections"),
    ]

    operations = [
        migrations.CreateModel(
            name="Meter",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "slug",
                    models.CharField(
                        help_text="The key under which the API tells its limit.",
                        max_length=50,
                        unique=True,
                        validators=[
                            django.core.validators.RegexValidator(
                                "^[a-z0-9][a-z0-9_-]*\\Z", "Lower-case letters, digits, - and _ only."
                            )
                        ],
                    ),
                ),
                ("label", models.CharField(max_length=100)),
                (
                    "scope",
                    models.CharField(
                        choices=[
                            ("all", "everything"),
                            ("category", "categories"),
                            ("declared", "declared providers"),
                            ("actual", "actual providers"),
                        ],
                        max_length=10,
                    ),
                ),
                (
                    "values",
                    models.JSONField(
                        blank=True,
                        default=list,
                        help_text="Which categories or providers, in lower case; none for everything.",
                    ),
                ),
                (
                    "unit",
                    models.CharField(
                        choices=[("calls", "calls"), ("tokens", "tokens"), ("cost", "cost")], max_length=10
                    ),
                ),
                (
                    "position",
                    models.IntegerField(
                        default=1000, help_text="Lower stands first, and is told first where several refuse."
                    ),
                ),
                ("shipped", models.BooleanField(default=False, editable=False)),
            ],
            options={
                "db_table": "meters",
                "ordering": ["position", "slug"],
            },
        ),
        migrations.CreateModel(
            name="Plan",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "slug",
                    models.CharField(
                        max_length=50,
                        validators=[
                            django.core.validators.RegexValidator(
                                "^[a-z0-9][a-z0-9_-]*\\Z", "Lower-case letters, digits, - and _ only."
                            )
                        ],
                    ),
                ),
                ("version", models.PositiveIntegerField(default=1, editable=False)),
                ("name", models.CharField(max_length=100)),
                ("price_monthly_nano", models.PositiveBigIntegerField(default=0)),
                ("price_yearly_nano", models.PositiveBigIntegerField(default=0)),
                ("active", models.BooleanField(default=True, help_text="Offered to new subscribers.")),
                ("position", models.IntegerField(default=1000, help_text="Lower stands first.")),
                ("shipped", models.BooleanField(default=False, editable=False)),
                ("created_at", models.DateTimeField()),
            ],
            options={
                "db_table": "plans",
                "ordering": ["position", "slug", "-version"],
                "constraints": [models.UniqueConstraint(fields=("slug", "version"), name="plans_one_a_version")],
            },
        ),
        migrations.CreateModel(
            name="UsageReservation",
            fields=[
                ("id", models.UUIDField(default=lib.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ("reservation_id", models.CharField(help_text="The caller's own id.", max_length=256)),
                ("reservation_key", models.UUIDField()),
                ("digest", models.UUIDField(help_text="Tells a repeat from another request under the same id.")),
                ("period", models.DateField(help_text="Usage period in which it was granted.")),
                ("grant", models.JSONField(help_text="The answer to the caller, given again to a repeat.")),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("held", "Held"),
                            ("settled", "Settled"),
                            ("released", "Released"),
                            ("expired", "Expired"),
                        ],
                        default="held",
                        max_length=10,
                    ),
                ),
                (
                    "over",
                    models.BooleanField(default=False, help_text="More was used than was held, or it no longer held."),
                ),
                ("created_at", models.DateTimeField()),
                ("expires_at", models.DateTimeField()),
                ("decided_at", models.DateTimeField(null=True)),
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
                "verbose_name": "reservation",
                "db_table": "usage_reservations",
            },
        ),
        migrations.CreateModel(
            name="UsageHold",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "account_id",
                        "reservation_id",
                        "declared",
                        "actual",
                        "category",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("declared", models.CharField(max_length=50)),
                ("actual", models.CharField(max_length=50)),
                ("category", models.CharField(max_length=20)),
                ("calls", models.BigIntegerField()),
                ("tokens", models.BigIntegerField()),
                ("cost_nano", models.BigIntegerField()),
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
                    "reservation",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="holds",
                        to="billing.usagereservation",
                    ),
                ),
            ],
            options={
                "db_table": "usage_holds",
            },
        ),
        migrations.CreateModel(
            name="LimitOverride",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "per",
                    models.CharField(
                        choices=[("period", "usage period"), ("day", "day")], default="period", max_length=10
                    ),
                ),
                ("amount", models.PositiveBigIntegerField(blank=True, null=True)),
                (
                    "hard",
                    models.BooleanField(default=True, help_text="A hard limit refuses calls; a soft one only shows."),
                ),
                (
                    "expires_on",
                    models.DateField(
                        blank=True,
                        help_text="First local day on which the plan's own limit counts again; empty: for good.",
                        null=True,
                    ),
                ),
                ("reason", models.CharField(max_length=500)),
                (
                    "account",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="limit_overrides",
                        to="billing.account",
                    ),
                ),
                ("meter", models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to="billing.meter")),
            ],
            options={
                "db_table": "limit_overrides",
                "ordering": ["meter__position", "meter__slug", "-per"],
                "constraints": [
                    models.UniqueConstraint(fields=("account", "meter", "per"), name="limit_overrides_once")
                ],
            },
        ),
        migrations.CreateModel(
            name="PlanLimit",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "per",
                    models.CharField(
                        choices=[("period", "usage period"), ("day", "day")], default="period", max_length=10
                    ),
                ),
                ("amount", models.PositiveBigIntegerField(blank=True, null=True)),
                (
                    "hard",
                    models.BooleanField(default=True, help_text="A hard limit refuses calls; a soft one only shows."),
                ),
                ("meter", models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to="billing.meter")),
                (
                    "plan",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="limits", to="billing.plan"
                    ),
                ),
            ],
            options={
                "db_table": "plan_limits",
                "ordering": ["meter__position", "meter__slug", "-per"],
                "constraints": [models.UniqueConstraint(fields=("plan", "meter", "per"), name="plan_limits_once")],
            },
        ),
        migrations.AddIndex(
            model_name="usagereservation",
            index=models.Index(fields=["account", "state", "expires_at"], name="usage_reservations_held"),
        ),
        migrations.AddIndex(
            model_name="usagereservation",
            index=models.Index(fields=["state", "expires_at"], name="usage_reservations_expired"),
        ),
        migrations.AddConstraint(
            model_name="usagereservation",
            constraint=models.UniqueConstraint(fields=("account", "reservation_key"), name="usage_reservations_once"),
        ),
        ExactText("meters", "plans", "plan_limits", "limit_overrides", "usage_reservations", "usage_holds"),
        AccountInPrimaryKey("usage_reservations"),
    ]
