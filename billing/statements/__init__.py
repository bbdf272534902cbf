"""What an account owes for a closed period."""

__all__ = ["statement_page", "statements"]
