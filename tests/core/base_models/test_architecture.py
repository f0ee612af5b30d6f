import pytest

from core.base_models import architecture
from core.base_models import service as base_models
from core.base_models.types import BaseModel


@pytest.mark.parametrize("base", base_models.list_base_models(), ids=lambda base: base.id)
def test_the_layers_add_up_to_the_published_number_of_parameters(base: BaseModel) -> None:
    counted = architecture.num_linear_weights(base) + architecture.num_embedding_weights(base)
    # all but norms and biases
    assert counted == pytest.approx(base.num_parameters, rel=0.001)
    assert counted <= base.num_parameters


def test_llama_8b_has_the_weights_that_performance_tables_count() -> None:
    base = base_models.get("llama-3.1-8b-instruct")
    assert architecture.num_linear_weights(base) == pytest.approx(6.98e9, rel=0.001)
    assert architecture.num_head_weights(base) == pytest.approx(0.525e9, rel=0.001)


def test_a_70b_model_is_in_the_catalogue_with_a_word_on_its_licence() -> None:
    base = base_models.get("llama-3.3-70b-instruct")
    assert base.num_parameters == pytest.approx(70.6e9, rel=0.01)
    assert "licence" in base.note
