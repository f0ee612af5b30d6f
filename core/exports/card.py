"""The model card of an export (Mitchell et al. 2019): only what is known, and what is not known is said to be so."""

from collections.abc import Mapping
from typing import Any, Final

from core.exports.forms import MANIFEST, SIGNATURE, ModelExportFormat
from core.exports.types import ExportWork

_HUB_LICENSES: Final = {"Apache-2.0": "apache-2.0", "MIT": "mit"}

_SIGNED: Final = (
    f"`{MANIFEST}` has the sha256 of every file, and `{SIGNATURE}` its Ed25519 signature by the installation that made "
    "it. `tailorbird verify FOLDER` checks both; the public key is at `GET /v1/signing_key` there."
)


def write(work: ExportWork, *, trained: Mapping[str, Any], report: Mapping[str, Any] | None) -> bytes:
    told = work.told
    parts = [
        _head(work),
        f"# {told['model']['name'] or told['model']['id']}",
        _what(told),
        "## How to use it",
        _use(work),
        "## Where it comes from",
        _origin(work, trained),
        "## What was measured",
        _evaluation(told, report),
        "## Limits",
        _limits(told),
        "## Is it what left the service?",
        _SIGNED,
    ]
    return ("\n\n".join(parts) + "\n").encode()


def _what(told: Mapping[str, Any]) -> str:
    base, model_id = told["base_model"], told["model"]["id"]
    made = "made with Tailorbird" if told.get("imported") is None else "made elsewhere and brought to Tailorbird"
    return f"A tuned {base.get('name') or base['id']}, {made}. Its id there: `{model_id}`."


def _head(work: ExportWork) -> str:
    """What model hubs read."""
    base = work.told["base_model"]
    source = base.get("source") or {}
    name = source.get("repository") or base["id"]
    license_name = _HUB_LICENSES.get(str(base.get("license")), "other")
    library = {ModelExportFormat.ADAPTER: "peft"}.get(work.export_format, "transformers")
    lines = (f"base_model: {name}", f"library_name: {library}", f"license: {license_name}", "tags: [tailorbird]")
    return "\n".join(["---", *lines, "---"])


def _use(work: ExportWork) -> str:
    match work.export_format:
        case ModelExportFormat.ADAPTER:
            return _use_adapter(work)
        case ModelExportFormat.MERGED:
            return (
                "```python\nfrom transformers import AutoModelForCausalLM, AutoTokenizer\n\n"
                'folder = "FOLDER_OF_THIS_FILE"\ntokenizer = AutoTokenizer.from_pretrained(folder)\n'
                "model = AutoModelForCausalLM.from_pretrained(folder)\n```\n\n"
                "Model servers such as vLLM take the folder as it is: `vllm serve FOLDER_OF_THIS_FILE`."
            )
        case ModelExportFormat.GGUF:
            return (
                "With Ollama, in this folder:\n\n```bash\nollama create my-model -f Modelfile\nollama run my-model\n```"
                "\n\nWith llama.cpp: `llama-server -m model.gguf --jinja`. The weights are in 16 bits; "
                "`ollama create my-model -f Modelfile --quantize q4_K_M` makes a quarter of that, a little less exact."
            )
        case ModelExportFormat.BEDROCK:
            return (
                "Put the files into a folder of an S3 bucket in a region with Custom Model Import, then in Amazon "
                "Bedrock choose *Imported models*, *Import model*, and give that folder as the model source:\n\n"
                "```bash\naws s3 cp --recursive FOLDER_OF_THIS_FILE s3://BUCKET/FOLDER/\n"
                "aws bedrock create-model-import-job --job-name NAME --imported-model-name NAME \\\n"
                "  --role-arn ROLE --model-data-source 's3DataSource={s3Uri=s3://BUCKET/FOLDER/}'\n```"
            )


def _use_adapter(work: ExportWork) -> str:
    base = work.told["base_model"]
    source = base.get("source") or {}
    name = source.get("repository") or f"FOLDER_OF_{base['id']}"
    revision = f', revision="{base["revision"]}"' if source.get("repository") else ""
    return (
        "```python\nfrom peft import PeftModel\nfrom transformers import AutoModelForCausalLM, AutoTokenizer\n\n"
        f'base = "{name}"\n'
        f"tokenizer = AutoTokenizer.from_pretrained(base{revision})\n"
        f"model = AutoModelForCausalLM.from_pretrained(base{revision})\n"
        'model = PeftModel.from_pretrained(model, "FOLDER_OF_THIS_FILE")\n```'
    ) + _quantized(work)


def _quantized(work: ExportWork) -> str:
    if work.told["model"]["quantization"] is None:
        return ""
    return (
        f"\n\nIt learned on the base's weights rounded to {work.told['model']['quantization']} (4 bits), and answers "
        "most exactly on such: load the base with `BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type='nf4', "
        "bnb_4bit_use_double_quant=True)`."
    )


def _origin(work: ExportWork, trained: Mapping[str, Any]) -> str:
    told = work.told
    base, data, recipe, people = told["base_model"], told.get("data"), told.get("recipe"), told["people"]
    rows = [
        ("Base model", f"{base.get('name') or base['id']}, revision `{base.get('revision') or 'unknown'}`"),
        ("Licence of the base model", base.get("license") or "unknown"),
        ("Note on the base model", base.get("note") or "none"),
        ("Method", told["model"]["method"]),
    ]
    if data is None:
        rows.append(("Data", "unknown: this model was not trained here"))
    else:
        rows.append(("Data", f"{data['num_train']} examples to learn from, {data['num_heldout']} kept back to measure"))
        rows.append(
            ("sha256 of the data", f"`{(trained.get('lineage') or {}).get('dataset_sha256') or data['sha256']}`")
        )
    if recipe is not None:
        spec = recipe["spec"]
        rows.append(("Recipe", f"{recipe['name']}, seed {recipe['seed']}"))
        rows.append(("Epochs", str(spec.get("num_epochs", "unknown"))))
        rows.append(("Learning rate", str(spec.get("learning_rate", "unknown"))))
    imported = told.get("imported")
    if imported is None:
        rows.append(("Made by", people["made_by"] or "unknown"))
    else:
        rows += _brought(imported)
    rows.append(("Exported by", people["exported_by"]))
    used = ", ".join(f"{one['alias']} (by {one['by'] or 'unknown'})" for one in people["approved"])
    rows.append(("Put to use as", used or "nothing yet"))
    return _table(rows)


def _brought(imported: Mapping[str, Any]) -> list[tuple[str, str]]:
    known = "the manifest of the export it came in" if imported["base_evidence"] == "manifest" else "whoever brought it"
    return [
        ("Made by", "unknown: it was made elsewhere"),
        ("Brought by", f"{imported['imported_by']}, {imported['imported_at'][:10]}"),
        ("sha256 of its weights as they were brought", f"`{imported['weights_sha256']}`"),
        ("That it is for this base model, says", known),
    ]


def _evaluation(told: Mapping[str, Any], report: Mapping[str, Any] | None) -> str:
    found, proof = told["evaluation"], told["evaluation"]["proof"]
    rows = [
        ("Error on held-out examples, base model", _number(found["base_heldout_loss"])),
        ("Error on held-out examples, this model", _number(found["tuned_heldout_loss"])),
    ]
    if proof is not None:
        verdict = "yes" if proof["is_passed"] else "no"
        difference = f"scores differ by at most {_number(proof['max_difference'])} at {proof['num_places']} places"
        as_what = "Served as trained" if told.get("imported") is None else "Served as plain PEFT computes it"
        rows.append((as_what, f"{verdict}: {difference}"))
    text = _table(rows) + "\n\nThe error is the mean cross-entropy of the wanted answers' tokens; lower is better."
    return text + _merge(report)


def _merge(report: Mapping[str, Any] | None) -> str:
    found = None if report is None else report.get("merge")
    if found is None:
        return ""
    what = "held-out examples" if found["prompts"] == "heldout" else "general questions"
    rows = [
        ("Compared", f"{found['num_places']} places of {found['num_prompts']} {what}"),
        ("Largest difference of a score", _number(found["max_difference"])),
        ("Mean difference of a score", _number(found["mean_difference"])),
        ("Same next token", f"{found['same_choice']:.1%}"),
        ("Mean divergence, in nats", _number(found["mean_divergence"])),
        ("Weights are in", found["dtype"]),
    ]
    quantization = found["serving_quantization"]
    served = f" (with the base rounded to {quantization})" if quantization else ""
    return f"\n\nMerged into the un-quantised base. Against base and adapter as they are served{served}:\n\n" + _table(
        rows
    )


def _limits(told: Mapping[str, Any]) -> str:
    lines = [
        "It was measured with examples like those it learned from. What it does with other questions is not known.",
        "It can be wrong, and say so with confidence, as its base model can. Have people look at what matters.",
        "It may repeat what it learned from. Give it to nobody who must not know that.",
        "The licence of the base model holds for it too.",
    ]
    if told.get("data") is None:
        lines.insert(0, "Nobody here knows what it was trained on.")
    elif told["data"]["num_erased_since"]:
        lines.append(
            f"{told['data']['num_erased_since']} of the examples it learned from were erased since at a person's wish. "
            "It may still know them."
        )
    return "\n".join(f"- {line}" for line in lines)


def _table(rows: list[tuple[str, str]]) -> str:
    lines = [f"| {name} | {_cell(value)} |" for name, value in rows]
    return "\n".join(["| | |", "|---|---|", *lines])


def _cell(value: str) -> str:
    """A name that somebody chose must not end the cell, or the table."""
    return " ".join(value.split()).replace("|", "\\|").replace("<", "&lt;")


def _number(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.4g}"
