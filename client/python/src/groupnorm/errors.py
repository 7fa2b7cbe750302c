"""What a call fails with."""

from __future__ import annotations

import grpc


class GroupNormError(Exception):
    """A call that the server, or the way to it, did not answer with a result.

    `str()` of it is the text of the status, unchanged; `code` is the status code.
    """

    def __init__(self, code: grpc.StatusCode, text: str) -> None:
        super().__init__(text)
        self.code = code


class InvalidArgumentError(GroupNormError, ValueError):
    """The request breaks the contract; the text names the field, its value and what
    was expected."""


def error_of(error: grpc.RpcError) -> GroupNormError:
    """The one conversion of what gRPC raises."""
    code, text = error.code(), error.details() or ""
    if code is grpc.StatusCode.INVALID_ARGUMENT:
        return InvalidArgumentError(code, text)
    return GroupNormError(code, text)
