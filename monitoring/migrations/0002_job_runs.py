from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("monitoring", "0001_request_log"),
    ]

    operations = [
        migrations.CreateModel(
            name="JobRun",
            fields=[
                ("name", models.CharField(max_length=50, primary_key=True, serialize=False)),
                ("due_at", models.DateTimeField()),
                ("holder", models.UUIDField(help_text="The run that holds the lease.", null=True)),
                ("leased_until", models.DateTimeField(help_text="Until then no other process starts it.", null=True)),
                ("started_at", models.DateTimeField(null=True)),
                ("finished_at", models.DateTimeField(null=True)),
                (
                    "outcome",
                    models.CharField(
                        blank=True,
                        choices=[("done", "done"), ("trouble", "found trouble"), ("failed", "failed")],
                        max_length=10,
                    ),
                ),
                ("summary", models.CharField(blank=True, max_length=500)),
                ("runs", models.PositiveBigIntegerField(default=0)),
                ("failures", models.PositiveBigIntegerField(default=0, help_text="Runs that did not end as done.")),
            ],
            options={
                "verbose_name": "job",
                "db_table": "job_runs",
                "ordering": ["name"],
            },
        ),
    ]
