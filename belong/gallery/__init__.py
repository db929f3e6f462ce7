"""The images of a folder with their verdicts as one page of HTML: values in, text out."""
