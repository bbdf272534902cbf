"""Help texts and labels in plain English; no table changes."""

import django.core.validators
import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("providers", "0005_rename_bookversion_to_catalogversion"),
    ]

    operations = [
        migrations.AlterField(
            model_name="detectionrule",
            name="category",
            field=models.CharField(
                blank=True, help_text="Category of the call if the label does not give one.", max_length=20
            ),
        ),
        migrations.AlterField(
            model_name="detectionrule",
            name="declared",
            field=models.JSONField(
                blank=True, default=list, help_text="Declared labels that the rule applies to; empty: all."
            ),
        ),
        migrations.AlterField(
            model_name="detectionrule",
            name="ignore_host",
            field=models.BooleanField(
                default=False, help_text="This host is our own proxy: use the other evidence instead."
            ),
        ),
        migrations.AlterField(
            model_name="detectionrule",
            name="order",
            field=models.IntegerField(
                default=1000, help_text="Rules with a lower number are tried first, within the same kind of evidence."
            ),
        ),
        migrations.AlterField(
            model_name="detectionrule",
            name="pattern",
            field=models.CharField(
                help_text="A host, path segment, namespace, model glob or label; * matches any text.", max_length=200
            ),
        ),
        migrations.AlterField(
            model_name="detectionrule",
            name="provider",
            field=models.ForeignKey(
                blank=True,
                help_text="Empty: the rule only sets a category or marks evidence to ignore.",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                to="providers.provider",
            ),
        ),
        migrations.AlterField(
            model_name="detectionrule",
            name="slug",
            field=models.CharField(
                help_text="Stable name. Logs store it as the rule that identified their provider.",
                max_length=100,
                unique=True,
            ),
        ),
        migrations.AlterField(
            model_name="price",
            name="revision",
            field=models.PositiveIntegerField(
                default=1, help_text="Corrections of the same day's price; the highest revision applies."
            ),
        ),
        migrations.AlterField(
            model_name="price",
            name="source",
            field=models.CharField(help_text="Where the price was found.", max_length=200),
        ),
        migrations.AlterField(
            model_name="price",
            name="valid_from",
            field=models.DateField(help_text="First day of this price (UTC)."),
        ),
        migrations.AlterField(
            model_name="priceproposal",
            name="base",
            field=models.ForeignKey(
                help_text="The price it was compared with.",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="providers.price",
            ),
        ),
        migrations.AlterField(
            model_name="priceproposal",
            name="edition",
            field=models.CharField(help_text="Becomes the source of the price.", max_length=200),
        ),
        migrations.AlterField(
            model_name="priceproposal",
            name="open_key",
            field=models.UUIDField(
                editable=False,
                help_text="Allows one open proposal per model and date of a source; empty once it is closed.",
                null=True,
                unique=True,
            ),
        ),
        migrations.AlterField(
            model_name="priceproposal",
            name="price",
            field=models.ForeignKey(
                help_text="The price created by accepting it.",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="providers.price",
            ),
        ),
        migrations.AlterField(
            model_name="priceproposal",
            name="provider",
            field=models.CharField(
                help_text="A slug. Accepting the proposal creates the provider if it does not exist.", max_length=50
            ),
        ),
        migrations.AlterField(
            model_name="priceproposal",
            name="rates",
            field=models.JSONField(
                default=list, help_text="A list of [unit, variant, above, nano-USD per million units]."
            ),
        ),
        migrations.AlterField(
            model_name="priceproposal",
            name="stated_from",
            field=models.DateField(help_text="The source's own date; empty if it gives none.", null=True),
        ),
        migrations.AlterField(
            model_name="pricerate",
            name="above",
            field=models.PositiveBigIntegerField(
                default=0, help_text="Applies if the call's total input is strictly above this many tokens."
            ),
        ),
        migrations.AlterField(
            model_name="pricerate",
            name="nano_per_million",
            field=models.PositiveBigIntegerField(
                help_text="Nano-USD per million units: $2.50 per million tokens is 2500000000."
            ),
        ),
        migrations.AlterField(
            model_name="pricerate",
            name="variant",
            field=models.CharField(blank=True, help_text="For example resolution=720p; empty: any.", max_length=60),
        ),
        migrations.AlterField(
            model_name="provider",
            name="aliases",
            field=models.JSONField(blank=True, default=list, help_text="Other names that callers use, in lower case."),
        ),
        migrations.AlterField(
            model_name="provider",
            name="name",
            field=models.CharField(help_text="Display name, e.g. WaveSpeed.", max_length=100),
        ),
        migrations.AlterField(
            model_name="provider",
            name="slug",
            field=models.CharField(
                max_length=50,
                unique=True,
                validators=[
                    django.core.validators.RegexValidator(
                        "^[a-z0-9][a-z0-9_-]*$", "Use lower-case letters, digits, hyphens and underscores only."
                    )
                ],
            ),
        ),
    ]
