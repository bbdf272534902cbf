"""A small demonstration data set, labelled as such, created through the product's own functions."""

from billing.demo.history import ACCOUNTS, seed

__all__ = ["ACCOUNTS", "seed"]
