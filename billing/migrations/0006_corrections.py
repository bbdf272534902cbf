"""What corrections belong to, the periods that they no longer move, and the indexes by which they are found."""

import django.db.models.deletion
from django.db import migrations, models

import lib.ids
from lib.schema import ExactText


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0005_build_rollups_from_log"),
    ]

    operations = [
        migrations.CreateModel(
            name="ClosedPeriod",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "account_id", "period", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("period", models.DateField()),
                ("closed_at", models.DateTimeField()),
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
                "db_table": "closed_periods",
            },
        ),
        migrations.CreateModel(
            name="CorrectionBatch",
            fields=[
                ("id", models.UUIDField(default=lib.ids.new_id, editable=False, primary_key=True, serialize=False)),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("void", "Void"),
                            ("reprice", "Reprice"),
                            ("redetect", "Redetect"),
                            ("credit", "Credit"),
                            ("revert", "Revert"),
                        ],
                        max_length=10,
                    ),
                ),
                ("reason", models.CharField(max_length=500)),
                ("actor", models.CharField(max_length=150)),
                ("choice", models.JSONField(default=dict)),
                ("created_at", models.DateTimeField()),
                ("finished_at", models.DateTimeField(null=True)),
                ("reverted_at", models.DateTimeField(null=True)),
                ("logs", models.BigIntegerField(default=0, help_text="Logs that were corrected.")),
                ("skipped", models.BigIntegerField(default=0, help_text="Logs that could not be corrected.")),
                ("delta_nano", models.BigIntegerField(default=0, help_text="By how much the total moved.")),
            ],
            options={
                "verbose_name": "correction batch",
                "verbose_name_plural": "correction batches",
                "db_table": "correction_batches",
                "ordering": ["-created_at", "-id"],
            },
        ),
        migrations.RemoveIndex(
            model_name="usageadjustment",
            name="usage_adjustments_by_batch",
        ),
        migrations.AddField(
            model_name="usageadjustment",
            name="late_at",
            field=models.DateTimeField(help_text="created_at, where the log's period was closed by then.", null=True),
        ),
        migrations.AlterField(
            model_name="usageadjustment",
            name="kind",
            field=models.CharField(
                choices=[
                    ("void", "Void"),
                    ("reprice", "Reprice"),
                    ("redetect", "Redetect"),
                    ("credit", "Credit"),
                    ("revert", "Revert"),
                ],
                max_length=10,
            ),
        ),
        migrations.AddIndex(
            model_name="usageadjustment",
            index=models.Index(fields=["batch", "account", "id"], name="usage_adjustments_of_batch"),
        ),
        migrations.AddIndex(
            model_name="usageadjustment",
            index=models.Index(fields=["account", "period", "late_at"], name="usage_adjustments_late_in"),
        ),
        migrations.AddIndex(
            model_name="usageadjustment",
            index=models.Index(fields=["late_at"], name="usage_adjustments_late"),
        ),
        migrations.AddIndex(
            model_name="correctionbatch",
            index=models.Index(fields=["-created_at", "-id"], name="correction_batches_by_time"),
        ),
        ExactText("closed_periods", "correction_batches"),
    ]
