"""Figures arranged for pages: the operators' and the customers'."""
