"""Prices say which conditions do not change them, and rates hold more of them."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("providers", "0007_hosts_of_priced_providers")]

    operations = [
        migrations.AddField(
            model_name="price",
            name="holds_for",
            field=models.JSONField(
                blank=True,
                default=list,
                db_default=[],
                help_text="Conditions that do not change this price. A call that states an unusual value, such as service"
                " tier batch, is unpriced unless a rate names that value or its condition is chosen here.",
            ),
        ),
        migrations.AlterField(
            model_name="pricerate",
            name="variant",
            field=models.CharField(
                blank=True,
                help_text="For example resolution=720p, service_tier=batch, region=eu-west-1 or hours=16:30-00:30 (UTC);"
                " empty: any.",
                max_length=200,
            ),
        ),
    ]
