"""BookVersion gets a plainer name; its table stays as it is."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [
        ("providers", "0004_price_proposals"),
        ("billing", "0008_shipped_plans"),  # knows the model by its old name
    ]

    operations = [migrations.RenameModel("BookVersion", "CatalogVersion")]
