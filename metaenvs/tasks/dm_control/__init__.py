"""dm_control's tasks in JAX, one file per domain."""
