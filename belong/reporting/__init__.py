"""Figures, the report's page and the gallery."""
