"""Alerts, without a server."""
