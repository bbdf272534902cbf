"""What callers and files report: usage events, and the readers of vendors' responses."""
