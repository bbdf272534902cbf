import django.core.validators
import django.db.models.deletion
from django.db import migrations, models

from lib.schema import ExactText


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="BookVersion",
            fields=[
                ("book", models.CharField(max_length=20, primary_key=True, serialize=False)),
                ("version", models.PositiveBigIntegerField(default=1)),
            ],
            options={
                "db_table": "book_versions",
            },
        ),
        migrations.CreateModel(
            name="Provider",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "slug",
                    models.CharField(
                        max_length=50,
                        unique=True,
                        validators=[
                            django.core.validators.RegexValidator(
                                "^[a-z0-9][a-z0-9_-]*$", "Lower-case letters, digits, - and _ only."
                            )
                        ],
                    ),
                ),
                ("name", models.CharField(help_text="Shown on pages, e.g. WaveSpeed.", max_length=100)),
                (
                    "aliases",
                    models.JSONField(
                        blank=True, default=list, help_text="Other names under which callers know it, lower case."
                    ),
                ),
                (
                    "is_gateway",
                    models.BooleanField(default=False, help_text="Serves and bills other companies' models."),
                ),
                ("shipped", models.BooleanField(default=False, editable=False)),
            ],
            options={
                "db_table": "providers",
                "ordering": ["slug"],
            },
        ),
        migrations.CreateModel(
            name="Price",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("pattern", models.CharField(help_text="Model id or glob, lower case.", max_length=200)),
                (
                    "aliases",
                    models.JSONField(blank=True, default=list, help_text="Other ids of the same model, lower case."),
                ),
                ("category", models.CharField(blank=True, max_length=20)),
                ("valid_from", models.DateField(help_text="First UTC day on which it is asked.")),
                (
                    "revision",
                    models.PositiveIntegerField(
                        default=1, help_text="A correction of the same day's price; the highest counts."
                    ),
                ),
                ("source", models.CharField(help_text="Where the figure was read.", max_length=200)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("shipped", models.BooleanField(default=False, editable=False)),
                ("provider", models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to="providers.provider")),
            ],
            options={
                "db_table": "prices",
                "ordering": ["provider__slug", "pattern", "-valid_from", "-revision"],
            },
        ),
        migrations.CreateModel(
            name="DetectionRule",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "slug",
                    models.CharField(
                        help_text="Stable name; logs keep it as the rule that named them.", max_length=100, unique=True
                    ),
                ),
                (
                    "evidence",
                    models.CharField(
                        choices=[
                            ("host", "endpoint host"),
                            ("path", "endpoint path segment"),
                            ("namespace", "model namespace"),
                            ("family", "model family"),
                            ("declared", "declared label"),
                        ],
                        max_length=20,
                    ),
                ),
                (
                    "pattern",
                    models.CharField(
                        help_text="A host, path segment, namespace, model glob or label; * stands for any text.",
                        max_length=200,
                    ),
                ),
                (
                    "declared",
                    models.JSONField(blank=True, default=list, help_text="Declared labels that it is for; empty: all."),
                ),
                (
                    "ignore_host",
                    models.BooleanField(
                        default=False, help_text="This host is our own proxy: look at the other evidence instead."
                    ),
                ),
                (
                    "category",
                    models.CharField(
                        blank=True, help_text="Category of such a call, where the label does not tell.", max_length=20
                    ),
                ),
                (
                    "order",
                    models.IntegerField(
                        default=1000, help_text="Lower is tried first among rules of the same evidence."
                    ),
                ),
                ("active", models.BooleanField(default=True)),
                ("shipped", models.BooleanField(default=False, editable=False)),
                ("note", models.CharField(blank=True, max_length=200)),
                (
                    "provider",
                    models.ForeignKey(
                        blank=True,
                        help_text="Empty: names nobody, only a category, or something to ignore.",
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        to="providers.provider",
                    ),
                ),
            ],
            options={
                "db_table": "detection_rules",
                "ordering": ["shipped", "evidence", "order", "id"],
            },
        ),
        migrations.CreateModel(
            name="PriceRate",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "unit",
                    models.CharField(
                        help_text="A usage field of an event: input_tokens, images, seconds, ...", max_length=30
                    ),
                ),
                ("variant", models.CharField(blank=True, help_text="e.g. resolution=720p; empty: any.", max_length=60)),
                (
                    "above",
                    models.PositiveBigIntegerField(
                        default=0, help_text="Counts when the call's total input is strictly above this many tokens."
                    ),
                ),
                (
                    "nano_per_million",
                    models.PositiveBigIntegerField(
                        help_text="Nano-USD for a million units: $2.50 per million tokens is 2500000000."
                    ),
                ),
                (
                    "price",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="rates", to="providers.price"
                    ),
                ),
            ],
            options={
                "db_table": "price_rates",
                "constraints": [
                    models.UniqueConstraint(fields=("price", "unit", "variant", "above"), name="price_rates_one_a_unit")
                ],
            },
        ),
        migrations.AddConstraint(
            model_name="price",
            constraint=models.UniqueConstraint(
                fields=("provider", "pattern", "valid_from", "revision"), name="prices_one_a_day_and_revision"
            ),
        ),
        ExactText("providers", "detection_rules", "prices", "price_rates", "book_versions"),
    ]
