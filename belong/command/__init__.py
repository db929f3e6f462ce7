"""The command `belong`: a file for each sub-command, a thin shell over the library."""
