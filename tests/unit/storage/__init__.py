"""Stores, without a network."""
