"""Help texts and labels in plain English; no table changes."""

import django.core.validators
import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0015_name_models_by_what_they_hold"),
    ]

    operations = [
        migrations.AlterField(
            model_name="account",
            name="anchor_day",
            field=models.PositiveSmallIntegerField(
                default=1,
                help_text="Day of the month on which usage periods start.",
                validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(31)],
            ),
        ),
        migrations.AlterField(
            model_name="account",
            name="billed_from",
            field=models.DateField(help_text="First local day that is billed. Earlier usage is never billed."),
        ),
        migrations.AlterField(
            model_name="account",
            name="earlier_schedules",
            field=models.TextField(
                blank=True,
                default="",
                editable=False,
                help_text="Previous anchor days and time zones; see billing/plans/anchor_changes.py.",
            ),
        ),
        migrations.AlterField(
            model_name="account",
            name="has_archive",
            field=models.BooleanField(
                db_default=False,
                default=False,
                editable=False,
                help_text="Usage logs are archived or being archived; duplicates are also looked up among archived events.",
            ),
        ),
        migrations.AlterField(
            model_name="account",
            name="may_state_cost",
            field=models.BooleanField(default=False, help_text="Keys bound to this account may send cost_usd."),
        ),
        migrations.AlterField(
            model_name="account",
            name="next_close_at",
            field=models.DateTimeField(
                db_index=True,
                editable=False,
                help_text="When the oldest open period may be closed; null: not computed yet.",
                null=True,
            ),
        ),
        migrations.AlterField(
            model_name="account",
            name="unpriced_policy",
            field=models.CharField(
                blank=True,
                choices=[
                    ("", "default (UNPRICED_POLICY)"),
                    ("allow", "allow unpriced calls"),
                    ("block", "block unpriced calls"),
                ],
                default="",
                max_length=10,
            ),
        ),
        migrations.AlterField(
            model_name="alertsweepstate",
            name="sweep",
            field=models.UUIDField(db_index=True, help_text="UUIDv7 of the last sweep; contains its time."),
        ),
        migrations.AlterField(
            model_name="apikey",
            name="account",
            field=models.ForeignKey(
                blank=True,
                help_text="Empty: a service key, valid for every account.",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                to="billing.account",
            ),
        ),
        migrations.AlterField(
            model_name="archive",
            name="begun_at",
            field=models.DateTimeField(verbose_name="started at"),
        ),
        migrations.AlterField(
            model_name="archive",
            name="deleted",
            field=models.BigIntegerField(default=0, help_text="Logs deleted from the database."),
        ),
        migrations.AlterField(
            model_name="archive",
            name="logs",
            field=models.BigIntegerField(default=0, help_text="Logs in the file."),
        ),
        migrations.AlterField(
            model_name="archive",
            name="size",
            field=models.BigIntegerField(default=0, help_text="File size in bytes."),
        ),
        migrations.AlterField(
            model_name="archive",
            name="trouble",
            field=models.CharField(
                blank=True,
                help_text="Why archiving failed; the next run tries again.",
                max_length=300,
                verbose_name="error",
            ),
        ),
        migrations.AlterField(
            model_name="archive",
            name="verified_at",
            field=models.DateTimeField(help_text="When the complete file was read back and verified.", null=True),
        ),
        migrations.AlterField(
            model_name="archivedevent",
            name="log",
            field=models.UUIDField(help_text="Id of the archived log."),
        ),
        migrations.AlterField(
            model_name="archivedevent",
            name="period",
            field=models.DateField(help_text="Period of the archive that contains it."),
        ),
        migrations.AlterField(
            model_name="correctionbatch",
            name="delta_nano",
            field=models.BigIntegerField(default=0, help_text="Change of the total, in nano-USD."),
        ),
        migrations.AlterField(
            model_name="correctionbatch",
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
            model_name="correctionbatch",
            name="logs",
            field=models.BigIntegerField(default=0, help_text="Logs corrected."),
        ),
        migrations.AlterField(
            model_name="delivery",
            name="due_at",
            field=models.DateTimeField(help_text="Time of the next attempt; while one runs, when it counts as lost."),
        ),
        migrations.AlterField(
            model_name="delivery",
            name="email",
            field=models.CharField(blank=True, help_text="Empty for a webhook.", max_length=320),
        ),
        migrations.AlterField(
            model_name="delivery",
            name="give_up_at",
            field=models.DateTimeField(help_text="No attempt is scheduled after this time."),
        ),
        migrations.AlterField(
            model_name="delivery",
            name="response",
            field=models.CharField(blank=True, help_text="The first 500 characters of the response.", max_length=500),
        ),
        migrations.AlterField(
            model_name="delivery",
            name="state",
            field=models.CharField(
                choices=[("pending", "Pending"), ("delivered", "Delivered"), ("failed", "Failed")],
                default="pending",
                max_length=10,
            ),
        ),
        migrations.AlterField(
            model_name="idempotencykey",
            name="answer",
            field=models.TextField(help_text="JSON as sent, with the order of its keys."),
        ),
        migrations.AlterField(
            model_name="invitation",
            name="email",
            field=models.CharField(
                help_text="In lower case; becomes the username.", max_length=150, verbose_name="e-mail address"
            ),
        ),
        migrations.AlterField(
            model_name="limitoverride",
            name="expires_on",
            field=models.DateField(
                blank=True,
                help_text="First local day on which the plan's limit applies again; empty: no end.",
                null=True,
            ),
        ),
        migrations.AlterField(
            model_name="limitoverride",
            name="hard",
            field=models.BooleanField(
                default=True, help_text="A hard limit refuses calls; a soft limit only raises alerts."
            ),
        ),
    ]
