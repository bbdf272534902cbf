"""Proposals name what they lack, what they would drop and the hosts of their provider; rules may be proposed."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("providers", "0013_unedited_shipped_rows"),
    ]

    operations = [
        migrations.AddField(
            model_name="detectionrule",
            name="proposed",
            field=models.BooleanField(
                db_default=False,
                default=False,
                editable=False,
                help_text="A price source names this host, and no operator has accepted or rejected the rule yet.",
            ),
        ),
        migrations.AddField(
            model_name="priceproposal",
            name="drops_rates",
            field=models.BooleanField(
                db_default=False,
                default=False,
                help_text="The price it was compared with has rates that this one lacks.",
            ),
        ),
        migrations.AddField(
            model_name="priceproposal",
            name="hosts",
            field=models.JSONField(
                db_default=[],
                default=list,
                help_text="Hosts of the provider that the source names, as patterns of rules.",
            ),
        ),
        migrations.AddField(
            model_name="priceproposal",
            name="without",
            field=models.JSONField(
                db_default=[],
                default=list,
                help_text="What the source states and these rates lack: its keys, or sentences.",
            ),
        ),
    ]
