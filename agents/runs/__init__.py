"""Runs on disk: the loop, its folder, checkpoints, experiments and evaluations of them."""
