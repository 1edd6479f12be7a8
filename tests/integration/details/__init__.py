"""Tests of participant details, from the source to the database."""
