"""Invitations of users into accounts; of a token only the hash."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

from lib.schema import ExactText


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0010_alerts"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Invitation",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "email",
                    models.CharField(
                        help_text="In lower case; the user's name to be.", max_length=150, verbose_name="e-mail address"
                    ),
                ),
                (
                    "role",
                    models.CharField(
                        choices=[("owner", "Owner"), ("member", "Member")], default="member", max_length=10
                    ),
                ),
                ("token_hash", models.CharField(editable=False, max_length=64, unique=True)),
                ("invited_by", models.CharField(max_length=150)),
                ("sent_at", models.DateTimeField()),
                ("expires_at", models.DateTimeField()),
                ("revoked_at", models.DateTimeField(null=True)),
                ("accepted_at", models.DateTimeField(null=True)),
                (
                    "accepted_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "account",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="invitations", to="billing.account"
                    ),
                ),
            ],
            options={
                "db_table": "invitations",
                "ordering": ["-sent_at", "-id"],
                "constraints": [models.UniqueConstraint(fields=("account", "email"), name="invitations_once")],
            },
        ),
        ExactText("invitations"),
    ]
