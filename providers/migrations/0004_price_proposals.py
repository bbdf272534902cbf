import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

from lib.schema import ExactText


class Migration(migrations.Migration):
    dependencies = [
        ("providers", "0003_shipped_prices"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="PriceProposal",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "source",
                    models.CharField(choices=[("genai", "genai-prices"), ("litellm", "LiteLLM")], max_length=20),
                ),
                ("edition", models.CharField(help_text="What the price will name as its source.", max_length=200)),
                (
                    "kind",
                    models.CharField(choices=[("new", "new"), ("changed", "changed"), ("gone", "gone")], max_length=20),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("open", "open"),
                            ("accepted", "accepted"),
                            ("rejected", "rejected"),
                            ("superseded", "superseded"),
                        ],
                        default="open",
                        max_length=20,
                    ),
                ),
                (
                    "provider",
                    models.CharField(
                        help_text="A slug; accepting makes the provider where it is missing.", max_length=50
                    ),
                ),
                ("provider_name", models.CharField(max_length=100)),
                ("pattern", models.CharField(max_length=200, verbose_name="model")),
                ("aliases", models.JSONField(default=list)),
                ("category", models.CharField(blank=True, max_length=20)),
                (
                    "stated_from",
                    models.DateField(help_text="The source's own date; empty: it states none.", null=True),
                ),
                ("valid_from", models.DateField()),
                (
                    "rates",
                    models.JSONField(
                        default=list, help_text="Of each: unit, variant, above, nano-USD per million units."
                    ),
                ),
                ("over_20", models.BooleanField(default=False, verbose_name="over 20 %")),
                ("sources_disagree", models.BooleanField(default=False)),
                ("new_provider", models.BooleanField(default=False)),
                (
                    "open_key",
                    models.UUIDField(
                        editable=False,
                        help_text="One open proposal for a statement; empty once it is closed.",
                        null=True,
                        unique=True,
                    ),
                ),
                ("created_at", models.DateTimeField()),
                ("decided_at", models.DateTimeField(null=True)),
                (
                    "base",
                    models.ForeignKey(
                        help_text="The price that it was compared with.",
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="providers.price",
                    ),
                ),
                (
                    "decided_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "price",
                    models.ForeignKey(
                        help_text="The price that accepting it made.",
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="providers.price",
                    ),
                ),
            ],
            options={
                "db_table": "price_proposals",
                "ordering": ["provider", "pattern", "valid_from", "id"],
                "indexes": [models.Index(fields=["state", "provider", "pattern"], name="price_proposals_by_state")],
            },
        ),
        ExactText("price_proposals"),
    ]
