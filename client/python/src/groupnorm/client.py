"""The calls of the contract on numpy arrays."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import Optional

import grpc
import numpy as np

from groupnorm import arguments, errors, tensors
from groupnorm.address import may_use_proxy, target_of
from groupnorm.tensors import Array
from groupnorm.v1 import groupnorm_pb2, groupnorm_pb2_grpc

_LAYOUTS = {"channels_first": groupnorm_pb2.LAYOUT_CHANNELS_FIRST,
            "channels_last": groupnorm_pb2.LAYOUT_CHANNELS_LAST}
_GRADIENTS = {"input": groupnorm_pb2.GRADIENT_INPUT,
              "weight": groupnorm_pb2.GRADIENT_WEIGHT,
              "bias": groupnorm_pb2.GRADIENT_BIAS}

# Every call may run twice: none changes anything on a server. gRPC keeps the time
# that a full server asks for.
_SERVICE_CONFIG = {
    "loadBalancingConfig": [{"round_robin": {}}],
    "healthCheckConfig": {"serviceName": "groupnorm.v1.GroupNormService"},
    "methodConfig": [{
        "name": [{"service": "groupnorm.v1.GroupNormService"}],
        "retryPolicy": {
            "maxAttempts": 5, "initialBackoff": "0.05s", "maxBackoff": "1s",
            "backoffMultiplier": 2, "retryableStatusCodes": ["UNAVAILABLE"]}}]}

_OPTIONS = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.service_config", json.dumps(_SERVICE_CONFIG)),
    # gRPC never repeats a request beyond this, 256 KiB by default.
    ("grpc.per_rpc_retry_buffer_size", 2**31 - 1),
    # A server that stopped without a word is noticed within 15 s.
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.http2.max_pings_without_data", 0),
)


# eq=False: arrays have no one answer to whether they equal others, so what holds some
# has none either, and is compared by identity.
@dataclasses.dataclass(frozen=True, eq=False)
class Statistics:
    """Given statistics, both of shape [batch, num_groups] and any float type."""

    mean: Array
    rstd: Array


@dataclasses.dataclass(frozen=True, eq=False)
class ForwardResult:
    output: Array  #: Element type and shape of the input.
    mean: np.ndarray  #: float64 [batch, num_groups].
    rstd: np.ndarray  #: Likewise: 1 / sqrt(variance + epsilon).


@dataclasses.dataclass(frozen=True, eq=False)
class BackwardResult:
    """A gradient that was not asked for is None."""

    grad_input: Optional[Array]  #: Element type and shape of the input.
    #: [channels] in the element type of weight, or of input where there is none; with
    #: per_sample_gradients float64 [batch, channels].
    grad_weight: Optional[Array]
    grad_bias: Optional[Array]  #: Like grad_weight.


@dataclasses.dataclass(frozen=True)
class ServerInfo:
    version: str
    max_message_bytes: int
    dtypes: tuple[str, ...]  #: Those that this client knows, by numpy's names.
    workers: int
    simd_target: str
    uptime_seconds: int


class Client:
    """A client of one groupnorm server, or of all that a name stands for.

    Connects at the first call. Safe to use from several threads at once. Close it, or
    use it in a `with` statement.

    Copies: the values of an array are copied four times on their way into a request
    (to bytes, into the message, to its encoding, to gRPC's memory) and three times
    out of a response (from gRPC's memory, into the message, out of it); all but the
    first and the last are those of gRPC and protobuf for Python. An array that is
    contiguous and little-endian costs no further one. Arrays in results are read-only
    views of their bytes: copy one to write to it.

    Errors: GroupNormError with the server's own code and unchanged text;
    InvalidArgumentError, a ValueError too, where the request breaks the contract. The
    rules of the contract are the server's to check. What no request can hold is refused
    before anything is sent, in the same form of text: TypeError for an argument of
    another type than it must have, an array whose element type the contract does not
    have among them; ValueError for an unknown layout or gradient, for no gradient, for
    an address of another form and for a number that is out of the range of its type.

    Retries: UNAVAILABLE, from a server that is full, drains or is not reached, up to
    four times within the timeout, at the time that the server asks for.
    """

    def __init__(self, address: str = "127.0.0.1:50051", timeout: float = 60.0) -> None:
        """`address` is `host:port`, `[IPv6 address]:port` or `unix:path`. A name stands
        for every server that it resolves to, and may be written as in
        `dns:///host:port`. Several servers without a name are a list with commas, all
        IPv4 addresses, all IPv6 addresses or all UNIX sockets. Proxies that the
        environment names (http_proxy) are used for a single host other than loopback
        addresses only. `timeout` is in seconds, for each call that names none, all its
        attempts included."""
        self._timeout = arguments.seconds("timeout", timeout)
        target = target_of(address)
        proxy = ("grpc.enable_http_proxy", int(may_use_proxy(address)))
        self._channel = grpc.insecure_channel(target, options=(*_OPTIONS, proxy))
        self._stub = groupnorm_pb2_grpc.GroupNormServiceStub(self._channel)

    def close(self) -> None:
        """Cancels what is in progress."""
        self._channel.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def forward(self, input: Array, num_groups: int, *,
                weight: Optional[Array] = None, bias: Optional[Array] = None,
                epsilon: Optional[float] = None, layout: str = "channels_first",
                statistics: Optional[Statistics] = None,
                timeout: Optional[float] = None) -> ForwardResult:
        """Normalizes `input`, of shape (N, C, *), or (N, *, C) with the layout
        channels_last. `weight` and `bias` have shape (C,); `epsilon` is the contract's
        1e-5 unless given; with `statistics` none are computed."""
        request = groupnorm_pb2.ForwardRequest(
            config=_config(num_groups, epsilon, layout))
        tensors.fill(request.input, "input", input)
        if weight is not None:
            tensors.fill(request.weight, "weight", weight)
        if bias is not None:
            tensors.fill(request.bias, "bias", bias)
        _fill_statistics(request, statistics)
        response = self._call(self._stub.Forward, request, timeout)
        mean, rstd = response.statistics.mean, response.statistics.rstd
        return ForwardResult(tensors.array_of(response.output, input),
                             tensors.array_of(mean, input),
                             tensors.array_of(rstd, input))

    def backward(self, grad_output: Array, input: Array, num_groups: int, *,
                 weight: Optional[Array] = None, epsilon: Optional[float] = None,
                 layout: str = "channels_first",
                 statistics: Optional[Statistics] = None,
                 frozen_statistics: bool = False, per_sample_gradients: bool = False,
                 gradients: Sequence[str] = ("input", "weight", "bias"),
                 timeout: Optional[float] = None) -> BackwardResult:
        """Computes the `gradients` (of input, weight, bias; at least one) of a loss
        from its gradient by the output. `statistics` are those that forward returned;
        with `frozen_statistics` they count as constants. `per_sample_gradients` are
        not summed over the samples."""
        request = groupnorm_pb2.BackwardRequest(
            config=_config(num_groups, epsilon, layout),
            frozen_statistics=arguments.flag("frozen_statistics", frozen_statistics),
            per_sample_gradients=arguments.flag("per_sample_gradients",
                                                per_sample_gradients),
            gradients=arguments.choices("gradients", gradients, _GRADIENTS))
        tensors.fill(request.grad_output, "grad_output", grad_output)
        tensors.fill(request.input, "input", input)
        if weight is not None:
            tensors.fill(request.weight, "weight", weight)
        _fill_statistics(request, statistics)
        response = self._call(self._stub.Backward, request, timeout)
        like = input if weight is None else weight

        def gradient(name: str, model: Array) -> Optional[Array]:
            if not response.HasField(name):
                return None
            return tensors.array_of(getattr(response, name), model)

        return BackwardResult(gradient("grad_input", input),
                              gradient("grad_weight", like),
                              gradient("grad_bias", like))

    def server_info(self, timeout: Optional[float] = None) -> ServerInfo:
        """Asks a server what it is."""
        response = self._call(self._stub.GetServerInfo,
                              groupnorm_pb2.GetServerInfoRequest(), timeout)
        return ServerInfo(response.version, response.max_message_bytes,
                          tensors.names_of(response.dtypes), response.workers,
                          response.simd_target, response.uptime_seconds)

    def _call(self, method, request, timeout):
        if timeout is None:
            timeout = self._timeout
        else:
            timeout = arguments.seconds("timeout", timeout)
        try:
            return method(request, timeout=timeout)
        except grpc.RpcError as error:
            raise errors.error_of(error) from None


def _config(num_groups: int, epsilon: Optional[float],
            layout: str) -> groupnorm_pb2.GroupNormConfig:
    return groupnorm_pb2.GroupNormConfig(
        num_groups=arguments.integer("num_groups", num_groups),
        epsilon=None if epsilon is None else arguments.real("epsilon", epsilon),
        layout=arguments.choice("layout", layout, _LAYOUTS))


def _fill_statistics(request, statistics: Optional[Statistics]) -> None:
    if statistics is None:
        return
    if not isinstance(statistics, Statistics):
        raise TypeError(f"statistics: {type(statistics).__name__}, expected "
                        "groupnorm.Statistics")
    tensors.fill(request.statistics.mean, "statistics.mean", statistics.mean)
    tensors.fill(request.statistics.rstd, "statistics.rstd", statistics.rstd)
