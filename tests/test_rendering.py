"""Pictures: where parts lie, against dm_control's models; what a GIF holds."""

import ast
import base64
import io
import json
import pathlib
import re
import zlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from dm_control import suite
from matplotlib import colors
from PIL import Image

import metaenvs
from metaenvs import tasks
from metaenvs.rendering import animation, brax_page, frames, scenes
from metaenvs.tasks.base import Task
from metaenvs.tasks.dm_control.pendulum import Pendulum, PendulumParams

# One task of every kind of scene, and how its plane lies in dm_control's world.
VERTICAL, TABLE = (0, 2), (0, 1)
PLANES = {
    "acrobot_swingup": VERTICAL,
    "ball_in_cup_catch": VERTICAL,
    "cartpole_swingup": VERTICAL,
    "finger_spin": VERTICAL,
    "finger_turn_easy": VERTICAL,
    "finger_turn_hard": VERTICAL,
    "pendulum_swingup": VERTICAL,
    "point_mass_easy": TABLE,
    "reacher_easy": TABLE,
    "reacher_hard": TABLE,
}
SPHERE, CAPSULE, CYLINDER, BOX = 2, 3, 5, 6  # MuJoCo's types of geoms and sites
# Behind rail1, and what shows nothing new in a plane.
NOT_DRAWN = {"rail2"}


def state_of(name, **fields):
    """A state of zeros with some fields set; nothing is compiled."""
    task = tasks.make(name)
    _, shapes = jax.eval_shape(task.reset_env, jax.random.key(0), task.default_params)
    state = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), shapes)
    return state.replace(**{k: np.asarray(v, np.float32) for k, v in fields.items()})


def support(kind, size, centre, frame, directions):
    """How far a shape of MuJoCo's reaches along some directions `[n, 3]` of a plane."""
    along = np.abs(directions @ frame)  # with the shape's own axes
    if kind == SPHERE:
        reach = size[0]
    elif kind == CAPSULE:
        reach = size[0] + size[1] * along[:, 2]
    elif kind == CYLINDER:
        np.testing.assert_allclose(along[:, 2], 0.0, atol=1e-6)  # seen from its end
        reach = size[0]
    else:
        assert kind == BOX
        reach = along @ size
    return directions @ centre + reach


def names_of(physics, what):
    count = getattr(physics.model, f"n{what}")
    return [physics.model.id2name(i, what) for i in range(count)]


@pytest.mark.parametrize("name", PLANES)
def test_parts_lie_where_dm_control_has_them(name):
    domain = next(d for d in suite.TASKS_BY_DOMAIN if name.startswith(d + "_"))
    environment = suite.load(domain, name.removeprefix(domain + "_"), {"random": 3})
    environment.reset()
    physics = environment.physics
    plane = list(PLANES[name])
    task, data, model = tasks.make(name), physics.named.data, physics.named.model

    fields = {}
    if domain == "reacher":
        fields["target"] = model.geom_pos["target"][plane]
    elif name.startswith("finger_turn"):
        offset = data.site_xpos["target"] - data.xpos["spinner"]
        fields["target"] = offset[plane]

    random = np.random.default_rng(0)
    angles = np.linspace(0.0, 2.0 * np.pi, 16, endpoint=False)
    directions = np.zeros((len(angles), 3))
    directions[:, plane] = np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    for _ in range(3):
        with physics.reset_context():
            scale = 0.25 if domain in ("point_mass", "ball_in_cup") else 1.5
            physics.data.qpos[:] = random.uniform(-scale, scale, physics.model.nq)
        state = state_of(name, qpos=physics.data.qpos, **fields)
        parts = {p.name: p for p in scenes.find(task).parts(state, task.default_params)}

        checked = set()
        for what in ("geom", "site"):
            for i, part_name in enumerate(names_of(physics, what)):
                kind = int(getattr(physics.model, f"{what}_type")[i])
                part = parts.get(part_name)
                # Planes have no end; a site may be named like the geom it is inside of.
                if part is None or kind == 0 or part_name in checked:
                    continue
                centre = getattr(physics.data, f"{what}_xpos")[i]
                frame = getattr(physics.data, f"{what}_xmat")[i].reshape(3, 3)
                size = getattr(physics.model, f"{what}_size")[i]
                middle = 0.5 * (part.outline.min(0) + part.outline.max(0))
                np.testing.assert_allclose(middle, centre[plane], atol=2e-4, err_msg=part_name)
                checked.add(part_name)
                if part.role != "mark":  # marks may be drawn larger than they are
                    reach = (part.outline @ directions[:, plane].T).max(axis=0)
                    expected = support(kind, size, centre, frame, directions)
                    np.testing.assert_allclose(
                        reach, expected, atol=0.005 * size.max(), err_msg=part_name
                    )
        solid = {
            part_name
            for i, part_name in enumerate(names_of(physics, "geom"))
            if physics.model.geom_type[i] != 0
        }
        assert solid - NOT_DRAWN <= checked


def test_every_task_is_drawable_and_the_scenes_are_all_tested():
    assert set(scenes.drawable()) == set(tasks.task_names)
    tested = {type(tasks.make(name)) for name in PLANES}
    assert tested == set(scenes.SCENES)


@pytest.mark.parametrize("name", PLANES)
def test_every_coordinate_changes_the_picture(name):
    task = tasks.make(name)
    picture = frames.Picture(task)
    qpos = state_of(name).qpos
    before = picture.draw(frames.Moment(state_of(name)))
    assert before.dtype == np.uint8 and before.shape[2] == 3
    for i in range(len(qpos)):
        moved = qpos.copy()
        moved[i] = 0.1
        after = picture.draw(frames.Moment(state_of(name, qpos=moved)))
        # More pixels than a rounding at some edge would change.
        assert np.any(before != after, axis=-1).sum() > 20
    # A picture keeps nothing of what it drew before.
    np.testing.assert_array_equal(picture.draw(frames.Moment(state_of(name))), before)


def colour_at(picture, image, point):
    """Of the pixel under a point of the scene."""
    x, y = picture.axes.transData.transform(point)
    return image[image.shape[0] - 1 - int(y), int(x)]


def face(role):
    return np.round(255 * np.array(colors.to_rgb(frames._LOOKS[role]["facecolor"])))


@pytest.mark.parametrize("angle", [-2.0, 0.0, 0.7])
def test_pole_tip_is_drawn_where_it_is(angle):
    task = tasks.make("cartpole_swingup")
    picture = frames.Picture(task)
    image = picture.draw(frames.Moment(state_of("cartpole_swingup", qpos=[0.4, angle])))
    along = np.array([np.sin(angle), np.cos(angle)])
    tip = np.array([0.4, 1.0]) + 1.0 * along
    np.testing.assert_allclose(colour_at(picture, image, tip), face("effector"), atol=1)
    beyond = colour_at(picture, image, tip + 0.1 * along)
    assert np.abs(beyond - face("effector")).max() > 30


def test_fingertip_is_drawn_where_it_is():
    task = tasks.make("reacher_easy")
    picture = frames.Picture(task)
    state = state_of("reacher_easy", qpos=[0.5, 0.8], target=[-0.2, -0.1])
    image = picture.draw(frames.Moment(state))
    finger = 0.12 * np.array([np.cos(0.5) + np.cos(1.3), np.sin(0.5) + np.sin(1.3)])
    np.testing.assert_allclose(colour_at(picture, image, finger), face("effector"), atol=1)


class Short(Pendulum):
    """A task of a user's own: it looks like the domain it derives from."""


@pytest.fixture(scope="module")
def short():
    task = Short("pendulum_short", PendulumParams(max_steps_in_episode=5))
    return metaenvs.RandomProjection(
        [task, "point_mass_easy"],
        obs_size=4,
        episodes_per_trial=2,
        observe=("reward", "done"),
        splits={"long": [task.name, "point_mass_easy"]},
        dynamics={"long": {"length": (1.5, 1.5)}},
    )


class Counting:
    """Acts by how often it has acted since its memory was last emptied."""

    def init_carry(self, n):
        return jnp.full(n, 7.0)

    def act(self, carry, obs, reset, key):
        carry = jnp.where(reset, 0.0, carry) + 1.0
        return carry, jnp.stack([0.01 * carry, 0.0 * carry], axis=-1)


def test_rollout_is_the_trial_that_the_agent_lives_in(short):
    policy, steps = Counting(), 10
    rollout = animation.roll_out(short, "pendulum_short", policy, steps, seed=4)

    params = short.params_for(tasks=("pendulum_short",))
    key_reset, key_steps = jax.random.split(jax.random.key(4))
    obs, state = short.reset(key_reset, params)
    step = jax.jit(short.step_env)
    for t in range(steps):
        np.testing.assert_allclose(rollout.observation[t], obs, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(
            rollout.state.qpos[t], short.task_state(state).qpos, rtol=1e-5, atol=1e-6
        )
        action = jnp.array([0.01 * (t + 1), 0.0])
        u = (state.projection.action @ action)[:1]
        np.testing.assert_allclose(rollout.action[t + 1], u, rtol=1e-5)
        _, key_env = jax.random.split(jax.random.fold_in(key_steps, t))
        obs, state, reward, _, info = step(key_env, state, action, params)
        np.testing.assert_allclose(rollout.reward[t + 1], reward, rtol=1e-5, atol=1e-6)
        assert rollout.episode[t + 1] == info["episode_index"]
    # What is drawn are the links that the trial has drawn.
    np.testing.assert_allclose(rollout.params.length, 1.5 * PendulumParams().length)
    assert rollout.observed == (("projected", 4), ("reward", 1), ("done", 1))
    assert np.flatnonzero(rollout.observation[:, -1]).tolist() == [5, 10]
    assert rollout.episode.tolist() == [0] * 6 + [1] * 5

    moments = list(rollout.moments(every=5))
    assert [m.text.split("  reward")[0] for m in moments] == [
        "step    0  episode 1",
        "step    5  episode 1",
        "step   10  episode 2",
    ]
    assert [len(m.observations) for m in moments] == [1, 6, 11]
    assert np.abs(moments[-1].observations).max() <= 1.0


def test_strip_shows_the_observations_newest_at_the_right(short):
    task = short.tasks.tasks[0]
    picture = frames.Picture(task, observed=(("projected", 4), ("done", 1)))
    state = state_of("pendulum_swingup")
    empty = picture.draw(frames.Moment(state, observations=np.zeros((0, 5))))
    one = picture.draw(frames.Moment(state, observations=np.ones((1, 5))))
    changed = np.argwhere(np.any(empty != one, axis=-1))
    assert changed[:, 0].min() > 0.6 * one.shape[0]
    assert changed[:, 1].min() > 0.9 * one.shape[1]


def test_gif_can_be_read_and_is_replaced_only_on_request(short, tmp_path, monkeypatch):
    path = tmp_path / "made" / "short.gif"
    options = {"task": "pendulum_short", "steps": 10, "fps": 20}
    rollout = animation.roll_out(short, options["task"], steps=options["steps"])
    asked = []
    # Compiled once is enough.
    monkeypatch.setattr(animation, "roll_out", lambda *args, **_: asked.append(args) or rollout)
    assert animation.save_gif(short, path, every=2, **options) == path
    with Image.open(path) as image:
        assert image.format == "GIF" and image.n_frames == 6
        assert image.info["duration"] == 50 and image.info["loop"] == 0
        image.seek(5)
        assert image.convert("RGB").size == image.size
    kept = path.read_bytes()
    with pytest.raises(FileExistsError, match=r"short\.gif exists.*overwrite"):
        animation.save_gif(short, path, every=1, **options)
    assert path.read_bytes() == kept
    animation.save_gif(short, path, every=1, overwrite=True, **options)
    with Image.open(path) as image:
        assert image.n_frames == 11
    # A notebook shows it.
    shown = re.fullmatch(
        r'<img src="data:image/gif;base64,(.*)" alt="A trial">', rollout._repr_html_()
    )
    with Image.open(io.BytesIO(base64.b64decode(shown[1]))) as image:
        assert image.n_frames == 11
    assert list(path.parent.iterdir()) == [path]
    assert asked == [(short, "pendulum_short", None, 10, 0)] * 2


def test_a_failure_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "old.gif"
    path.write_bytes(b"old")

    def fail(self, file, **options):
        file.write_bytes(b"half a file")
        raise OSError("disk full")

    monkeypatch.setattr(Image.Image, "save", fail)
    with pytest.raises(OSError, match="disk full"):
        animation._write([Image.new("RGB", (4, 4))] * 2, path, fps=25)
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


def test_bad_input_is_named(short, tmp_path):
    path = tmp_path / "a.gif"
    with pytest.raises(ValueError, match=r"'cartpole_swngup'.*Did you mean 'cartpole_swingup'"):
        animation.save_gif("cartpole_swngup", path)
    with pytest.raises(ValueError, match=r"'reacher_easy'.*Choices: pendulum_short, point_mass"):
        animation.save_gif(short, path, task="reacher_easy")
    with pytest.raises(ValueError, match=r"say which task: one of pendulum_short, point_mass"):
        animation.save_gif(short, path)
    with pytest.raises(ValueError, match=r"from 1 to 10, the trial's length, got 11"):
        animation.save_gif(short, path, task="pendulum_short", steps=11)
    with pytest.raises(ValueError, match=r"must end in \.gif, got 'a\.png'"):
        animation.save_gif(short, "a.png", task="pendulum_short")
    with pytest.raises(ValueError, match=r"fps must be from 1 to 50, got 0"):
        animation.save_gif(short, path, task="pendulum_short", fps=0)
    with pytest.raises(ValueError, match=r"every must be at least 1, got 0"):
        animation.save_gif(short, path, task="pendulum_short", every=0)
    with pytest.raises(TypeError, match=r"a task's name; got 3"):
        animation.save_gif(3, path)
    with pytest.raises(ValueError, match=r"'brick' has no scene.*Drawable tasks: acrobot_swingup"):
        scenes.find(Task("brick", None))
    assert not path.exists()


def test_a_brax_trial_becomes_a_page(tmp_path):
    path = brax_page.save_page("brax_inverted_pendulum", tmp_path / "pole.html", steps=5)
    packed = re.search(r'var system = "([^"]+)"', path.read_text()).group(1)
    content = json.loads(zlib.decompress(base64.b64decode(packed)))
    assert len(content["states"]["x"]) == 6  # the start and five steps
    with pytest.raises(FileExistsError, match="overwrite=True"):
        brax_page.save_page("brax_inverted_pendulum", path)
    with pytest.raises(ValueError, match=r"end in \.html, got 'a\.gif'"):
        brax_page.save_page("brax_inverted_pendulum", "a.gif")
    with pytest.raises(ValueError, match=r"'brax_inverted_pendulum' has no scene.*\.html"):
        animation.save_gif("brax_inverted_pendulum", tmp_path / "pole.gif")
    with pytest.raises(ValueError, match=r"'pendulum_swingup' is no task of Brax"):
        brax_page.save_page("pendulum_swingup", tmp_path / "other.html", steps=1)


def test_importing_the_package_leaves_rendering_alone():
    package = pathlib.Path(metaenvs.__file__).parent
    for file in package.rglob("*.py"):
        if file.parent.name == "rendering":
            continue
        for node in ast.parse(file.read_text()).body:
            names = [alias.name for alias in getattr(node, "names", [])]
            modules = [getattr(node, "module", None) or "", *names]
            for module in modules:
                heavy = module.startswith(("matplotlib", "PIL", "metaenvs.rendering", "rendering"))
                assert not heavy, f"{file} imports {module}"
