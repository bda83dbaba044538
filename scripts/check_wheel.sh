#!/usr/bin/env bash
# Build the wheel, and use it as a newcomer would: scripts/check_wheel.sh [PYTHON]
# Installs into an environment of its own, away from the sources. `python -m build` and twine
# must be at hand in the environment that $BUILDER names (default: python3).
set -euo pipefail
python=${1:-python3}
builder=${BUILDER:-python3}
builder=$(command -v "$builder") && builder=$(realpath --no-symlinks "$builder")
root=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$builder" -m build --outdir "$work/dist" "$root" > "$work/build.log" || { cat "$work/build.log"; exit 1; }
"$builder" -m twine check --strict "$work"/dist/*

"$python" -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  -c "$root/requirements.lock" "$work"/dist/*.whl
cd "$work"
"$work/venv/bin/python" - <<'PYTHON'
import importlib.resources
import platform

import jax

import metaenvs

env, params = metaenvs.make("RandomProjection-Lite-v0")
key = jax.random.key(0)
obs, state = env.reset(key, params)
obs, state, reward, terminated, truncated, info = env.step(
    key, state, env.action_space(params).sample(key), params
)
assert obs.shape == (env.observation_size,) and reward.shape == ()
for package in ("metaenvs", "agents"):
    assert importlib.resources.files(package).joinpath("py.typed").is_file(), package
print(f"Python {platform.python_version()}, jax {jax.__version__}, metaenvs {metaenvs.__version__}")
PYTHON
"$work/venv/bin/metaenvs" --help | head -1
# One update of the demo, on fewer environments.
"$work/venv/bin/metaenvs" train --preset demo --steps 2000 --envs 4 --out "$work/run" > "$work/train.log" \
  || { cat "$work/train.log"; exit 1; }
test -s "$work/run/metrics.jsonl"
echo "the wheel works"
