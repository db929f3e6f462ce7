"""What `combined` is made of, and how: compared on training images, and then measured."""
