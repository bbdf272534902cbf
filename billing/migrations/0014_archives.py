"""Usage logs in files: where each is, the keys of their events, and what they added up to."""

import django.db.models.deletion
from django.db import migrations, models

import lib.ids
from lib.schema import AccountInPrimaryKey, ExactText


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0013_erased_addresses"),
    ]

    operations = [
        migrations.AddField(
            model_name="account",
            name="has_archive",
            field=models.BooleanField(
                default=False,
                db_default=False,
                editable=False,
                help_text="Usage logs of it are in files, or on their way: repeats are looked for among archived events, too.",
            ),
        ),
        migrations.CreateModel(
            name="ArchivedEvent",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "account_id", "event_key", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("event_key", models.UUIDField()),
                ("log", models.UUIDField(help_text="The id that it had.")),
                ("digest", models.UUIDField()),
                ("provider", models.CharField(max_length=50)),
                ("actual_provider_name", models.CharField(max_length=50)),
                ("confidence", models.CharField(max_length=10)),
                ("cost_total", models.BigIntegerField()),
                ("cost_source", models.CharField(max_length=12)),
                ("period", models.DateField(help_text="Of the archive that it is in.")),
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
                "db_table": "archived_events",
            },
        ),
        migrations.CreateModel(
            name="ArchivedUsage",
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
                        "period",
                        "utc_day",
                        "declared",
                        "actual",
                        "category",
                        "model",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("day", models.DateField()),
                ("period", models.DateField()),
                ("utc_day", models.DateField()),
                ("declared", models.CharField(max_length=50)),
                ("actual", models.CharField(max_length=50)),
                ("category", models.CharField(max_length=20)),
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
                "db_table": "archived_usage",
            },
        ),
        migrations.CreateModel(
            name="Archive",
            fields=[
                ("id", models.UUIDField(default=lib.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ("period", models.DateField()),
                ("begun_at", models.DateTimeField()),
                (
                    "verified_at",
                    models.DateTimeField(help_text="When the whole file was read back, and found right.", null=True),
                ),
                ("finished_at", models.DateTimeField(help_text="When the last log was deleted.", null=True)),
                ("logs", models.BigIntegerField(default=0, help_text="In the file.")),
                ("size", models.BigIntegerField(default=0, help_text="Bytes of the file.")),
                ("sha256", models.CharField(blank=True, max_length=64, verbose_name="SHA-256")),
                ("offset", models.BigIntegerField(default=0)),
                ("deleted", models.BigIntegerField(default=0, help_text="Logs that are in the file alone.")),
                (
                    "trouble",
                    models.CharField(
                        blank=True, help_text="Why it does not go on; a later run tries again.", max_length=300
                    ),
                ),
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
                "db_table": "archives",
                "ordering": ["-begun_at", "-id"],
                "indexes": [models.Index(fields=["finished_at"], name="archives_unfinished")],
                "constraints": [models.UniqueConstraint(fields=("account", "period"), name="archives_once")],
            },
        ),
        AccountInPrimaryKey("archives"),
        ExactText("archives", "archived_events", "archived_usage"),
    ]
