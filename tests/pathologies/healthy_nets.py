"""Healthy: one run of every kind of network."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from tests.pathologies.case import healthy
from tests.pathologies.generative import autoencoder, gan, vae
from tests.pathologies.ill_scale import kaiming
from tests.pathologies.models import Cnn, Mixture, Mlp, Net, Recurrent, ResidualMlp, ResNet, Stock, Transformer
from tests.pathologies.proofs import learns, lives
from tests.pathologies.sequences import language, markov, memory, rows
from tests.pathologies.training import Outcome, Training, adam, batches, classify, digits, images, sgd


@healthy("mlp-adam", prove=learns(to=0.2))
def mlp_adam(functional: bool) -> Training:
    model = Mlp(functional)
    return classify(model, adam(model, 2e-3), steps=100)


@healthy("mlp-sgd", prove=learns(to=0.2))
def mlp_sgd(functional: bool) -> Training:
    model = Mlp(functional)
    return classify(model, sgd(model, 0.05, momentum=0.9), steps=80, every=None)


@healthy("mlp-leaky", prove=learns(to=0.2))
def mlp_leaky(functional: bool) -> Training:
    model = Mlp(functional, kind="leaky_relu")
    return classify(model, sgd(model, 0.05, momentum=0.9), steps=80, every=None)


@healthy("mlp-gelu-layernorm", prove=learns(to=0.2))
def mlp_gelu(functional: bool) -> Training:
    model = Mlp(functional, kind="gelu", norm=nn.LayerNorm)
    return classify(model, adam(model, 2e-3), every=None)


@healthy("mlp-deep-kaiming", prove=learns(to=0.3))
def deep(functional: bool) -> Training:
    model = Mlp(functional, (64, *[64] * 10, 10))
    kaiming(model)
    return classify(model, adam(model), steps=50, every=None)


@healthy("mlp-deep-tanh", prove=learns(to=0.3))
def deep_tanh(functional: bool) -> Training:
    model = Mlp(functional, (64, *[64] * 8, 10), "tanh")
    for i in range(1, 9):
        nn.init.xavier_normal_(getattr(model, f"fc{i}").weight, gain=5 / 3)
    return classify(model, adam(model), every=None)


@healthy("mlp-deep-selu", prove=learns(to=0.3))
def deep_selu(functional: bool) -> Training:
    model = Mlp(functional, (64, *[64] * 10, 10), "selu")
    kaiming(model, kind="linear")
    return classify(model, adam(model), every=None)


@healthy("mlp-sigmoid-shallow", prove=learns(to=0.5))
def shallow_sigmoid(functional: bool) -> Training:
    model = Mlp(functional, (64, 64, 64, 10), "sigmoid")
    return classify(model, adam(model, 1e-2))


@healthy("mlp-batchnorm-wide-to-narrow", prove=learns(to=0.5))
def funnel(functional: bool) -> Training:
    model = Mlp(functional, (64, 256, 64, 16, 10), norm=nn.BatchNorm1d)
    return classify(model, adam(model, 2e-3), every=None)


@healthy("cnn", prove=learns(to=0.3))
def cnn(functional: bool) -> Training:
    model = Cnn(functional)
    x, y = images()
    return classify(model, adam(model, 3e-3), x=x, y=y)


@healthy("cnn-batchnorm-sgd", prove=learns(to=0.3))
def cnn_norm(functional: bool) -> Training:
    model = Cnn(functional, norm=nn.BatchNorm2d)
    x, y = images()
    return classify(model, sgd(model, 0.05, momentum=0.9, weight_decay=5e-4), x=x, y=y, every=None)


@healthy("resnet", prove=learns(to=0.5))
def resnet(functional: bool) -> Training:
    model = ResNet(functional)
    x, y = images()
    return classify(model, sgd(model, 0.1, momentum=0.9), x=x, y=y, steps=45, every=None)


@healthy("resnet-zero-initialised", prove=learns(to=0.5))
def resnet_zero(functional: bool) -> Training:
    model = ResNet(functional, zero_last=True)
    x, y = images()
    return classify(model, adam(model, 1e-2), x=x, y=y, steps=60)


@healthy("residual-mlp-zero-branches", prove=learns(to=0.3))
def residual_zero(functional: bool) -> Training:
    model = ResidualMlp(functional, scale=0.0)
    for layer in model.down:
        nn.init.zeros_(layer.bias)
    return classify(model, adam(model, 2e-3), steps=40, every=None)


@healthy("rnn", prove=learns(to=0.3))
def rnn(functional: bool) -> Training:
    model = Recurrent(functional, 2)
    return memory(model, adam(model, 3e-3), length=12, steps=50, every=None)


@healthy("rnn-stock", prove=learns(to=0.5))
def rnn_stock(functional: bool) -> Training:
    model = Stock(functional, nn.RNN(8, 32, batch_first=True), 32, 10)
    return rows(model, adam(model, 5e-3), every=None)


@healthy("lstm", prove=learns(to=0.5))
def lstm(functional: bool) -> Training:
    model = Stock(functional, nn.LSTM(8, 32, batch_first=True), 32, 10)
    return rows(model, adam(model, 1e-2))


@healthy("gru-of-tokens", prove=learns(to=0.6))
def gru(functional: bool) -> Training:
    model = Stock(functional, nn.GRU(16, 32, batch_first=True), 32, 12, tokens=12)
    sequences = markov()
    return classify(model, adam(model, 1e-2), x=sequences[:, :-1], y=sequences[:, -1], every=None)


@healthy("transformer-pre-norm", prove=learns(to=0.5))
def pre_norm(functional: bool) -> Training:
    model = Transformer(functional)
    return language(model, adam(model, 3e-3), steps=45, every=None)


@healthy("transformer-post-norm-warm-up", prove=learns(to=0.5))
def post_norm(functional: bool) -> Training:
    model = Transformer(functional, pre_norm=False)
    return language(model, adam(model, 3e-3), schedule=lambda step: min(1, step / 20), steps=50, every=None)


@healthy("transformer-tied-relu", prove=learns(to=0.5))
def tied(functional: bool) -> Training:
    model = Transformer(functional, tied=True, depth=1, kind="relu")
    return language(model, adam(model, 5e-3), steps=45, every=None)


@healthy("transformer-stock-encoder", prove=learns(to=0.6))
def stock_encoder(functional: bool) -> Training:
    class Encoder(Net):
        def __init__(self) -> None:
            super().__init__(functional)
            self.into = nn.Linear(8, 32)
            self.encoder = nn.TransformerEncoderLayer(32, 4, 64, dropout=0.1, batch_first=True)
            self.activation("act", "silu")
            self.out = nn.Linear(32, 10)

        def forward(self, x: Tensor) -> Tensor:
            return self.out(self.activate("act", self.encoder(self.into(x)).mean(1)))

    model = Encoder()
    return rows(model, adam(model, 5e-3), every=None)


def _shared(outcome: Outcome) -> None:
    assert min(outcome.model.loads) > 0.03, outcome.model.loads


@healthy("mixture-of-experts", prove=learns(to=0.5, also=_shared))
def mixture(functional: bool) -> Training:
    model = Mixture(functional)
    return classify(
        model,
        adam(model, 3e-3),
        loss=lambda logits, labels: F.cross_entropy(logits, labels) + 0.2 * model.balance,
        every=None,
    )


@healthy("mixture-of-experts-skips-empty", prove=learns(to=0.6, also=_shared))
def mixture_sparse(functional: bool) -> Training:
    # Small batches: in many a step some expert gets no sample.
    model = Mixture(functional, experts=6, top=1, skip_empty=True)
    return classify(
        model,
        adam(model, 3e-3),
        loss=lambda logits, labels: F.cross_entropy(logits, labels) + 0.2 * model.balance,
        size=16,
        steps=70,
        every=None,
    )


@healthy("autoencoder", prove=learns(to=0.5))
def plain_autoencoder(functional: bool) -> Training:
    return autoencoder(functional, penalty=0.0, width=32)


@healthy("vae", prove=learns(to=0.8))
def plain_vae(functional: bool) -> Training:
    return vae(functional)


@healthy("gan", prove=lives(0.3))
def plain_gan(functional: bool) -> Training:
    return gan(functional)


@healthy("regression", prove=learns(to=0.3))
def regression(functional: bool) -> Training:
    model = Mlp(functional, (64, 64, 32, 1))
    x, y = digits()
    target = ((y.float() - 4.5) * 30)[:, None]  # targets far from unit scale
    return classify(model, adam(model, 1e-2), x=x, y=target, loss=F.mse_loss, steps=80)


@healthy("siamese", prove=learns(to=0.7))
def siamese(functional: bool) -> Training:
    model = Mlp(functional, (64, 64, 64, 16))
    x, y = digits()
    stream = batches(x, y)

    def loss(x: Tensor, y: Tensor) -> Tensor:
        half = len(x) // 2
        a, b = F.normalize(model(x[:half]), dim=-1), F.normalize(model(x[half : 2 * half]), dim=-1)
        same = (y[:half] == y[half : 2 * half]).float()
        return F.binary_cross_entropy_with_logits(8 * (a * b).sum(-1) - 4, same)

    return Training(model, [adam(model, 3e-3)], lambda step: loss(*next(stream)), lambda: loss(x, y), every=None)


@healthy("double-precision", prove=learns(to=0.3))
def double(functional: bool) -> Training:
    model = Mlp(functional).double()
    return classify(model, adam(model, 2e-3), x=digits()[0].double(), every=None)
