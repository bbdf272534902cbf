"""What was in force when: dates and states from which periods, fees and statements can be computed again later.

Existing overrides get no `since`: they count from the start of the open period.
"""

import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models

import lib.ids
from lib.schema import AccountInPrimaryKey, ExactText


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0017_plainer_help_texts_of_plans_and_usage"),
    ]

    operations = [
        migrations.AddField(
            model_name="account",
            name="closed_before",
            field=models.DateField(
                editable=False, help_text="Local days before this one are closed; null: no period is.", null=True
            ),
        ),
        migrations.AddField(
            model_name="archive",
            name="folder",
            field=models.CharField(
                blank=True,
                db_default="",
                default="",
                help_text="Folder of its file within ARCHIVE_DIR.",
                max_length=100,
            ),
        ),
        migrations.AddField(
            model_name="limitoverride",
            name="since",
            field=models.DateTimeField(editable=False, null=True),
        ),
        migrations.AlterField(
            model_name="limitoverride",
            name="since",
            field=models.DateTimeField(default=django.utils.timezone.now, editable=False, null=True),
        ),
        migrations.AddField(
            model_name="statement",
            name="rules",
            field=models.PositiveSmallIntegerField(
                db_default=1, default=1, help_text="Version of the rules that it was made by; see billing/statements."
            ),
        ),
        migrations.AddField(
            model_name="statement",
            name="segments",
            field=models.JSONField(
                help_text="From rules 2 on: the parts of the period with one allowance each, oldest first.", null=True
            ),
        ),
        migrations.AddField(
            model_name="subscription",
            name="charged_until",
            field=models.DateField(help_text="First day that no fee was charged for yet.", null=True),
        ),
        migrations.AddField(
            model_name="usageadjustment",
            name="counts_at",
            field=models.DateTimeField(
                help_text="Instant at which the corrected call counts in its period.", null=True
            ),
        ),
        migrations.AddField(
            model_name="usagelog",
            name="checksum",
            field=models.BigIntegerField(
                help_text="Of the columns that never change; null: stored without.", null=True
            ),
        ),
        migrations.AddField(
            model_name="usagelog",
            name="counts_at",
            field=models.DateTimeField(
                help_text="Instant that decides day and period, if neither the call's nor, where late, the receipt's.",
                null=True,
            ),
        ),
        migrations.AlterField(
            model_name="subscriptionevent",
            name="kind",
            field=models.CharField(
                choices=[
                    ("subscribed", "Subscribed"),
                    ("upgraded", "Upgraded"),
                    ("planned", "Change scheduled"),
                    ("changed", "Changed"),
                    ("renewed", "Renewed"),
                    ("cancel_planned", "Cancellation scheduled"),
                    ("rescheduled", "Rescheduled"),
                    ("resumed", "Resumed"),
                    ("cancelled", "Cancelled"),
                    ("past_due", "Past due"),
                    ("suspended", "Suspended"),
                    ("paid", "Paid"),
                ],
                max_length=20,
            ),
        ),
        migrations.CreateModel(
            name="EndedOverride",
            fields=[
                (
                    "per",
                    models.CharField(
                        choices=[("period", "usage period"), ("day", "day")], default="period", max_length=10
                    ),
                ),
                ("amount", models.PositiveBigIntegerField(blank=True, null=True)),
                (
                    "hard",
                    models.BooleanField(
                        default=True, help_text="A hard limit refuses calls; a soft limit only raises alerts."
                    ),
                ),
                ("id", models.UUIDField(default=lib.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ("since", models.DateTimeField(null=True)),
                ("until", models.DateTimeField()),
                ("expires_on", models.DateField(null=True)),
                ("reason", models.CharField(max_length=500)),
                (
                    "account",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="billing.account",
                    ),
                ),
                ("meter", models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to="billing.meter")),
            ],
            options={
                "db_table": "ended_overrides",
                "indexes": [models.Index(fields=["account", "until"], name="ended_overrides_by_time")],
            },
        ),
        AccountInPrimaryKey("ended_overrides"),
        ExactText("ended_overrides"),
    ]
