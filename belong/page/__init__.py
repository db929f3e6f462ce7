"""The report as one page of HTML: values in, text out."""
