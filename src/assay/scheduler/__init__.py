"""Decides what runs: the catalogue of what can be run, admission of submissions, and recovery of what was lost."""
