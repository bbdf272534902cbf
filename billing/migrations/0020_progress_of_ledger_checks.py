"""Where an unfinished run of `verify_ledger` stopped, so that it can be continued."""

from django.db import migrations, models

import lib.ids


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0019_closed_before_and_charged_until"),
    ]

    operations = [
        migrations.CreateModel(
            name="LedgerCheckProgress",
            fields=[
                ("id", models.UUIDField(default=lib.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ("started_at", models.DateTimeField()),
                ("saved_at", models.DateTimeField()),
                ("scan", models.CharField(help_text="The pass over a table that it was in.", max_length=40)),
                (
                    "cursor",
                    models.CharField(
                        blank=True, help_text="The last page of it that is done; empty: none.", max_length=64
                    ),
                ),
                ("results", models.JSONField(default=dict)),
            ],
            options={
                "db_table": "ledger_check_progress",
            },
        ),
    ]
