"""Exported policies drive: with a memory or without, of this TensorFlow or an older one."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from robo import config
from robo.driving import actor as actors
from robo.errors import UserError
from robo.learning import agents
from robo.learning.details import MODEL, check_policy, read_details
from robo.learning.export import export_policy
from robo.learning.saved_policy import SavedPolicy

UNKNOWN = b"tensorflow_probability.python.internal.auto_composite_tensor._TFPTypeSpec"
SETS = {
    "ddpg": ["agent.actor_layers=[8]", "agent.critic_layers=[8]"],
    "rdpg": ["agent.input_layers=[8]", "agent.lstm=6", "agent.output_layers=[]", "agent.batch_size=2"],
}


def exported(folder: Path, kind: str) -> actors.Actor:
    """Export a policy with weights that say something; its actor."""
    settings = config.load(sets=[f"agent.type={kind}", *SETS[kind]])
    agent = agents.build(settings, 24)
    actor = actors.build(settings.agent, 24)
    actor.load(np.random.default_rng(1).normal(0.0, 0.5, actor.size).astype(np.float32))
    export_policy(agent, folder, {"score": [1.0, 2.0]}, actor.weights)
    return actor


def grow_old(folder: Path) -> None:
    """Have a SavedModel name a type that this TensorFlow does not know, as those of 2.4 do."""
    from tensorflow.core.protobuf import saved_model_pb2

    model = saved_model_pb2.SavedModel()
    model.ParseFromString((folder / MODEL).read_bytes())
    text = model.SerializeToString()
    for graph in model.meta_graphs:
        for function in graph.object_graph_def.concrete_functions.values():
            signature = function.output_signature.SerializeToString()
            known = b"tfp.distributions.Deterministic_ACTTypeSpec"
            if known in signature:
                for value in function.output_signature.named_tuple_value.values:
                    value.value.type_spec_value.type_spec_class_name = UNKNOWN.decode()
    assert model.SerializeToString() != text
    (folder / MODEL).write_bytes(model.SerializeToString())


@pytest.mark.parametrize("kind", ["ddpg", "rdpg"])
def test_it_does_what_the_actor_does_and_forgets_between_episodes(tmp_path: Path, kind: str) -> None:
    actor = exported(tmp_path / "policy", kind)
    policy = SavedPolicy(tmp_path / "policy")
    random = np.random.default_rng(0)
    for _ in range(2):
        policy.begin()
        actor.begin()
        for _ in range(3):
            vector = random.uniform(0.0, 1.0, 24).astype(np.float32)
            action = policy(vector)
            assert (action.shape, action.dtype) == ((2,), np.float32)
            np.testing.assert_allclose(action, actor(vector[None])[0], atol=1e-5)


def test_one_with_a_type_that_is_no_longer_known_drives_all_the_same(tmp_path: Path) -> None:
    actor = exported(tmp_path / "policy", "ddpg")
    grow_old(tmp_path / "policy")
    with pytest.raises((ValueError, TypeError)):
        tf.saved_model.load(str(tmp_path / "policy"))
    vector = np.linspace(0.0, 1.0, 24, dtype=np.float32)
    np.testing.assert_allclose(SavedPolicy(tmp_path / "policy")(vector), actor(vector[None])[0], atol=1e-5)


def test_an_observation_of_another_form_is_given_in_its_own(tmp_path: Path) -> None:
    """The first system's policies take float32 [8, 3] as it is."""

    class Copying(tf.Module):
        @tf.function
        def action(self, step, state):  # noqa: ANN001, ANN202 TF-Agents' types
            return policy_step.PolicyStep(step.observation[:, 0, :2], state, ())

        @tf.function(input_signature=[tf.TensorSpec([], tf.int32)])
        def get_initial_state(self, batch_size):  # noqa: ANN001, ANN202
            return ()

    from tf_agents.trajectories import policy_step, time_step

    module = Copying()
    spec = time_step.time_step_spec(tf.TensorSpec([8, 3], tf.float32, "observation"))
    batched = tf.nest.map_structure(lambda one: tf.TensorSpec([None, *one.shape], one.dtype, one.name), spec)
    module.action.get_concrete_function(batched, ())
    tf.saved_model.save(module, str(tmp_path / "policy"))
    vector = np.linspace(0.0, 1.0, 24, dtype=np.float32)
    policy = SavedPolicy(tmp_path / "policy")
    np.testing.assert_allclose(policy(vector), vector[:2], atol=1e-6)
    with pytest.raises(UserError, match=r"wants observations of shape \[8, 3\], not 76 numbers"):
        policy(np.zeros(76, np.float32))


def test_what_is_no_policy_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no exported policy"):
        SavedPolicy(tmp_path)
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / MODEL).write_bytes(b"\x0a\xff torn")
    with pytest.raises(UserError, match="can't be read"):
        SavedPolicy(tmp_path / "torn")
    exported(tmp_path / "lost", "ddpg")
    shutil.rmtree(tmp_path / "lost" / "variables")
    with pytest.raises(UserError, match="can't be read"):
        SavedPolicy(tmp_path / "lost")
    tf.saved_model.save(tf.Module(), str(tmp_path / "other"))
    with pytest.raises(UserError, match="a SavedModel, but not of a policy"):
        SavedPolicy(tmp_path / "other")


def test_its_details_are_read_without_it(tmp_path: Path) -> None:
    assert read_details(tmp_path) == {}
    exported(tmp_path / "policy", "ddpg")
    assert read_details(tmp_path / "policy")["score"] == [1.0, 2.0]
    check_policy(tmp_path / "policy")
    with pytest.raises(UserError, match="no exported policy"):
        check_policy(tmp_path)
