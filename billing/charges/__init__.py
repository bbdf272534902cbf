"""What one call costs, and why: rating, corrections of a charge, explanations."""
