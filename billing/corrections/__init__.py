"""Changes to recorded calls, as adjustments: voids, re-pricing, redetection, reverts."""

__all__ = [
    "apply_corrections",
    "as_closed",
    "batch_pass",
    "batch_progress",
    "corrections",
    "import_voids",
    "newly_unpriced",
    "redetection",
    "repricing",
    "resolution",
    "unpriced_reasons",
    "unread_resolution",
    "unread_sightings",
]
