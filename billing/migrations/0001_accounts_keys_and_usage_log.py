"""Accounts, keys and the usage log as it began: without the name of the provider that really served a call."""

import django.core.validators
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import billing.models.accounts
import lib.ids
from lib.schema import AccountInPrimaryKey, DeepJSON, ExactText


class Migration(migrations.Migration):
    initial = True

    dependencies = [migrations.swappable_dependency(settings.AUTH_USER_MODEL)]

    operations = [
        migrations.CreateModel(
            name="Account",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("external_id", models.CharField(max_length=128)),
                ("external_key", models.UUIDField(editable=False, unique=True)),
                ("name", models.CharField(blank=True, max_length=200)),
                (
                    "timezone",
                    models.CharField(default="UTC", max_length=64, validators=[billing.models.accounts.check_zone]),
                ),
                (
                    "anchor_day",
                    models.PositiveSmallIntegerField(
                        default=1,
                        help_text="Day of the month on which its usage periods start.",
                        validators=[
                            django.core.validators.MinValueValidator(1),
                            django.core.validators.MaxValueValidator(31),
                        ],
                    ),
                ),
                (
                    "billed_from",
                    models.DateField(help_text="First local day that is billed. Earlier usage is history."),
                ),
                (
                    "unpriced_policy",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("", "as the service (UNPRICED_POLICY)"),
                            ("allow", "allow calls without a known price"),
                            ("block", "block calls without a known price"),
                        ],
                        default="",
                        max_length=10,
                    ),
                ),
                ("may_state_cost", models.BooleanField(default=False, help_text="Its own keys may send cost_usd.")),
                ("active", models.BooleanField(default=True)),
                ("config_version", models.PositiveBigIntegerField(default=1, editable=False)),
                ("created_at", models.DateTimeField()),
            ],
            options={
                "db_table": "accounts",
                "ordering": ["external_id"],
            },
        ),
        migrations.CreateModel(
            name="Membership",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "role",
                    models.CharField(
                        choices=[("owner", "Owner"), ("member", "Member")], default="member", max_length=10
                    ),
                ),
                (
                    "account",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="memberships", to="billing.account"
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="memberships",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "db_table": "memberships",
                "constraints": [models.UniqueConstraint(fields=("account", "user"), name="memberships_once")],
            },
        ),
        migrations.CreateModel(
            name="ApiKey",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=100)),
                ("prefix", models.CharField(editable=False, max_length=12, unique=True)),
                ("secret_hash", models.CharField(editable=False, max_length=64)),
                ("scopes", models.JSONField(default=list)),
                ("created_at", models.DateTimeField()),
                ("expires_at", models.DateTimeField(blank=True, null=True)),
                ("revoked_at", models.DateTimeField(blank=True, null=True)),
                ("last_used_at", models.DateTimeField(blank=True, editable=False, null=True)),
                (
                    "account",
                    models.ForeignKey(
                        blank=True,
                        help_text="Empty: a service key, good for every account.",
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        to="billing.account",
                    ),
                ),
            ],
            options={
                "verbose_name": "API key",
                "db_table": "api_keys",
                "ordering": ["name", "id"],
            },
        ),
        migrations.CreateModel(
            name="UsageLog",
            fields=[
                ("id", models.UUIDField(default=lib.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ("event_id", models.CharField(max_length=256)),
                ("event_key", models.UUIDField()),
                ("digest", models.UUIDField()),
                ("provider", models.CharField(max_length=50, verbose_name="declared provider")),
                (
                    "category",
                    models.CharField(
                        choices=[
                            ("text", "Text"),
                            ("embedding", "Embedding"),
                            ("image", "Image"),
                            ("image_edit", "Image edit"),
                            ("video", "Video"),
                            ("audio", "Audio"),
                            ("search", "Search"),
                            ("crawl", "Crawl"),
                            ("other", "Other"),
                        ],
                        max_length=20,
                    ),
                ),
                ("model_used", models.CharField(blank=True, max_length=200, verbose_name="model")),
                ("endpoint", models.CharField(blank=True, max_length=2000)),
                ("method", models.CharField(blank=True, max_length=10)),
                ("variant", models.JSONField(default=dict)),
                ("tokens_input", models.BigIntegerField(default=0)),
                ("tokens_output", models.BigIntegerField(default=0)),
                ("tokens_total", models.BigIntegerField(default=0)),
                ("tokens_cached", models.BigIntegerField(default=0)),
                ("tokens_cache_write", models.BigIntegerField(default=0)),
                ("units", models.JSONField(default=dict)),
                ("cached_included", models.BooleanField(default=True)),
                ("cost_input", models.BigIntegerField(default=0)),
                ("cost_output", models.BigIntegerField(default=0)),
                ("cost_other", models.BigIntegerField(default=0)),
                ("cost_total", models.BigIntegerField(default=0)),
                ("price_id", models.BigIntegerField(null=True)),
                (
                    "cost_source",
                    models.CharField(
                        choices=[
                            ("price_book", "price book"),
                            ("caller", "the caller's figure"),
                            ("free", "free"),
                            ("unpriced", "unpriced"),
                        ],
                        max_length=12,
                    ),
                ),
                ("response_time_ms", models.BigIntegerField(default=0)),
                ("status_code", models.PositiveSmallIntegerField(default=200)),
                ("error_message", models.TextField(blank=True)),
                ("retry_count", models.PositiveIntegerField(default=0)),
                ("request_bytes", models.BigIntegerField(null=True)),
                ("response_bytes", models.BigIntegerField(null=True)),
                ("user_agent", models.CharField(blank=True, max_length=500)),
                ("ip_address", models.CharField(blank=True, max_length=45)),
                ("timestamp", models.DateTimeField()),
                ("received_at", models.DateTimeField()),
                ("usage_day", models.DateField()),
                ("usage_period", models.DateField()),
                ("late_for", models.DateField(null=True)),
                ("metadata", models.JSONField(default=dict)),
                ("is_billable", models.BooleanField(default=True)),
                ("effective_nano", models.BigIntegerField(default=0)),
                ("is_priced", models.BooleanField(default=True)),
                ("voided_at", models.DateTimeField(null=True)),
                (
                    "account",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        to="billing.account",
                    ),
                ),
            ],
            options={
                "verbose_name": "usage log",
                "db_table": "api_usage_logs",
            },
        ),
        migrations.AddIndex(
            model_name="usagelog",
            index=models.Index(fields=["account", "-timestamp"], name="api_usage_logs_by_account"),
        ),
        migrations.AddIndex(
            model_name="usagelog",
            index=models.Index(fields=["-timestamp", "id"], name="api_usage_logs_by_time"),
        ),
        migrations.AddConstraint(
            model_name="usagelog",
            constraint=models.UniqueConstraint(fields=("account", "event_key"), name="api_usage_logs_once"),
        ),
        migrations.CreateModel(
            name="UsageAdjustment",
            fields=[
                ("id", models.UUIDField(default=lib.ids.new_id, editable=False, primary_key=True, serialize=False)),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("void", "Void"),
                            ("reprice", "Reprice"),
                            ("redetect", "Redetect"),
                            ("credit", "Credit"),
                        ],
                        max_length=10,
                    ),
                ),
                ("delta_nano", models.BigIntegerField(default=0)),
                ("reason", models.CharField(blank=True, max_length=500)),
                ("actor", models.CharField(blank=True, max_length=150)),
                ("batch", models.UUIDField(null=True)),
                ("reverted_by", models.UUIDField(null=True)),
                ("period", models.DateField(help_text="Period in which it counts.")),
                ("corrects_period", models.DateField(help_text="Period of the log that it corrects.")),
                ("details", models.JSONField(default=dict)),
                ("created_at", models.DateTimeField()),
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
                    "log",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        to="billing.usagelog",
                    ),
                ),
            ],
            options={
                "db_table": "usage_adjustments",
            },
        ),
        migrations.AddIndex(
            model_name="usageadjustment",
            index=models.Index(fields=["account", "log"], name="usage_adjustments_by_log"),
        ),
        migrations.AddIndex(
            model_name="usageadjustment",
            index=models.Index(fields=["account", "batch"], name="usage_adjustments_by_batch"),
        ),
        ExactText("accounts", "memberships", "api_keys", "api_usage_logs", "usage_adjustments"),
        DeepJSON("api_usage_logs.metadata"),
        AccountInPrimaryKey("api_usage_logs", "usage_adjustments"),
    ]
