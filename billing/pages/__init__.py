"""The customers' pages under /usage/: what a member of an account sees of it, from the same functions as the API."""
