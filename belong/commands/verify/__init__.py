"""Compare every file with its recorded checksum: `belong verify`."""
