"""The groups Viewer and Operator also see plans, meters, limits and reservations; an Operator edits what is configuration."""

from importlib import import_module

from django.apps.registry import Apps
from django.contrib.auth.management import create_permissions
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

CONFIGURATION = ("meter", "plan", "planlimit", "limitoverride")
LINES = ("delete_planlimit", "delete_limitoverride")  # taken out of the next version, and of an account
RECORDS = ("usagereservation", "usagehold")


def extend_groups(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Django makes permissions only after all migrations, and groups need them now."""
    config = apps.get_app_config("billing")
    config.models_module = import_module("billing.models")
    create_permissions(config, apps=apps, verbosity=0, using=schema_editor.connection.alias)
    config.models_module = None
    group, permission = apps.get_model("auth", "Group"), apps.get_model("auth", "Permission")
    views = [f"view_{name}" for name in (*CONFIGURATION, *RECORDS)]
    edits = [f"{verb}_{name}" for verb in ("add", "change") for name in CONFIGURATION]
    ours = permission.objects.filter(content_type__app_label="billing")
    for name, codenames in (("Viewer", views), ("Operator", [*views, *edits, *LINES])):
        made, _ = group.objects.get_or_create(name=name)
        made.permissions.add(*ours.filter(codename__in=codenames))


class Migration(migrations.Migration):
    dependencies = [("config", "0004_groups_decide_on_price_proposals"), ("billing", "0008_shipped_plans")]

    # Backwards the groups keep what they may: an operator may have changed it since.
    operations = [migrations.RunPython(extend_groups, migrations.RunPython.noop)]
