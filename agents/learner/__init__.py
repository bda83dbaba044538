"""The learner: networks, rollouts, PPO, and the Trainer that puts them together."""
