"""The groups Viewer and Operator also see which usage logs are archived."""

from importlib import import_module

from django.apps.registry import Apps
from django.contrib.auth.management import create_permissions
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor


def let_them_see(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    config = apps.get_app_config("billing")  # Django makes permissions only after all migrations
    config.models_module = import_module("billing.models")
    create_permissions(config, apps=apps, verbosity=0, using=schema_editor.connection.alias)
    config.models_module = None
    seen = apps.get_model("auth", "Permission").objects.get(content_type__app_label="billing", codename="view_archive")
    for group in apps.get_model("auth", "Group").objects.filter(name__in=("Viewer", "Operator")):
        group.permissions.add(seen)


class Migration(migrations.Migration):
    dependencies = [("config", "0009_groups_of_jobs"), ("billing", "0014_archives")]

    # Backwards the groups keep what they may: an operator may have changed it since.
    operations = [migrations.RunPython(let_them_see, migrations.RunPython.noop)]
