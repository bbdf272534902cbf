"""A small demonstration data set, labelled as such wherever it shows: made by `seed_demo` with the product's own functions."""

from billing.demo.history import ACCOUNTS, seed

__all__ = ["ACCOUNTS", "seed"]
