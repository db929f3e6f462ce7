"""Paper A's published results beside ours."""
