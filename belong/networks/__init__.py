"""Networks: each makes features and logits of an image, and shows an early and a middle layer."""
