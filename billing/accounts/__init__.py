"""Who is billed: accounts, who may act for them, invitations, and usage periods."""
