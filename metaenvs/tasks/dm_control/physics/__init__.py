"""Closed-form pieces of MuJoCo's physics that several domains share."""
