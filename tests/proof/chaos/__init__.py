"""Everything at once: real processes at a fast clock, killed at random moments, and the count of what went wrong."""
