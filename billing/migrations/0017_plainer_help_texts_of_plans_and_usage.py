"""Help texts and labels in plain English; no table changes."""

import django.core.validators
import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0016_plainer_help_texts_and_labels"),
    ]

    operations = [
        migrations.AlterField(
            model_name="meter",
            name="position",
            field=models.IntegerField(
                default=1000, help_text="Lower comes first, in lists and where several limits refuse a call."
            ),
        ),
        migrations.AlterField(
            model_name="meter",
            name="slug",
            field=models.CharField(
                help_text="The key of its limit in the API.",
                max_length=50,
                unique=True,
                validators=[
                    django.core.validators.RegexValidator(
                        "^[a-z0-9][a-z0-9_-]*\\Z",
                        "Use only lower-case letters, digits, - and _; the first character must be a letter or digit.",
                    )
                ],
            ),
        ),
        migrations.AlterField(
            model_name="meter",
            name="values",
            field=models.JSONField(
                blank=True, default=list, help_text="The categories or providers, in lower case; empty for everything."
            ),
        ),
        migrations.AlterField(
            model_name="plan",
            name="position",
            field=models.IntegerField(default=1000, help_text="Lower comes first."),
        ),
        migrations.AlterField(
            model_name="plan",
            name="slug",
            field=models.CharField(
                max_length=50,
                validators=[
                    django.core.validators.RegexValidator(
                        "^[a-z0-9][a-z0-9_-]*\\Z",
                        "Use only lower-case letters, digits, - and _; the first character must be a letter or digit.",
                    )
                ],
            ),
        ),
        migrations.AlterField(
            model_name="planlimit",
            name="hard",
            field=models.BooleanField(
                default=True, help_text="A hard limit refuses calls; a soft limit only raises alerts."
            ),
        ),
        migrations.AlterField(
            model_name="providerminute",
            name="ms_100",
            field=models.BigIntegerField(
                db_default=0,
                help_text="Calls that took up to 100 ms; each later column counts those above the previous bound.",
            ),
        ),
        migrations.AlterField(
            model_name="statement",
            name="usage_nano",
            field=models.BigIntegerField(help_text="Usage at cost."),
        ),
        migrations.AlterField(
            model_name="subscription",
            name="auto_renew",
            field=models.BooleanField(default=True, help_text="If not, it ends with its cycle."),
        ),
        migrations.AlterField(
            model_name="subscription",
            name="fee_nano",
            field=models.BigIntegerField(default=0, help_text="Fee of the last event: whole cents, in nano-USD."),
        ),
        migrations.AlterField(
            model_name="subscription",
            name="grace_until",
            field=models.DateTimeField(help_text="When a past-due subscription is suspended.", null=True),
        ),
        migrations.AlterField(
            model_name="subscription",
            name="period_end",
            field=models.DateField(help_text="First day of the next cycle."),
        ),
        migrations.AlterField(
            model_name="subscription",
            name="prorated_from",
            field=models.DateField(help_text="First day that the fee covers, if later than the cycle's.", null=True),
        ),
        migrations.AlterField(
            model_name="subscription",
            name="renews_at",
            field=models.DateTimeField(help_text="First instant of the next cycle."),
        ),
        migrations.AlterField(
            model_name="subscriptionevent",
            name="fee_lines",
            field=models.JSONField(default=list, help_text="The parts of the fee: text and nano-USD."),
        ),
        migrations.AlterField(
            model_name="subscriptionevent",
            name="kind",
            field=models.CharField(
                choices=[
                    ("subscribed", "Subscribed"),
                    ("upgraded", "Upgraded"),
                    ("planned", "Change scheduled"),
                    ("changed", "Changed"),
                    ("renewed", "Renewed"),
                    ("cancel_planned", "Cancellation scheduled"),
                    ("resumed", "Resumed"),
                    ("cancelled", "Cancelled"),
                    ("past_due", "Past due"),
                    ("suspended", "Suspended"),
                    ("paid", "Paid"),
                ],
                max_length=20,
            ),
        ),
        migrations.AlterField(
            model_name="usageadjustment",
            name="corrects_period",
            field=models.DateField(help_text="Period of the corrected log."),
        ),
        migrations.AlterField(
            model_name="usageadjustment",
            name="kind",
            field=models.CharField(
                choices=[
                    ("void", "Void"),
                    ("reprice", "Re-price"),
                    ("redetect", "Redetect"),
                    ("credit", "Credit"),
                    ("revert", "Revert"),
                ],
                max_length=10,
            ),
        ),
        migrations.AlterField(
            model_name="usageadjustment",
            name="late_at",
            field=models.DateTimeField(help_text="created_at, if the log's period was closed by then.", null=True),
        ),
        migrations.AlterField(
            model_name="usageadjustment",
            name="period",
            field=models.DateField(help_text="Period in which the adjustment counts."),
        ),
        migrations.AlterField(
            model_name="usagealert",
            name="projected",
            field=models.BigIntegerField(help_text="Usage at the end of the period at the rate so far.", null=True),
        ),
        migrations.AlterField(
            model_name="usagealert",
            name="threshold",
            field=models.PositiveSmallIntegerField(help_text="Percent of the cap; 0: projected to exceed it."),
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
                ],
                max_length=12,
            ),
        ),
        migrations.AlterField(
            model_name="usagereservation",
            name="digest",
            field=models.UUIDField(help_text="Of the request; a different request under the same id is refused."),
        ),
        migrations.AlterField(
            model_name="usagereservation",
            name="grant",
            field=models.JSONField(help_text="The response to the caller, repeated for a duplicate request."),
        ),
        migrations.AlterField(
            model_name="usagereservation",
            name="over",
            field=models.BooleanField(default=False, help_text="More was used than held, or the hold had ended."),
        ),
        migrations.AlterField(
            model_name="webhook",
            name="account",
            field=models.ForeignKey(
                blank=True,
                help_text="Empty: alerts of all accounts.",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="webhooks",
                to="billing.account",
            ),
        ),
    ]
