"""How many planted errors `belong clean` finds."""
