"""The groups Viewer (sees everything) and Operator (also edits configuration and corrects usage)."""

from importlib import import_module

from django.apps.registry import Apps
from django.contrib.auth.management import create_permissions
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

APPS = ("billing", "monitoring", "providers")
NEVER = ("delete_", "add_usagelog", "change_usagelog")  # history is corrected by adjustments only


def make_groups(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    for label in APPS:  # Django makes permissions only after all migrations, and groups need them now
        config = apps.get_app_config(label)
        config.models_module = import_module(f"{label}.models")
        create_permissions(config, apps=apps, verbosity=0, using=schema_editor.connection.alias)
        config.models_module = None
    group, permission = apps.get_model("auth", "Group"), apps.get_model("auth", "Permission")
    ours = permission.objects.filter(content_type__app_label__in=APPS)
    viewer, _ = group.objects.get_or_create(name="Viewer")
    viewer.permissions.add(*ours.filter(codename__startswith="view_"))
    operator, _ = group.objects.get_or_create(name="Operator")
    operator.permissions.add(*[one for one in ours if not one.codename.startswith(NEVER)])


class Migration(migrations.Migration):
    dependencies = [
        ("auth", "0012_alter_user_first_name_max_length"),
        ("billing", "0005_build_rollups_from_log"),
        ("monitoring", "0001_request_log"),
        ("providers", "0003_shipped_prices"),
    ]

    # Backwards the groups stay: an operator may have put people into them.
    operations = [migrations.RunPython(make_groups, migrations.RunPython.noop)]
