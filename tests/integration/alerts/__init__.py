"""Alerts on a real webhook: from what is wrong to the message, and to the one that it is over."""
