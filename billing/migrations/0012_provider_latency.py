"""A latency histogram in provider_minutes, for the percentiles of provider health; minutes from before have none."""

from django.db import migrations, models

COLUMNS = (
    *(f"ms_{bound}" for bound in (100, 250, 500, 1000, 2500, 5000, 10000, 30000, 60000, 120000, 300000)),
    "ms_more",
)
FIRST = "Calls that took up to 100 ms; each next column, above the one before it."


class Migration(migrations.Migration):
    dependencies = [("billing", "0011_invitations")]

    # With a default in the database: a process of the release before goes on inserting rows without these columns.
    operations = [
        migrations.AddField(
            model_name="providerminute",
            name=name,
            field=models.BigIntegerField(db_default=0, help_text=FIRST if name == "ms_100" else ""),
        )
        for name in COLUMNS
    ]
