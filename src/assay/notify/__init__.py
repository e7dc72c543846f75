"""Ways by which notices leave the server: signed HTTP requests to addresses that lead outwards, and message brokers."""
