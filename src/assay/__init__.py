"""Assay: submit an evaluation, it runs somewhere safe, you watch it live, and what comes back can be trusted."""

__version__ = "0.1.0"
