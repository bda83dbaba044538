"""Lu et al. 2023 (arXiv 2303.03982): returns of Muesli agents, at the end and on the way.

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
"""By task and memory, after 2e9 frames."""

CURVES: dict[int, dict[str, tuple[int, ...]]] = {
    50_000_000: {
        "S5": (95, 162, 22, 210, 20, 536),
        "LSTM": (92, 115, 5, 121, 9, 338),
        "MLP": (91, 88, 4, 122, 9, 303),
    },
    100_000_000: {
        "S5": (141, 213, 52, 289, 30, 704),
        "LSTM": (104, 147, 7, 167, 9, 478),
        "MLP": (106, 102, 4, 148, 9, 392),
    },
    200_000_000: {
        "S5": (332, 253, 98, 330, 92, 791),
        "LSTM": (106, 169, 20, 219, 11, 586),
        "MLP": (117, 112, 8, 201, 8, 507),
    },
    500_000_000: {
        "S5": (809, 373, 345, 401, 366, 905),
        "LSTM": (181, 251, 78, 323, 30, 792),
        "MLP": (136, 147, 17, 280, 7, 693),
    },
    1_000_000_000: {
        "S5": (945, 532, 565, 597, 762, 916),
        "LSTM": (810, 384, 308, 394, 156, 886),
        "MLP": (143, 166, 29, 311, 5, 718),
    },
}
"""By frames and memory: the training tasks, in the order of `RETURNS`, smoothed."""
