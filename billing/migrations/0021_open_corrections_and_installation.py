"""What a correction batch skipped and why, the accounts that it failed for, and the installation's id in archive paths."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0020_progress_of_ledger_checks"),
    ]

    operations = [
        migrations.CreateModel(
            name="Installation",
            fields=[
                (
                    "id",
                    models.PositiveSmallIntegerField(default=1, editable=False, primary_key=True, serialize=False),
                ),
                ("key", models.UUIDField(editable=False)),
            ],
            options={
                "db_table": "installation",
            },
        ),
        migrations.AddField(
            model_name="correctionbatch",
            name="failed_accounts",
            field=models.JSONField(help_text="Accounts whose logs are still open because of an error.", null=True),
        ),
        migrations.AddField(
            model_name="correctionbatch",
            name="skips",
            field=models.JSONField(help_text="Skipped logs by reason.", null=True),
        ),
    ]
