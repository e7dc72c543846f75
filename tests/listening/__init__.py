"""Who serves on a listening socket, as a client sees it."""
