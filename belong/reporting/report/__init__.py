"""Write the report: one HTML page that needs no network."""
