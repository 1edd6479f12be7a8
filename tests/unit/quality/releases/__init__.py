"""Tests of the views of releases."""
