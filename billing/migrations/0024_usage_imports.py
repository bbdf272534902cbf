"""Files of usage events that operators import, and the ranges of logs that each of them created."""

import django.db.models.deletion
from django.db import migrations, models

import lib.ids


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0023_unread_fields"),
    ]

    operations = [
        migrations.CreateModel(
            name="UsageImport",
            fields=[
                ("id", models.UUIDField(default=lib.ids.new_id, editable=False, primary_key=True, serialize=False)),
                (
                    "name",
                    models.CharField(help_text="Name of the uploaded file; never used as a path.", max_length=200),
                ),
                ("stored_name", models.CharField(help_text="Name of the file within IMPORT_DIR.", max_length=60)),
                (
                    "size",
                    models.BigIntegerField(default=0, help_text="File size in bytes; 0 until the upload is complete."),
                ),
                ("options", models.JSONField(default=dict, help_text="The format and the mapping.")),
                ("actor", models.CharField(max_length=150)),
                ("created_at", models.DateTimeField()),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("uploaded", "Uploaded"),
                            ("checking", "Checking"),
                            ("checked", "Checked"),
                            ("importing", "Importing"),
                            ("stopped", "Stopped"),
                            ("finished", "Finished"),
                            ("discarded", "Discarded"),
                        ],
                        default="uploaded",
                        max_length=10,
                    ),
                ),
                (
                    "attempt",
                    models.PositiveIntegerField(default=0, help_text="Counts the starts; a run ends when it changes."),
                ),
                ("position", models.BigIntegerField(default=0)),
                ("checked", models.JSONField(null=True)),
                ("imported", models.JSONField(null=True)),
                (
                    "trouble",
                    models.CharField(
                        blank=True, help_text="Why the last run stopped.", max_length=300, verbose_name="error"
                    ),
                ),
                ("finished_at", models.DateTimeField(null=True)),
                (
                    "void_batch",
                    models.ForeignKey(
                        db_constraint=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        to="billing.correctionbatch",
                    ),
                ),
            ],
            options={
                "verbose_name": "import",
                "db_table": "usage_imports",
                "ordering": ["-created_at", "-id"],
                "permissions": [("import_usage", "Can import usage from files")],
                "default_permissions": (),
            },
        ),
        migrations.CreateModel(
            name="ImportedRange",
            fields=[
                ("id", models.UUIDField(default=lib.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ("position", models.BigIntegerField(help_text="Rows of the file before this transaction.")),
                ("first", models.UUIDField()),
                ("last", models.UUIDField()),
                ("logs", models.PositiveIntegerField()),
                (
                    "usage_import",
                    models.ForeignKey(
                        db_index=False, on_delete=django.db.models.deletion.PROTECT, to="billing.usageimport"
                    ),
                ),
            ],
            options={
                "db_table": "imported_ranges",
            },
        ),
        migrations.AddIndex(
            model_name="usageimport",
            index=models.Index(fields=["-created_at", "-id"], name="usage_imports_by_time"),
        ),
        migrations.AddConstraint(
            model_name="importedrange",
            constraint=models.UniqueConstraint(fields=("usage_import", "position"), name="imported_ranges_once"),
        ),
    ]
