"""AlertMark and ErasedUpTo get plainer names; their tables stay as they are."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("billing", "0014_archives")]

    operations = [
        migrations.RenameModel("AlertMark", "AlertSweepState"),
        migrations.RenameModel("ErasedUpTo", "ErasureCursor"),
    ]
