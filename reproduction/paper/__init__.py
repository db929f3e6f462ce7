"""Compare the papers' results with ours."""
