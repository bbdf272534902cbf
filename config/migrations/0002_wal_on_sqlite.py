"""SQLite's write-ahead log, so that readers and the one writer do not wait for each other; it is kept in the file.

Not a pragma at every connection: that would write into any file that is opened, a database of the earlier system included.
"""

from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor


def write_ahead(_apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    if schema_editor.connection.vendor == "sqlite":
        schema_editor.execute("PRAGMA journal_mode=WAL")


class Migration(migrations.Migration):
    atomic = False  # the mode cannot change inside a transaction

    dependencies = [("config", "0001_groups")]

    operations = [migrations.RunPython(write_ahead, migrations.RunPython.noop)]
