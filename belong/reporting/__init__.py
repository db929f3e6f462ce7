"""Draw figures, and write the report's page and the gallery."""
