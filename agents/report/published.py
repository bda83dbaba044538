"""Lu et al. 2023 (arXiv 2303.03982): returns of Muesli agents after 2e9 frames.

Raw returns of 1000-step episodes, mean of 3 seeds, read from the paper's plots to about 3.
"""

SUITE = "RandomProjection-v0"
PAPER = "Lu et al. 2023, 2e9 frames"

RETURNS: dict[str, dict[str, float]] = {
    "ball_in_cup_catch": {"S5": 949, "LSTM": 913, "MLP": 143},
    "cartpole_swingup": {"S5": 615, "LSTM": 511, "MLP": 161},
    "finger_spin": {"S5": 813, "LSTM": 434, "MLP": 35},
    "finger_turn_hard": {"S5": 750, "LSTM": 412, "MLP": 319},
    "point_mass_easy": {"S5": 801, "LSTM": 735, "MLP": 7},
    "reacher_easy": {"S5": 918, "LSTM": 899, "MLP": 734},
    "cartpole_balance": {"S5": 456, "LSTM": 276, "MLP": 233},
    "finger_turn_easy": {"S5": 810, "LSTM": 519, "MLP": 460},
    "pendulum_swingup": {"S5": 4, "LSTM": 4, "MLP": 3},
    "point_mass_hard": {"S5": 685, "LSTM": 498, "MLP": 5},
    "reacher_hard": {"S5": 606, "LSTM": 585, "MLP": 295},
}
