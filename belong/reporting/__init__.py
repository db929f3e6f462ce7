"""Draw figures, and write the report and the gallery."""
