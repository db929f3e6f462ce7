"""What is wrong with a folder of images, before anything is trained on it."""
