"""The grid of the paper: every pair of data sets with every lambda and every seed."""
