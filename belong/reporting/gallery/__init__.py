"""Write the gallery of predictions: one HTML page that needs no network."""
