"""The group Operator may run a job now."""

from importlib import import_module

from django.apps.registry import Apps
from django.contrib.auth.management import create_permissions
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor


def allow_running(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    config = apps.get_app_config("monitoring")  # Django makes permissions only after all migrations
    config.models_module = import_module("monitoring.models")
    create_permissions(config, apps=apps, verbosity=0, using=schema_editor.connection.alias)
    config.models_module = None
    permissions = apps.get_model("auth", "Permission").objects
    permission = permissions.get(content_type__app_label="monitoring", codename="change_jobrun")
    for group in apps.get_model("auth", "Group").objects.filter(name="Operator"):
        group.permissions.add(permission)


class Migration(migrations.Migration):
    dependencies = [("config", "0010_groups_of_archives")]

    # Backwards the group keeps what it may: an operator may have changed it since.
    operations = [migrations.RunPython(allow_running, migrations.RunPython.noop)]
