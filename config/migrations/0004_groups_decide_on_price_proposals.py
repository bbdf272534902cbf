"""Viewers see price proposals, operators decide on them: the groups were made before the proposals were."""

from importlib import import_module

from django.apps.registry import Apps
from django.contrib.auth.management import create_permissions
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

GIVEN = {
    "Viewer": ["view_priceproposal"],
    "Operator": ["view_priceproposal", "change_priceproposal"],
}


def give(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """A group that an administrator removed stays away."""
    config = apps.get_app_config("providers")
    config.models_module = import_module("providers.models")
    create_permissions(config, apps=apps, verbosity=0, using=schema_editor.connection.alias)
    config.models_module = None
    ours = apps.get_model("auth", "Permission").objects.filter(content_type__app_label="providers")
    for group in apps.get_model("auth", "Group").objects.filter(name__in=GIVEN):
        group.permissions.add(*ours.filter(codename__in=GIVEN[group.name]))


class Migration(migrations.Migration):
    dependencies = [("config", "0003_groups_of_corrections"), ("providers", "0004_price_proposals")]

    operations = [migrations.RunPython(give, migrations.RunPython.noop)]
