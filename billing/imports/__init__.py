"""Files of usage events imported by operators: stored, checked by a dry run, imported in steps, and voided whole."""

__all__ = [
    "import_job",
    "import_preview",
    "import_source",
    "import_steps",
    "import_totals",
    "imported_logs",
    "stored_files",
    "uploads",
]
