"""Architectures that nobody here wrote, small and with random weights: the same training, and the right numbers."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from torch import Tensor, nn

from tests.torchvitals.training import bits, differing
from tests.torchvitals.twin import activation_statistics, first_floating, gradient_statistics
from torchvitals import attach_hooks
from torchvitals_tb import load_run

# Of the architectures themselves; with hooks they point at another line. What Python 3.10 gets has no newer names.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")
transformers.logging.set_verbosity_error()

Made = tuple[nn.Module, dict[str, Any]]
STEPS = 2
SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
SPECIAL = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
TEXT = SIZES | SPECIAL | {"vocab_size": 50, "max_position_embeddings": 32}
DECODER = TEXT | {"num_key_value_heads": 1, "attention_dropout": 0.1}
ENCODER_DECODER = {
    "d_model": 16,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 24,
    "decoder_ffn_dim": 24,
}
T5 = {"d_model": 16, "d_kv": 8, "d_ff": 24, "num_layers": 2, "num_heads": 2, "vocab_size": 50}
SPEECH = SIZES | {
    "vocab_size": 12,
    "conv_dim": [8, 8],
    "conv_kernel": [5, 3],
    "conv_stride": [4, 2],
    "num_conv_pos_embeddings": 4,
    "num_conv_pos_embedding_groups": 2,
    "mask_time_length": 2,
    "mask_time_prob": 0.2,
    "layerdrop": 0.2,
}
IMAGE = SIZES | {"image_size": 32, "patch_size": 8}


def build(name: str, **options: Any) -> nn.Module:
    kind = getattr(transformers, name)
    return kind(kind.config_class(**options))


def tokens(length: int = 8) -> Tensor:
    return torch.randint(3, 50, (2, length))


def language(name: str, length: int = 8, **options: Any) -> Callable[[], Made]:
    def make() -> Made:
        given = tokens(length)
        return build(name, **options), {"input_ids": given, "labels": given}

    return make


def classes(name: str, **options: Any) -> Callable[[], Made]:
    """Of texts, one of them padded."""
    mask = torch.tensor([[1] * 8, [1] * 5 + [0] * 3])
    labels = torch.tensor([0, 1])
    return lambda: (build(name, **options), {"input_ids": tokens(), "attention_mask": mask, "labels": labels})


def images(name: str, **options: Any) -> Callable[[], Made]:
    labels = torch.tensor([0, 1])
    return lambda: (build(name, **options), {"pixel_values": torch.randn(2, 3, 32, 32), "labels": labels})


def sounds(name: str, **options: Any) -> Callable[[], Made]:
    return lambda: (
        build(name, **options),
        {"input_values": torch.randn(2, 200), "labels": torch.randint(1, 12, (2, 4))},
    )


def masked_images() -> Made:
    sizes = {f"decoder_{name}": size for name, size in SIZES.items()}
    return build("ViTMAEForPreTraining", **IMAGE, **sizes), {"pixel_values": torch.randn(2, 3, 32, 32)}


def whisper() -> Made:
    options = ENCODER_DECODER | {"vocab_size": 50, "num_mel_bins": 8, "max_source_positions": 20, "dropout": 0.1}
    model = build("WhisperForConditionalGeneration", **options, **SPECIAL, decoder_start_token_id=1)
    return model, {"input_features": torch.randn(2, 8, 40), "labels": tokens()}


def clip() -> Made:
    model = build("CLIPModel", text_config=TEXT | {"attention_dropout": 0.1}, vision_config=IMAGE, projection_dim=8)
    return model, {"input_ids": tokens(), "pixel_values": torch.randn(2, 3, 32, 32), "return_loss": True}


def llava() -> Made:
    text = transformers.LlamaConfig(**DECODER)
    vision = transformers.CLIPVisionConfig(**IMAGE)
    model = build(
        "LlavaForConditionalGeneration",
        vision_config=vision,
        text_config=text,
        image_token_index=49,
        image_seq_length=16,
    )
    given = torch.cat((torch.full((2, 16), 49), torch.randint(3, 49, (2, 5))), 1)
    return model, {"input_ids": given, "labels": given, "pixel_values": torch.randn(2, 3, 32, 32)}


def detection() -> Made:
    backbone = transformers.ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], out_features=["stage2"])
    model = build("DetrForObjectDetection", **ENCODER_DECODER, backbone_config=backbone, num_queries=5, num_labels=3)
    labels = [{"class_labels": torch.tensor([1]), "boxes": torch.rand(1, 4)} for _ in range(2)]
    return model, {"pixel_values": torch.randn(2, 3, 32, 32), "labels": labels}


def forecast() -> Made:
    options = {"prediction_length": 4, "context_length": 6, "lags_sequence": [1, 2], "num_time_features": 1}
    model = build("TimeSeriesTransformerForPrediction", **ENCODER_DECODER, **options)
    past = {"past_values": torch.rand(3, 8), "past_time_features": torch.randn(3, 8, 1)}
    future = {"future_values": torch.rand(3, 4), "future_time_features": torch.randn(3, 4, 1)}
    return model, past | future | {"past_observed_mask": torch.ones(3, 8)}


EXPERTS = {"num_experts_per_tok": 2, "moe_intermediate_size": 8}
ARCHITECTURES: dict[str, Callable[[], Made]] = {
    "gpt2": language("GPT2LMHeadModel", n_embd=16, n_layer=2, n_head=2, vocab_size=50, n_positions=32),
    "llama": language("LlamaForCausalLM", **DECODER),
    "qwen2": language("Qwen2ForCausalLM", **DECODER),
    "gemma2": language("Gemma2ForCausalLM", **DECODER, head_dim=8),
    "opt": language("OPTForCausalLM", **TEXT, ffn_dim=24, word_embed_proj_dim=16, layerdrop=0.3),
    "bert": language("BertForMaskedLM", **TEXT),
    "roberta": classes("RobertaForSequenceClassification", **TEXT),
    "deberta": classes(
        "DebertaV2ForSequenceClassification", **TEXT, relative_attention=True, pos_att_type=["p2c", "c2p"]
    ),
    "albert, one layer called twice": language("AlbertForMaskedLM", **TEXT, embedding_size=8, hidden_dropout_prob=0.1),
    "funnel": language(
        "FunnelForMaskedLM", vocab_size=50, block_sizes=[1, 1], d_model=16, n_head=2, d_head=8, d_inner=24
    ),
    "fnet": language("FNetForMaskedLM", **TEXT),
    "longformer": language("LongformerForMaskedLM", **TEXT, attention_window=4),
    "reformer, reversible": language(
        "ReformerModelWithLMHead",
        16,
        is_decoder=True,
        hidden_size=16,
        num_attention_heads=2,
        attention_head_size=8,
        attn_layers=["local", "lsh"],
        axial_pos_embds=False,
        max_position_embeddings=16,
        vocab_size=50,
        feed_forward_size=24,
        local_attn_chunk_length=4,
        lsh_attn_chunk_length=4,
        num_buckets=2,
        hash_seed=1,
    ),
    "t5": language("T5ForConditionalGeneration", **T5, decoder_start_token_id=0),
    "bart": language("BartForConditionalGeneration", **ENCODER_DECODER, vocab_size=50, encoder_layerdrop=0.2),
    "mixtral": language("MixtralForCausalLM", **DECODER, num_local_experts=3),
    "mixtral, balanced": language("MixtralForCausalLM", **DECODER, num_local_experts=3, output_router_logits=True),
    "switch": language(
        "SwitchTransformersForConditionalGeneration",
        **T5,
        num_decoder_layers=2,
        num_experts=3,
        num_sparse_encoder_layers=1,
        num_sparse_decoder_layers=1,
        decoder_start_token_id=0,
    ),
    "qwen2 of experts": language(
        "Qwen2MoeForCausalLM", **DECODER, **EXPERTS, num_experts=3, shared_expert_intermediate_size=8
    ),
    "mamba": language("MambaForCausalLM", hidden_size=16, num_hidden_layers=2, state_size=4, vocab_size=50),
    "mamba2": language(
        "Mamba2ForCausalLM",
        hidden_size=16,
        num_hidden_layers=2,
        state_size=4,
        vocab_size=50,
        num_heads=4,
        head_dim=8,
        n_groups=1,
        chunk_size=4,
    ),
    "rwkv": language("RwkvForCausalLM", hidden_size=16, num_hidden_layers=2, vocab_size=50, intermediate_size=24),
    "vit": images("ViTForImageClassification", **IMAGE, hidden_dropout_prob=0.1),
    "vit, masked": masked_images,
    "swin": images(
        "SwinForImageClassification",
        image_size=32,
        patch_size=4,
        embed_dim=8,
        depths=[1, 2],
        num_heads=[1, 2],
        window_size=4,
        drop_path_rate=0.3,
    ),
    "dinov2": images("Dinov2ForImageClassification", **IMAGE, drop_path_rate=0.3),
    "convnext": images(
        "ConvNextForImageClassification", hidden_sizes=[8, 12], depths=[1, 2], num_stages=2, drop_path_rate=0.3
    ),
    "resnet": images("ResNetForImageClassification", embedding_size=8, hidden_sizes=[8, 16], depths=[1, 2]),
    "mobilenetv2": images("MobileNetV2ForImageClassification", depth_multiplier=0.25, min_depth=4, image_size=32),
    "regnet": images(
        "RegNetForImageClassification", embedding_size=8, hidden_sizes=[8] * 4, depths=[1] * 4, groups_width=4
    ),
    "detr": detection,
    "wav2vec2": sounds("Wav2Vec2ForCTC", **SPEECH),
    "hubert": sounds("HubertForCTC", **SPEECH),
    "whisper": whisper,
    "clip": clip,
    "llava": llava,
    "time series": forecast,
}
CHECKPOINTED = ("gpt2", "llama", "t5", "bart", "mixtral", "mamba", "vit", "swin", "dinov2", "wav2vec2", "clip")


@pytest.fixture(autouse=True)
def no_seed_from_the_clock(monkeypatch):
    """The reversible layers of Reformer ask for one, and would train differently every time."""
    monkeypatch.setattr(torch, "seed", lambda: 7)


def fresh(name: str, reentrant: bool | None = None) -> Made:
    """A model and its batch; ``reentrant``: the kind of checkpointing, or none."""
    torch.manual_seed(0)
    model, batch = ARCHITECTURES[name]()
    np.random.seed(0)
    random.seed(0)  # after the first import of a model, which draws from it
    if reentrant is not None:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": reentrant})
    return model.train(), batch


def train(name: str, run: Path | None = None, reentrant: bool | None = None) -> dict[str, Any]:
    """All that training has produced, bit by bit."""
    model, batch = fresh(name, reentrant)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    found: dict[str, Any] = {}
    with attach_hooks(model, run, every=1, mirror=False, on_error="raise") if run else contextlib.nullcontext():
        for step in range(STEPS):
            optimizer.zero_grad()
            loss = model(**batch).loss
            loss.backward()
            found |= {f"gradient {step} of {key}": bits(p.grad) for key, p in model.named_parameters()}
            optimizer.step()
            found |= {f"loss {step}": bits(loss), f"validation {step}": bits(validation_loss(model, batch))}
    found |= {f"{key} of the state": bits(x) for key, x in model.state_dict().items()}
    found |= {f"{key} of the model": bits(x) for key, x in model.named_buffers()}
    for i, state in optimizer.state_dict()["state"].items():
        found |= {f"{key} {i} of the optimizer": bits(x) for key, x in state.items()}
    found |= {"torch": bits(torch.get_rng_state()), "numpy": np.random.get_state()[1].tolist()}
    return found | {"random": random.getstate()}


def validation_loss(model: nn.Module, batch: dict[str, Any]) -> Tensor:
    model.eval()
    with torch.no_grad():
        loss = model(**batch).loss
    model.train()
    return loss


class Twin:
    """Clones of what every module gave in one forward, and of the gradients with respect to it, by module and call."""

    def __init__(self, model: nn.Module) -> None:
        self.activations: dict[str, Tensor] = {}
        self.gradients: dict[str, Tensor] = {}
        self._calls: dict[tuple[str, bool], int] = {}
        self._expected: set[str] = set()
        for name, module in model.named_modules():
            if name and is_row(module) and ".parametrizations." not in name:
                module.register_forward_hook(self._hook(name))

    def _hook(self, name: str) -> Any:
        def record(module: nn.Module, args: Any, output: Any) -> None:
            # Checkpointing calls the module again in the backward pass; the forward may have had no graph then.
            again = torch._C._current_graph_task_id() != -1
            call = self._calls[name, again] = self._calls.get((name, again), -1) + 1
            x = first_floating(output)
            if x is None:
                return
            key = f"{name}@{call}" if call else name
            if not again:
                self.activations[key] = x.detach().clone()
            if x.requires_grad and key not in self._expected:
                self._expected.add(key)
                x.register_hook(lambda g: self.gradients.__setitem__(key, g.detach().clone()))

        return record


def is_row(module: nn.Module) -> bool:
    """Nothing inside, but for what computes its weights, or parameters of its own."""
    inside = [name for name, _ in module.named_children() if name != "parametrizations"]
    return not inside or any(True for _ in module.parameters(recurse=False))


def check_numbers(directory: Path, name: str, reentrant: bool | None = None) -> None:
    """The first step of a run says what the plain way to it says."""
    model, batch = fresh(name, reentrant)
    twin = Twin(model)
    model(**batch).loss.backward()
    run = load_run(directory)
    rows = {layer.name: i for i, layer in enumerate(run.layers) if layer.kind == "module"}
    first = {statistic: run[statistic].values[0] for statistic in run.statistics}
    assert {key for key, i in rows.items() if not np.isnan(first["activation/rms"][i])} == twin.activations.keys()
    for key, x in twin.activations.items():
        close(first, "activation", rows[key], activation_statistics(x))
        gradient = twin.gradients.get(key)
        nothing = dict.fromkeys(("rms", "abs_max", "zero_fraction"), np.nan)
        close(first, "gradient", rows[key], nothing if gradient is None else gradient_statistics(gradient))
    parameters = {parameter.name: i for i, parameter in enumerate(run.parameters)}
    for key, parameter in model.named_parameters():
        if parameter.grad is not None:
            expected = gradient_statistics(parameter.grad)
            np.testing.assert_allclose(first["parameter/grad_rms"][parameters[key]], expected["rms"], rtol=1e-5)


def close(measured: dict[str, Any], kind: str, row: int, expected: dict[str, float]) -> None:
    for statistic in ("rms", "abs_max", "zero_fraction"):
        value = measured[f"{kind}/{statistic}"][row]
        np.testing.assert_allclose(value, expected[statistic], rtol=1e-5, atol=1e-38, err_msg=f"{kind}/{statistic}")


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_architecture(name, tmp_path):
    assert differing(train(name), train(name, tmp_path)) == []
    check_numbers(tmp_path, name)


@pytest.mark.parametrize("reentrant", [False, True], ids=["", "reentrant"])
@pytest.mark.parametrize("name", CHECKPOINTED)
def test_checkpointed_architecture(name, reentrant, tmp_path):
    assert differing(train(name, None, reentrant), train(name, tmp_path, reentrant)) == []
    check_numbers(tmp_path, name, reentrant)
