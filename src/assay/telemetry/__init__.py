"""Telemetry: what the program says about itself, and the redaction that everything said passes through."""
