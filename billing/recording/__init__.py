"""The only write path for usage events, and what feeds it: calls in process and imports."""
