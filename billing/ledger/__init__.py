"""The stored usage logs, their totals, and which periods are closed."""
