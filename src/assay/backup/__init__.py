"""Backups: what a server keeps, copied while it runs, and put back into a new place.

A folder of backups holds one folder for each; such a folder is whole in itself, and shares with its neighbours, by hard
links, the files that did not change. It appears under its name only once everything in it has been written, read again
and compared with the database it was taken from.
"""
