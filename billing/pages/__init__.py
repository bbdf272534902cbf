"""The customers' pages under /usage/."""
