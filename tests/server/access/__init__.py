"""Keys, roles, rates and addresses."""
