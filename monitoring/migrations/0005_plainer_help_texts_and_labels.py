"""Help texts and labels in plain English; no table changes."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("monitoring", "0004_hours_from_minutes"),
    ]

    operations = [
        migrations.AlterField(
            model_name="apirequest",
            name="account_id",
            field=models.BigIntegerField(help_text="The caller's account, if the caller is bound to one.", null=True),
        ),
        migrations.AlterField(
            model_name="apirequest",
            name="at",
            field=models.DateTimeField(help_text="When the request was answered."),
        ),
        migrations.AlterField(
            model_name="apirequest",
            name="client_address",
            field=models.CharField(blank=True, help_text="Empty if no trusted source gave it.", max_length=39),
        ),
        migrations.AlterField(
            model_name="apirequest",
            name="duration_us",
            field=models.PositiveBigIntegerField(help_text="Microseconds until the response was ready to be sent."),
        ),
        migrations.AlterField(
            model_name="apirequest",
            name="key_id",
            field=models.BigIntegerField(
                help_text="The API key; empty for a session or an anonymous request.", null=True
            ),
        ),
        migrations.AlterField(
            model_name="apirequest",
            name="poll",
            field=models.BooleanField(
                default=False, help_text="Automatic request of a live card; not counted in health."
            ),
        ),
        migrations.AlterField(
            model_name="apirequest",
            name="request_bytes",
            field=models.PositiveBigIntegerField(
                help_text="Size of the body; empty if sent without a length.", null=True
            ),
        ),
        migrations.AlterField(
            model_name="apirequest",
            name="response_bytes",
            field=models.PositiveBigIntegerField(help_text="Size of the body; empty if streamed.", null=True),
        ),
        migrations.AlterField(
            model_name="jobrun",
            name="failures",
            field=models.PositiveBigIntegerField(default=0, help_text="Runs that did not end as “done”."),
        ),
        migrations.AlterField(
            model_name="jobrun",
            name="holder",
            field=models.UUIDField(help_text="Id of the run that holds the lease.", null=True),
        ),
        migrations.AlterField(
            model_name="jobrun",
            name="leased_until",
            field=models.DateTimeField(help_text="No other process starts the job before this time.", null=True),
        ),
        migrations.AlterField(
            model_name="jobrun",
            name="outcome",
            field=models.CharField(
                blank=True,
                choices=[("done", "done"), ("trouble", "problems found"), ("failed", "failed")],
                max_length=10,
            ),
        ),
        migrations.AlterField(
            model_name="requesthour",
            name="dropped",
            field=models.PositiveBigIntegerField(
                db_default=0,
                help_text="Requests that a process could not log, stored in the minute in which it could report them.",
            ),
        ),
        migrations.AlterField(
            model_name="requesthour",
            name="duration_us",
            field=models.PositiveBigIntegerField(help_text="Sum of the durations in microseconds."),
        ),
        migrations.AlterField(
            model_name="requesthour",
            name="errors",
            field=models.PositiveBigIntegerField(
                help_text="Requests with a status of HEALTH_ERROR_FROM or above, by its value at the time."
            ),
        ),
        migrations.AlterField(
            model_name="requesthour",
            name="ms_1",
            field=models.PositiveBigIntegerField(
                help_text="Requests that took up to 1 ms. Each later column counts from the previous bound up to its own."
            ),
        ),
        migrations.AlterField(
            model_name="requestminute",
            name="dropped",
            field=models.PositiveBigIntegerField(
                db_default=0,
                help_text="Requests that a process could not log, stored in the minute in which it could report them.",
            ),
        ),
        migrations.AlterField(
            model_name="requestminute",
            name="duration_us",
            field=models.PositiveBigIntegerField(help_text="Sum of the durations in microseconds."),
        ),
        migrations.AlterField(
            model_name="requestminute",
            name="errors",
            field=models.PositiveBigIntegerField(
                help_text="Requests with a status of HEALTH_ERROR_FROM or above, by its value at the time."
            ),
        ),
        migrations.AlterField(
            model_name="requestminute",
            name="ms_1",
            field=models.PositiveBigIntegerField(
                help_text="Requests that took up to 1 ms. Each later column counts from the previous bound up to its own."
            ),
        ),
    ]
