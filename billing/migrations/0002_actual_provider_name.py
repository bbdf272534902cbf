"""Who really served a call: the actual provider, how sure we are, and by which evidence. NULL means not yet detected."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("billing", "0001_accounts_keys_and_usage_log")]

    operations = [
        migrations.AddField(
            "usagelog",
            "actual_provider_name",
            models.CharField(max_length=50, null=True, verbose_name="actual provider"),
        ),
        migrations.AddField(
            "usagelog",
            "confidence",
            models.CharField(
                blank=True,
                choices=[("exact", "Exact"), ("strong", "Strong"), ("weak", "Weak"), ("fallback", "Fallback")],
                default="",
                max_length=10,
            ),
        ),
        migrations.AddField("usagelog", "detection_rule", models.CharField(blank=True, default="", max_length=100)),
        migrations.AddField("usagelog", "evidence", models.CharField(blank=True, default="", max_length=300)),
        migrations.AddField("usagelog", "served_by", models.CharField(blank=True, default="", max_length=100)),
    ]
