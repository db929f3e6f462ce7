"""What params.yaml may hold: one typed section for each stage, beside the others."""
