"""What an account owes for a closed period."""
