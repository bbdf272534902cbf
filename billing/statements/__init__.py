"""What an account owes for a closed period."""

__all__ = ["cumulative_use", "dated_terms", "segments", "statement_page", "statements"]
