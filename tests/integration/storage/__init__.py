"""Data on an object store: an S3 server on loopback, and what it does on bad days."""
