"""Exported policies as TensorFlow loads them, our own and those of older versions."""

from __future__ import annotations

import contextlib
import io
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tensorflow.core.protobuf import saved_model_pb2, struct_pb2

with contextlib.redirect_stderr(io.StringIO()):
    from tf_agents.trajectories import time_step

from robo.errors import UserError
from robo.learning.details import MODEL, check_policy

Array = NDArray[np.float32]


class SavedPolicy:
    """A policy of TF-Agents in ``folder``, for one car; it remembers what it saw since ``begin``.

    Raises UserError when there is none. Only its ``action`` and ``get_initial_state`` are used.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._policy = _load(folder)
        if not hasattr(self._policy, "action") or not hasattr(self._policy, "get_initial_state"):
            raise UserError(f"{folder}: a SavedModel, but not of a policy; export one with TF-Agents")
        self._shape = _observation_shape(self._policy, folder)
        self.begin()

    def begin(self) -> None:
        """An episode begins: forget what was seen."""
        self._state = self._policy.get_initial_state(tf.constant(1))
        self._first = True

    def __call__(self, vector: Array) -> Array:
        """The action in -1..1, float32 [2], for the next observation, float32 [O].

        Raises UserError when the policy wants so many numbers more or less.
        """
        if vector.size != int(np.prod(self._shape)):
            raise UserError(
                f"{self._folder}: wants observations of shape {list(self._shape)}, "
                f"not {vector.size} numbers; "
                "set observation.kind, history, action_history and motion to those it was trained with"
            )
        observation = tf.constant(vector.reshape(1, *self._shape))
        if self._first:
            step = time_step.restart(observation, batch_size=1)
        else:
            step = time_step.transition(observation, tf.zeros(1))
        self._first = False
        decision = self._policy.action(step, self._state)
        self._state = decision.state
        return np.clip(tf.nest.flatten(decision.action)[0].numpy()[0], -1.0, 1.0).astype(np.float32)


def _load(folder: Path) -> Any:
    check_policy(folder)
    broken = UserError(f"{folder}: {MODEL} or its variables can't be read; export the policy again")
    try:
        return tf.saved_model.load(str(folder))
    except (OSError, tf.errors.OpError):
        raise broken from None
    except (ValueError, TypeError, KeyError, AttributeError, NotImplementedError):
        pass  # most likely a type that this version of TensorFlow does not know
    try:
        with _without_types(folder) as copy:
            return tf.saved_model.load(str(copy))
    except Exception:  # whatever a damaged file makes TensorFlow raise
        raise broken from None


@contextlib.contextmanager
def _without_types(folder: Path) -> Iterator[Path]:
    """A copy of a SavedModel whose functions don't say of which registered types their results are.

    Policies saved by TensorFlow 2.4 name a distribution's type that later versions have no more
    (``_TFPTypeSpec``), in ``distribution``, which nobody needs for driving.
    """
    model = saved_model_pb2.SavedModel()
    model.ParseFromString((folder / MODEL).read_bytes())
    for graph in model.meta_graphs:
        objects = graph.object_graph_def
        nameless = {
            name
            for name, function in objects.concrete_functions.items()
            if _names_a_type(function.output_signature)
        }
        for name in nameless:
            nothing = struct_pb2.StructuredValue(none_value=struct_pb2.NoneValue())
            objects.concrete_functions[name].output_signature.CopyFrom(nothing)
    with tempfile.TemporaryDirectory(prefix="robo-policy-") as temporary:
        copy = Path(temporary)
        (copy / MODEL).write_bytes(model.SerializeToString())
        for name in ("variables", "assets"):
            if (folder / name).is_dir():
                (copy / name).symlink_to((folder / name).resolve())
        yield copy


def _names_a_type(value: struct_pb2.StructuredValue) -> bool:
    """Whether a registered type is part of a function's signature."""
    kind = value.WhichOneof("kind")
    if kind == "type_spec_value":
        return value.type_spec_value.type_spec_class == struct_pb2.TypeSpecProto.REGISTERED_TYPE_SPEC
    if kind in ("list_value", "tuple_value"):
        return any(map(_names_a_type, getattr(value, kind).values))
    if kind == "dict_value":
        return any(map(_names_a_type, value.dict_value.fields.values()))
    if kind == "named_tuple_value":
        return any(_names_a_type(pair.value) for pair in value.named_tuple_value.values)
    return False


def _observation_shape(policy: Any, folder: Path) -> Sequence[int]:
    """Of one observation, without the batch: the shape of the only tensor that is called so."""
    signature = policy.action.concrete_functions[0].structured_input_signature
    found = [spec for spec in tf.nest.flatten(signature) if "observation" in str(getattr(spec, "name", ""))]
    if len(found) != 1:
        raise UserError(f"{folder}: a policy that sees {len(found)} things; one observation is supported")
    return found[0].shape[1:].as_list()
