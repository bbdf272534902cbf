"""Fields of vendors' responses that no reader knows, what operators decide about them, and which accounts have them."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0022_usage_state_and_calls"),
    ]

    operations = [
        migrations.CreateModel(
            name="UnreadField",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "key",
                    models.UUIDField(
                        editable=False, help_text="Of reader and path: exact on every database.", unique=True
                    ),
                ),
                ("reader", models.CharField(blank=True, max_length=100)),
                ("path", models.CharField(max_length=100)),
                (
                    "state",
                    models.CharField(
                        choices=[("open", "open"), ("mapped", "counted as a unit"), ("dismissed", "informational")],
                        default="open",
                        max_length=10,
                    ),
                ),
                (
                    "unit",
                    models.CharField(
                        blank=True, help_text="What the number is counted as; empty unless mapped.", max_length=40
                    ),
                ),
                ("decided_by", models.CharField(blank=True, max_length=150)),
                ("decided_at", models.DateTimeField(null=True)),
                ("calls", models.BigIntegerField(default=0)),
                (
                    "recent_calls",
                    models.BigIntegerField(default=0, help_text="Calls since, which the next run counts anew."),
                ),
                ("last_at", models.DateTimeField(null=True)),
                ("example_value", models.CharField(blank=True, max_length=40)),
                ("example_model", models.CharField(blank=True, max_length=200)),
            ],
            options={
                "verbose_name": "unread field",
                "db_table": "unread_fields",
                "ordering": ["-last_at", "pk"],
            },
        ),
        migrations.CreateModel(
            name="UnreadFieldUse",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "account_id", "field_id", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("first_at", models.DateTimeField()),
                ("last_at", models.DateTimeField()),
                (
                    "account",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        to="billing.account",
                    ),
                ),
                (
                    "field",
                    models.ForeignKey(
                        db_constraint=False, on_delete=django.db.models.deletion.PROTECT, to="billing.unreadfield"
                    ),
                ),
            ],
            options={
                "db_table": "unread_field_uses",
            },
        ),
    ]
