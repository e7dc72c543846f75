"""Webhooks of tenants: made, changed, tried out, and what became of what they were sent."""
