"""Client of groupnorm, Group Normalization as a gRPC service, on numpy arrays."""

from groupnorm.client import (BackwardResult, Client, ForwardResult, ServerInfo,
                              Statistics)
from groupnorm.errors import GroupNormError, InvalidArgumentError
from groupnorm.tensors import Array, Bfloat16

__all__ = ["Array", "BackwardResult", "Bfloat16", "Client", "ForwardResult",
           "GroupNormError", "InvalidArgumentError", "ServerInfo", "Statistics"]
