"""Who may call: keys, roles, tenants, addresses, rates. `gate.py` is the way in; everything else serves it."""
