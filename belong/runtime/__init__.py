"""The ground floor: errors, exit codes, storage, locks, progress, text."""
