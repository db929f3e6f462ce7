"""The commands of `belong`, named as they are typed."""
