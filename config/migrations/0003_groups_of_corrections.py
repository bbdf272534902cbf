"""The groups see batches of corrections and closed periods; correcting is Operator's already (add_usageadjustment)."""

from importlib import import_module

from django.apps.registry import Apps
from django.contrib.auth.management import create_permissions
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

SEEN = ("view_closedperiod", "view_correctionbatch")


def give_permissions(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    config = apps.get_app_config("billing")  # Django makes permissions only after all migrations
    config.models_module = import_module("billing.models")
    create_permissions(config, apps=apps, verbosity=0, using=schema_editor.connection.alias)
    config.models_module = None
    permission = apps.get_model("auth", "Permission")
    seen = list(permission.objects.filter(content_type__app_label="billing", codename__in=SEEN))
    for group in apps.get_model("auth", "Group").objects.filter(name__in=("Viewer", "Operator")):
        group.permissions.add(*seen)


class Migration(migrations.Migration):
    dependencies = [("billing", "0006_corrections"), ("config", "0002_wal_on_sqlite")]

    # Backwards the tables go away, and their permissions with them.
    operations = [migrations.RunPython(give_permissions, migrations.RunPython.noop)]
