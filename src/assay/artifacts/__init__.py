"""Content-addressed bytes: blobs by sha256 on the local disk."""
