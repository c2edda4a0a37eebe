"""The report page of a collection: plain data in, one HTML page and its pictures out."""
