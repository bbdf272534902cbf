"""Changes to recorded calls, as adjustments: voids, re-pricing, redetection, reverts."""
