"""The proof that a model answers here as it was trained: no answer is given before it.

Compared are what the tokens are made by (template, tokenizer), what the adapter stands on (the base's weights), and
the scores of rows that the training path wrote down (`worker.training.parity`), computed here as any answer is: prompt,
cache, token by token, in a batch with sequences of the plain base. Those show whether the adapter changes anything.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from time import monotonic
from typing import Final

from core.errors import AppError
from core.inference.types import Proof
from worker.inference.adapter_weights import AdapterWeights
from worker.inference.probe import Probe
from worker.inference.runtime import BaseRuntime
from worker.training.parity import Identity, Reference

# The largest difference of a score (logit) that counts as the same, by the coarser type of the two paths.
# docs/base-models.md has the table of all that is compared.
# Rounding to bfloat16 alone was seen to come to 0.9 for SmolLM2, whose scores reach 30.
TOLERANCES: Final = {"float32": 0.01, "bfloat16": 3.0}
# the least change that counts as one; a null adapter changes at most the last bits (some 1e-5)
MIN_EFFECT: Final = 1e-4
_TIMEOUT_S: Final = 120.0


@dataclass(frozen=True, slots=True)
class _Failure:
    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class Served:
    """What is to answer for the adapter."""

    serving_dtype: str
    hardware: str
    fingerprint: str
    identity: Identity


def prove(
    runtime: BaseRuntime, adapter: AdapterWeights, reference: Reference, submit: Callable[[Probe], None]
) -> Proof:
    """By our own runtime. Raises `RateLimited` or `Unavailable` where it has no time for it; then nothing is known."""
    dtype = str(runtime.dtype).removeprefix("torch.")
    served = Served(dtype, runtime.hardware, runtime.fingerprint, runtime.identity)
    return judged(served, reference, lambda: _compared(runtime, adapter, reference, submit))


def judged(served: Served, reference: Reference, compare: Callable[[], tuple[float, float]]) -> Proof:
    """`compare` returns the largest difference from what the trainer computed, and from the plain base.

    It is not called where what the model stands on is not what it was trained with.
    """
    started = monotonic()
    is_exact = {reference.compute_dtype, served.serving_dtype} == {"float32"}
    tolerance = TOLERANCES["float32" if is_exact else "bfloat16"]
    about = {
        "tolerance": tolerance,
        "min_effect": MIN_EFFECT,
        "training_dtype": reference.compute_dtype,
        "serving_dtype": served.serving_dtype,
        "hardware": served.hardware,
        "fingerprint": served.fingerprint,
        "template_sha256": served.identity.template_sha256,
        "tokenizer_sha256": served.identity.tokenizer_sha256,
        "base_sha256": served.identity.base_sha256,
    }
    for found in _other_identity(reference.identity, served.identity):
        return Proof(is_passed=False, code=found.code, reason=found.reason, **about)
    difference, effect = compare()
    failure = _verdict(difference, effect, tolerance)
    return Proof(
        is_passed=failure is None,
        code=failure and failure.code,
        reason=failure and failure.reason,
        num_rows=len(reference.rows),
        num_places=sum(len(row.scores_PK) for row in reference.rows),
        max_difference=difference if math.isfinite(difference) else None,
        effect=effect if math.isfinite(effect) else None,
        seconds=round(monotonic() - started, 3),
        **about,
    )


def _other_identity(trained: Identity, served: Identity) -> Iterator[_Failure]:
    if trained.template_sha256 != served.template_sha256:
        yield _Failure(
            code="proof_template_differs",
            reason="The base model's chat template is not the one this model was trained with, so it would be asked "
            "in a form that it never saw. Have an admin put the base model's folder back as it was, or train again.",
        )
    if trained.tokenizer_sha256 != served.tokenizer_sha256:
        yield _Failure(
            code="proof_tokenizer_differs",
            reason="The base model's tokenizer is not the one this model was trained with, so it would read other "
            "tokens. Have an admin put the base model's folder back as it was, or train again.",
        )
    if trained.base_sha256 != served.base_sha256:
        yield _Failure(
            code="proof_base_differs",
            reason="The base model's weights are not those this model was trained on. Have an admin put the base "
            "model's folder back as it was, or train again.",
        )


def _compared(
    runtime: BaseRuntime, adapter: AdapterWeights, reference: Reference, submit: Callable[[Probe], None]
) -> tuple[float, float]:
    """The largest difference from the training path, and the largest change that the adapter makes; in logits."""
    # All at once: a step for many costs little more than one for two, and whoever comes meanwhile gets the next place
    # that is free (`Lane.next_waiting`).
    probes = [
        Probe(runtime, row.token_ids, len(row.scores_PK), weights)
        for row in reference.rows
        for weights in (adapter, None)
    ]
    difference = effect = 0.0
    try:
        for probe in probes:
            submit(probe)
        for at, row in enumerate(reference.rows):
            tuned, plain = (probe.scores(timeout_s=_TIMEOUT_S) for probe in probes[2 * at : 2 * at + 2])
            difference = max(difference, float((tuned.gather(1, row.score_ids_PK) - row.scores_PK).abs().max()))
            effect = max(effect, float((tuned - plain).abs().max()))
    except AppError as error:
        if error.error_code == "model_not_finite":
            return math.inf, math.inf
        raise
    finally:
        for probe in probes:
            probe.cancel()
    return difference, effect


def _verdict(difference: float, effect: float, tolerance: float) -> _Failure | None:
    if effect < MIN_EFFECT:
        return _Failure(
            code="proof_no_effect",
            reason="It answers exactly as the base model does: what was trained changes nothing. Train again with more "
            "examples or a higher learning rate, or use the base model.",
        )
    if not difference <= tolerance:
        return _Failure(
            code="proof_answers_differ",
            reason="It would answer differently here than where it was trained: scores differ by "
            f"{difference:.3g}, and at most {tolerance:g} is allowed. Its files or the model server are not as "
            "they were; train it again, and tell an admin if that does not help.",
        )
    return None
