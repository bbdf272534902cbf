"""How far retention got in erasing client addresses and user agents from the usage log."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0012_provider_latency"),
    ]

    operations = [
        migrations.CreateModel(
            name="ErasedUpTo",
            fields=[
                ("what", models.CharField(max_length=20, primary_key=True, serialize=False)),
                ("log", models.UUIDField()),
            ],
            options={
                "db_table": "erased_up_to",
            },
        ),
    ]
