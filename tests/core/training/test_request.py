"""What may be asked of a run, and the sentence about what may not."""

from typing import Any

import pytest

from core.datasets.types import RowKind
from core.errors import Invalid
from core.training import knobs
from core.training.methods import PissaMethod
from core.training.objectives import ContinuedPretrainingObjective, DpoObjective, OrpoObjective, SftObjective
from core.training.request import MethodType, RunRequest, check, check_method_type, check_row_kind
from core.training.spec import TrainingSpec


def ask(**asked: Any) -> RunRequest:  # noqa: ANN401 - fields of a request
    return RunRequest(**({"model": "m", "training_file": "file-1"} | asked))


@pytest.mark.parametrize(
    ("asked", "code", "param"),
    [
        ({"rank": 0}, "out_of_range", "adapter.rank"),
        ({"adapter_type": "pissa", "rank": 129}, "out_of_range", "adapter.rank"),
        ({"alpha": 1025}, "out_of_range", "adapter.alpha"),
        ({"dropout": 1.0}, "out_of_range", "adapter.dropout"),
        ({"adapter_type": "lora_plus", "learning_rate_ratio": 65}, "out_of_range", "adapter.learning_rate_ratio"),
        ({"adapter_type": "prompt_tuning", "num_virtual_tokens": 0}, "out_of_range", "adapter.num_virtual_tokens"),
        ({"adapter_type": "prompt_tuning", "init_text": ""}, "out_of_range", "adapter.init_text"),
        ({"adapter_type": "qlora", "quantization": "none"}, "out_of_range", "adapter.quantization"),
        ({"adapter_type": "lora", "quantization": "nf4"}, "setting_does_not_apply", "adapter.quantization"),
        ({"adapter_type": "full", "rank": 8}, "setting_does_not_apply", "adapter.rank"),
        ({"adapter_type": "prompt_tuning", "rank": 8}, "setting_does_not_apply", "adapter.rank"),
        ({"num_virtual_tokens": 8}, "setting_does_not_apply", "adapter.num_virtual_tokens"),
        ({"learning_rate": 0.0}, "out_of_range", "training.learning_rate"),
        ({"learning_rate": float("nan")}, "out_of_range", "training.learning_rate"),
        ({"warmup_ratio": 1.0}, "out_of_range", "training.warmup_ratio"),
        ({"max_grad_norm": 0.0}, "out_of_range", "training.max_grad_norm"),
        ({"eval_every_steps": 0}, "out_of_range", "training.eval_every_steps"),
        ({"max_length_tokens": 7}, "out_of_range", "training.max_length_tokens"),
        ({"early_stopping_patience": 0}, "out_of_range", "training.early_stopping_patience"),
        (
            {"learning_rate": 1e-4, "learning_rate_multiplier": 2.0},
            "settings_do_not_fit",
            "training.learning_rate",
        ),
        ({"method_type": "dpo", "beta": 0.0}, "out_of_range", "method.dpo.hyperparameters.beta"),
        ({"method_type": "dpo", "label_smoothing": 0.5}, "out_of_range", "method.dpo.hyperparameters.label_smoothing"),
        ({"method_type": "orpo", "beta": 11.0}, "out_of_range", "method.orpo.hyperparameters.beta"),
        ({"beta": 0.1}, "setting_does_not_apply", "method.supervised.hyperparameters.beta"),
        ({"method_type": "dpo", "n_epochs": 51}, "out_of_range", "method.dpo.hyperparameters.n_epochs"),
        ({"method_type": "dpo", "adapter_type": "full"}, "settings_do_not_fit", "adapter.type"),
        ({"method_type": "dpo", "adapter_type": "pissa"}, "settings_do_not_fit", "adapter.type"),
    ],
)
def test_what_cannot_be_is_refused_with_its_place_on_the_wire(asked: dict[str, Any], code: str, param: str) -> None:
    with pytest.raises(Invalid) as refused:
        check(ask(**asked))
    assert (refused.value.error_code, refused.value.param) == (code, param)
    assert param.rpartition(".")[2] in refused.value.message


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"rank": 300}, "adapter.rank must be between 1 and 256; it is 300."),
        ({"dropout": -0.1}, "adapter.dropout must be at least 0 and below 1; it is -0.1."),
        ({"learning_rate": 0.2}, "training.learning_rate must be above 0 and at most 0.1; it is 0.2."),
        ({"eval_every_steps": 0}, "training.eval_every_steps must be at least 1; it is 0."),
        (
            {"adapter_type": "prompt_tuning", "init_text": "x" * 4001},
            "adapter.init_text must have 1 to 4000 characters; it has 4001.",
        ),
        (
            {"adapter_type": "qlora", "quantization": "none"},
            "adapter.quantization must be one of: nf4; it is none.",
        ),
    ],
)
def test_a_range_is_said_in_words(asked: dict[str, Any], sentence: str) -> None:
    with pytest.raises(Invalid) as refused:
        check(ask(**asked))
    assert refused.value.message == sentence


def test_every_setting_of_every_method_can_be_asked_for() -> None:
    """A knob that is added to a method or to the spec, and forgotten here, could never be turned."""
    of_methods = {name for model in knobs.METHOD_MODELS.values() for name in model.model_fields}
    assert of_methods - {*knobs.ADAPTER_KNOBS} == {"type", "double_quantization"}
    elsewhere = {"base_model", "method", "objective", "num_epochs", "batch_size", "seed"}
    assert {*TrainingSpec.model_fields} - {*knobs.TRAINING_KNOBS} == elsewhere
    assert {*knobs.ADAPTER_KNOBS, *knobs.TRAINING_KNOBS} <= {*RunRequest.model_fields}


@pytest.mark.parametrize(
    ("method_type", "objective", "kind"),
    [
        ("supervised", SftObjective(), RowKind.CHAT),
        ("dpo", DpoObjective(beta=0.3), RowKind.PREFERENCE),
        ("orpo", OrpoObjective(beta=0.3), RowKind.PREFERENCE),
        ("continued_pretraining", ContinuedPretrainingObjective(), RowKind.TEXT),
    ],
)
def test_a_method_of_the_wire_is_an_objective_and_a_kind_of_rows(
    method_type: str, objective: object, kind: RowKind
) -> None:
    beta = {"beta": 0.3} if kind is RowKind.PREFERENCE else {}
    request = ask(method_type=method_type, **beta)
    check(request)
    assert (request.objective, request.row_kind) == (objective, kind)


def test_a_run_from_before_there_were_other_methods_is_a_supervised_one() -> None:
    old = {"model": "m", "dataset_version_id": "dsv_1", "adapter_type": "lora", "rank": 8, "n_epochs": 3}
    request = RunRequest.model_validate(old)
    assert (request.method_type, request.row_kind, request.adapter_knobs()) == ("supervised", "chat", {"rank": 8})


@pytest.mark.parametrize(
    ("method_type", "kind", "fitting"),
    [
        ("supervised", RowKind.PREFERENCE, "'dpo' or 'orpo'"),
        ("supervised", RowKind.TEXT, "'continued_pretraining'"),
        ("dpo", RowKind.CHAT, "'supervised'"),
        ("continued_pretraining", RowKind.CHAT, "'supervised'"),
    ],
)
def test_data_of_another_kind_is_refused_with_the_method_that_fits(
    method_type: str, kind: RowKind, fitting: str
) -> None:
    with pytest.raises(Invalid) as refused:
        check_row_kind(ask(method_type=method_type), kind, param="method.type")
    assert refused.value.error_code == "data_does_not_fit_method"
    assert fitting in refused.value.message


def test_reinforcement_is_refused_by_its_name_with_what_is_there() -> None:
    with pytest.raises(Invalid, match="'reinforcement' is not available") as refused:
        check_method_type("reinforcement")
    assert refused.value.error_code == "unsupported_method"
    assert all(name in refused.value.message for name in MethodType)


class TestChange:
    def test_what_belonged_to_the_method_before_goes_with_it(self) -> None:
        original = ask(adapter_type="lora_plus", rank=8, learning_rate_ratio=4.0, method_type="dpo", beta=0.5)
        changed = original.changed({"adapter_type": "dora", "method_type": "supervised"})
        check(changed)
        assert changed.adapter_knobs() == {"rank": 8}
        assert changed.beta == "auto"

    def test_what_is_sent_with_it_stays_and_is_checked(self) -> None:
        changed = ask(adapter_type="lora").changed({"adapter_type": "dora", "learning_rate_ratio": 4.0})
        with pytest.raises(Invalid, match="does not belong to 'dora'"):
            check(changed)

    def test_nothing_else_changes(self) -> None:
        original = ask(adapter_type="pissa", rank=8, num_iterations=4, schedule="linear", learning_rate=1e-4)
        assert original.changed({}) == original
        assert original.changed({"name": "Another"}) == original.model_copy(update={"name": "Another"})

    def test_of_the_two_that_decide_the_learning_rate_the_one_sent_counts(self) -> None:
        by_number, by_factor = ask(learning_rate=1e-4), ask(learning_rate_multiplier=2.0)
        for original, change in (
            (by_number, {"learning_rate_multiplier": 3.0}),
            (by_factor, {"learning_rate": 1e-3}),
        ):
            changed = original.changed(change)
            check(changed)
            assert (changed.learning_rate is None) is ("learning_rate_multiplier" in change)


def test_a_method_of_four_bits_or_of_none_is_told_by_name() -> None:
    assert ask(adapter_type="dora", quantization="none").adapter_knobs() == {"quantization": None}
    assert ask(adapter_type="dora", quantization="nf4").adapter_knobs() == {"quantization": "nf4"}
    assert ask(adapter_type="dora").adapter_knobs() == {}
    assert PissaMethod(**ask(adapter_type="pissa", rank=8).adapter_knobs()).rank == 8
