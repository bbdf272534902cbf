"""The customers' pages under /usage/. Each is about one account of the person who is logged in."""
