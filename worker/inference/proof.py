"""The proof that a model answers here as it was trained: no answer is given before it.

Compared are what the tokens are made by (template, tokenizer), what the adapter stands on (the base's weights), and
the scores of rows that the training path wrote down (`worker.training.parity`), computed here as any answer is: prompt,
cache, token by token, in a batch with sequences of the plain base. Those show whether the adapter changes anything.

In float32 both paths come to the same scores but for the last bits. In bfloat16 every layer rounds, and how much of it
arrives in a score depends on the base: a bound that no base exceeds would let an adapter through that is served twice
as strong as it was trained. So the rounding is measured in the same proof: the trainer wrote down what the base says
without the adapter too, and where template, tokenizer and weights are the same, all that the base's scores differ by
is rounding. The adapter's may differ by `TIMES_ROUNDING` of that, both as root mean squares over all scores compared:
of thousands, the largest is one unlucky one. Where nothing says what the base said (a method that changes it, a file
of before), the bound for all bases is what is left.

Seen, as the adapter's over the base's, for adapters of noise trained in bfloat16: 0.8 to 1.3 on two layers served in
float32 and bfloat16, up to 1.9 on SmolLM2. Served at twice its strength one comes to 9, at half to 5. What changes
scores by less than rounding does cannot be told from it, whatever the bound.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Final

import torch

from core.errors import AppError
from core.inference.types import Proof
from worker.inference.adapter_weights import AdapterWeights
from worker.inference.probe import Probe
from worker.inference.runtime import BaseRuntime
from worker.training.parity import Identity, Reference, ReferenceRow

# The largest difference of a score (logit) that counts as the same, by the coarser type of the two paths.
# docs/base-models.md has the table of all that is compared.
# Rounding to bfloat16 alone was seen to come to 0.9 for SmolLM2, whose scores reach 30.
TOLERANCES: Final = {"float32": 0.01, "bfloat16": 3.0}
TIMES_ROUNDING: Final = 3.0
# of the scores: what writing them down in bfloat16 takes from them, half of its last place, though all else were equal
_LEAST_ROUNDING: Final = 2.0**-9
# Seen were 0.4 to 2 %. What differs by more is another base, and would excuse whatever it does to the adapter.
_MOST_ROUNDING: Final = 2.0**-4
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


@dataclass(frozen=True, slots=True)
class Compared:
    """Largest difference and effect; and as root mean squares the difference, and that of the base alone if known."""

    difference: float
    effect: float
    typical_difference: float | None = None
    rounding: float | None = None

    @property
    def typical_tolerance(self) -> float | None:
        return None if self.rounding is None else TIMES_ROUNDING * self.rounding


def prove(
    runtime: BaseRuntime, adapter: AdapterWeights, reference: Reference, submit: Callable[[Probe], None]
) -> Proof:
    """By our own runtime. Raises `RateLimited` or `Unavailable` where it has no time for it; then nothing is known."""
    dtype = str(runtime.dtype).removeprefix("torch.")
    served = Served(dtype, runtime.hardware, runtime.fingerprint, runtime.identity)
    is_exact = _is_exact(served, reference)
    return judged(served, reference, lambda: _compared(runtime, adapter, reference, submit, is_exact=is_exact))


def judged(served: Served, reference: Reference, compare: Callable[[], Compared]) -> Proof:
    """`compare` says how far the answers are from what the trainer computed, and from the plain base.

    It is not called where what the model stands on is not what it was trained with.
    """
    started = monotonic()
    is_exact = _is_exact(served, reference)
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
    for other in _other_identity(reference.identity, served.identity):
        return Proof(is_passed=False, code=other.code, reason=other.reason, **about)
    found = compare()
    failure = _verdict(found, tolerance)
    return Proof(
        is_passed=failure is None,
        code=failure and failure.code,
        reason=failure and failure.reason,
        num_rows=len(reference.rows),
        num_places=sum(len(row.scores_PK) for row in reference.rows),
        max_difference=found.difference if math.isfinite(found.difference) else None,
        typical_difference=found.typical_difference,
        typical_tolerance=found.typical_tolerance,
        effect=found.effect if math.isfinite(found.effect) else None,
        seconds=round(monotonic() - started, 3),
        **about,
    )


def _is_exact(served: Served, reference: Reference) -> bool:
    return {reference.compute_dtype, served.serving_dtype} == {"float32"}


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
    runtime: BaseRuntime,
    adapter: AdapterWeights,
    reference: Reference,
    submit: Callable[[Probe], None],
    *,
    is_exact: bool,
) -> Compared:
    """How far the scores are from the training path, and how far the adapter moves them; in logits."""
    rows = sorted(reference.rows, key=lambda row: len(row.token_ids))
    if not rows:
        return Compared(0.0, 0.0)
    has_rounding = not is_exact and all(row.base_scores_PK is not None for row in rows)
    # where rounding is not measured, the plain base is asked only until it is seen to answer otherwise
    num_plain = len(rows) if has_rounding else 1
    asked = [
        (row, weights) for at, row in enumerate(rows) for weights in ((adapter, None) if at < num_plain else (adapter,))
    ]
    try:
        scores = _scores(runtime, submit, asked)
        tuned = [one for one, (_, weights) in zip(scores, asked, strict=True) if weights]
        plain = [one for one, (_, weights) in zip(scores, asked, strict=True) if not weights]
        if _effect(tuned, plain) < MIN_EFFECT:
            plain += _scores(runtime, submit, [(row, None) for row in rows[num_plain:]])
    except AppError as error:
        if error.error_code == "model_not_finite":
            return Compared(math.inf, math.inf)
        raise
    differences = _flat(one.gather(1, row.score_ids_PK) - row.scores_PK for one, row in zip(tuned, rows, strict=True))
    largest, effect = float(differences.abs().max()), _effect(tuned, plain)
    if not has_rounding:
        return Compared(largest, effect)
    of_base = _flat(
        one.gather(1, row.score_ids_PK) - row.base_scores_PK
        for one, row in zip(plain, rows, strict=True)
        if row.base_scores_PK is not None
    )
    size = _root_mean_square(_flat(row.scores_PK for row in rows))
    rounding = min(max(_root_mean_square(of_base), _LEAST_ROUNDING * size), _MOST_ROUNDING * size)
    return Compared(largest, effect, _root_mean_square(differences), rounding)


def _scores(
    runtime: BaseRuntime,
    submit: Callable[[Probe], None],
    asked: Sequence[tuple[ReferenceRow, AdapterWeights | None]],
) -> list[torch.Tensor]:
    """Of each row, with what was learned or without (PV).

    All at once: a step for many costs little more than one for two, and whoever comes meanwhile gets the next place
    that is free (`Lane.next_waiting`).
    """
    probes = [Probe(runtime, row.token_ids, len(row.scores_PK), weights) for row, weights in asked]
    try:
        for probe in probes:
            submit(probe)
        return [probe.scores(timeout_s=_TIMEOUT_S) for probe in probes]
    finally:
        for probe in probes:
            probe.cancel()


def _effect(tuned: Sequence[torch.Tensor], plain: Sequence[torch.Tensor]) -> float:
    """The largest change, over the rows that both are known of."""
    return max(float((one - other).abs().max()) for one, other in zip(tuned, plain, strict=False))


def _flat(parts: Iterable[torch.Tensor]) -> torch.Tensor:
    return torch.cat([part.flatten() for part in parts])


def _root_mean_square(values: torch.Tensor) -> float:
    return float(values.double().square().mean().sqrt())


def _verdict(found: Compared, tolerance: float) -> _Failure | None:
    difference = found.difference
    if found.effect < MIN_EFFECT:
        return _Failure(
            code="proof_no_effect",
            reason="It answers exactly as the base model does: what it learned changes nothing. Train again with more "
            "examples or a higher learning rate, or use the base model.",
        )
    if not difference <= tolerance:
        return _Failure(
            code="proof_answers_differ",
            reason="It would answer differently here than where it was made: scores differ by "
            f"{difference:.3g}, and at most {tolerance:g} is allowed. Its files or the model server are not as "
            "they were; make or bring it again, and tell an admin if that does not help.",
        )
    typical, allowed = found.typical_difference, found.typical_tolerance
    if typical is not None and allowed is not None and typical > allowed:
        return _Failure(
            code="proof_answers_differ",
            reason="It would answer differently here than where it was made: scores differ by "
            f"{typical:.3g} as a rule, and rounding explains at most {allowed:.3g}. Its files or the model server are "
            "not as they were; make or bring it again, and tell an admin if that does not help.",
        )
    return None
