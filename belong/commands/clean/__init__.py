"""`belong clean`: find the wrong labels and foreign images of a folder."""
