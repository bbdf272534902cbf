"""Hours of requests beside the minutes, and how many requests could not be logged."""

from django.db import migrations, models

from lib.schema import ExactText

COUNTS = (
    *("requests", "errors", "duration_us", "ms_1", "ms_2", "ms_5", "ms_10", "ms_25", "ms_50", "ms_100", "ms_250"),
    *("ms_500", "ms_1000", "ms_2500", "ms_5000", "ms_10000", "ms_more"),
)
HELP = {
    "errors": "Status of HEALTH_ERROR_FROM or above, as set when they were answered.",
    "duration_us": "Sum of the microseconds.",
    "ms_1": "Requests that took up to 1 ms; each next column, above the one before it.",
}
DROPPED = models.PositiveBigIntegerField(
    db_default=0, help_text="Requests that a process had no room to log, told when it could."
)


class Migration(migrations.Migration):
    dependencies = [("monitoring", "0002_job_runs")]

    operations = [
        migrations.CreateModel(
            name="RequestHour",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "hour", "route", "status_class", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("hour", models.DateTimeField()),
                ("route", models.CharField(max_length=200)),
                ("status_class", models.PositiveSmallIntegerField()),
                *((name, models.PositiveBigIntegerField(help_text=HELP.get(name, ""))) for name in COUNTS),
                ("dropped", DROPPED.clone()),
            ],
            options={"db_table": "request_hours"},
        ),
        migrations.AddField(model_name="requestminute", name="dropped", field=DROPPED.clone()),
        ExactText("request_hours"),
    ]
