"""The charge of one call: rating, its history of corrections, and its explanation."""

__all__ = ["call_profile", "charge_history", "explanation", "explanation_text", "rating", "unread_decisions"]
