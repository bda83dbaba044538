"""The reference agents: resettable S5 (and other memories) trained by recurrent PPO."""
