"""How much of a call's usage is known, why it is unpriced, how many calls an aggregated row has, and how it was read.

Existing logs are complete and count one call each; the job `find_unpriced_reasons` finds why they are
unpriced.
With defaults in the database: processes of the previous release insert rows without these columns.
"""

from django.db import migrations, models

ROLLUPS = ("archivedusage", "platformday", "usageday", "usagemodel")


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0021_open_corrections_and_installation"),
    ]

    operations = [
        migrations.AddField(
            model_name="usagelog",
            name="usage_state",
            field=models.CharField(
                choices=[("complete", "Complete"), ("incomplete", "Incomplete"), ("unknown", "Unknown")],
                db_default="complete",
                default="complete",
                max_length=10,
            ),
        ),
        migrations.AddField(
            model_name="usagelog",
            name="unpriced_reason",
            field=models.CharField(
                choices=[
                    ("price_unknown", "price unknown"),
                    ("condition_unknown", "condition unknown to the price"),
                    ("usage_unknown", "usage unknown"),
                ],
                max_length=20,
                null=True,
            ),
        ),
        migrations.AddField(
            model_name="usagelog",
            name="calls",
            field=models.BigIntegerField(
                db_default=1, default=1, help_text="Above 1: an aggregated row of that many calls."
            ),
        ),
        migrations.AddField(
            model_name="usagelog",
            name="reading",
            field=models.JSONField(help_text="How the usage was read from a vendor's response.", null=True),
        ),
        migrations.AddField(
            model_name="usagelog",
            name="resolved",
            field=models.JSONField(
                help_text="Usage or cost that was stated later, and the tokens that count since: in, out, total.",
                null=True,
            ),
        ),
        *(
            migrations.AlterField(
                model_name=model,
                name="kind",
                field=models.CharField(
                    choices=[
                        ("void", "Void"),
                        ("reprice", "Re-price"),
                        ("redetect", "Redetect"),
                        ("credit", "Credit"),
                        ("resolve", "Resolve"),
                        ("revert", "Revert"),
                    ],
                    max_length=10,
                ),
            )
            for model in ("usageadjustment", "correctionbatch")
        ),
        migrations.AlterField(
            model_name="usagelog",
            name="cost_source",
            field=models.CharField(
                choices=[
                    ("price_book", "price book"),
                    ("caller", "sent by the caller"),
                    ("free", "free"),
                    ("unpriced", "unpriced"),
                    ("estimate", "estimate"),
                    ("vendor", "stated by the vendor"),
                ],
                max_length=12,
            ),
        ),
        migrations.AddField(
            model_name="archivedevent",
            name="usage_state",
            field=models.CharField(db_default="complete", default="complete", max_length=10),
        ),
        migrations.AddField(
            model_name="archivedevent",
            name="unpriced_reason",
            field=models.CharField(max_length=20, null=True),
        ),
        *(
            migrations.AddField(
                model_name=rollup,
                name="estimated_calls",
                field=models.BigIntegerField(db_default=0, default=0),
            )
            for rollup in ROLLUPS
        ),
    ]
