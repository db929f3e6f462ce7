"""Do the same work with stock libraries, as in tutorials, without belong."""
