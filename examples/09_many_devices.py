"""The same environments on every device there is.

Each device steps its own share: nothing is sent between them until the means are taken.
Two devices on a CPU: XLA_FLAGS=--xla_force_host_platform_device_count=2 python THIS_FILE
"""

import time

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec as P

import metaenvs


def main(envs: int = 256, steps: int = 500) -> None:
    env, params = metaenvs.make("RandomProjection-Lite-v0")
    mesh = jax.make_mesh((jax.device_count(),), ("envs",))
    if envs % mesh.size:
        raise ValueError(f"envs={envs} must be a multiple of the {mesh.size} devices")

    def one_step(loop, _):
        key, state = loop
        key, key_act, key_step = jax.random.split(key, 3)
        action = jax.random.uniform(key_act, (env.action_size,), minval=-1, maxval=1)
        _, state, reward, *_ = env.step(key_step, state, action, params)
        return (key, state), reward

    def rollout(key):
        key_reset, key = jax.random.split(key)
        _, state = env.reset(key_reset, params)
        return jax.lax.scan(one_step, (key, state), length=steps)[1]

    @jax.jit
    @jax.shard_map(mesh=mesh, in_specs=P("envs"), out_specs=P("envs"), check_vma=False)
    def rollouts(keys):
        return jax.vmap(rollout)(keys)

    keys = jax.random.split(jax.random.key(0), envs)
    keys = jax.device_put(keys, jax.NamedSharding(mesh, P("envs")))
    rewards = rollouts(keys).block_until_ready()  # compiled here
    start = time.perf_counter()
    rewards = rollouts(keys).block_until_ready()
    seconds = time.perf_counter() - start
    share = rewards.addressable_shards[0].data.shape[0]
    print(
        f"{mesh.size} devices, {share} environments on each, {envs * steps / seconds:,.0f} steps/s"
    )
    print(f"mean reward {jnp.mean(rewards):.3f}")


if __name__ == "__main__":
    main()
