"""The groups see invitations; an Operator invites, revokes, and sends again."""

from importlib import import_module

from django.apps.registry import Apps
from django.contrib.auth.management import create_permissions
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

SEEN = ("view_invitation",)
CHANGED = ("add_invitation", "change_invitation")


def extend_groups(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    config = apps.get_app_config("billing")  # Django makes permissions only after all migrations
    config.models_module = import_module("billing.models")
    create_permissions(config, apps=apps, verbosity=0, using=schema_editor.connection.alias)
    config.models_module = None
    permission = apps.get_model("auth", "Permission")
    ours = permission.objects.filter(content_type__app_label="billing")
    for name, codenames in (("Viewer", SEEN), ("Operator", (*SEEN, *CHANGED))):
        for group in apps.get_model("auth", "Group").objects.filter(name=name):
            group.permissions.add(*ours.filter(codename__in=codenames))


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0011_invitations"),
        ("config", "0007_groups_of_alerts"),
    ]

    # Backwards the groups keep what they may: an operator may have changed it since.
    operations = [migrations.RunPython(extend_groups, migrations.RunPython.noop)]
