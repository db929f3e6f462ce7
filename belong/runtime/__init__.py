"""Basic services for every other package: errors, exit codes, storage, locks, progress, text."""
