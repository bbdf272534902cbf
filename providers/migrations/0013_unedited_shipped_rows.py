"""Records the values of shipped providers and rules that nobody has edited, so that an upgrade may replace them.

The audit trail tells which rows were edited: their values as shipped stay unknown, so upgrades keep them. Switching a rule
off is no edit of its values. Rows written before the audit trail existed, or by SQL, count as not edited.
"""

from typing import Any

from django.apps.registry import Apps
from django.db import migrations, transaction
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

COLUMNS = {
    "provider": ("slug", "name", "aliases", "is_gateway"),
    "detectionrule": ("slug", "evidence", "pattern", "declared", "ignore_host", "category", "order", "note"),
}
UPDATE = 1  # auditlog's LogEntry.Action.UPDATE


def record(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """One transaction: there are a few hundred rows."""
    alias = schema_editor.connection.alias
    for name, columns in COLUMNS.items():
        with transaction.atomic(using=alias):
            model = apps.get_model("providers", name)
            edited = _edited(apps, alias, name)
            rows = [
                row
                for row in model.objects.using(alias).filter(shipped=True, shipped_values__isnull=True)
                if str(row.pk) not in edited
            ]
            for row in rows:
                row.shipped_values = {column: getattr(row, column) for column in columns}
                if name == "detectionrule" and row.provider:
                    row.shipped_values["provider"] = row.provider.slug
            model.objects.using(alias).bulk_update(rows, ["shipped_values"], batch_size=200)
            print(f"  {len(rows)} unedited {name} rows", end="")  # noqa: T201 - a progress line


def _edited(apps: Apps, alias: str, name: str) -> set[str]:
    entries: Any = apps.get_model("auditlog", "LogEntry").objects.using(alias)
    changes = entries.filter(content_type__app_label="providers", content_type__model=name, action=UPDATE)
    return {key for key, changed in changes.values_list("object_pk", "changes") if set(changed or ()) - {"active"}}


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ("providers", "0012_values_as_shipped"),
        ("auditlog", "0017_add_actor_email"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]

    # Backwards there is nothing to do: the column goes.
    operations = [migrations.RunPython(record, migrations.RunPython.noop)]
