"""From a servicer object to gRPC: handlers by the service's descriptor, refusals in the daemon's codes and texts.

A servicer's unary methods are coroutines that return a message; its streams are async generators. `StreamFrames` is
the exception: it writes messages that are already serialised, by itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

import grpc
import grpc.aio
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from pvload.errors import PvloadError
from pvload.sim.starvation import Starvation

Context = grpc.aio.ServicerContext[Any, Any]

RAW_STREAMS: Final = frozenset({"StreamFrames"})
TRAILERS: Final = (
    ("vary", "origin, access-control-request-method, access-control-request-headers"),
    ("access-control-expose-headers", "grpc-status,grpc-message"),
)
"""What the daemon's web layer adds to every refused unary call; clients must not mind."""


class RefusedError(PvloadError):
    """A call is answered with this status and text."""

    def __init__(self, code: grpc.StatusCode, text: str) -> None:
        super().__init__(text)
        self.code = code


def not_found(text: str) -> RefusedError:
    """NOT_FOUND with this text."""
    return RefusedError(grpc.StatusCode.NOT_FOUND, text)


def invalid(text: str) -> RefusedError:
    """INVALID_ARGUMENT with this text."""
    return RefusedError(grpc.StatusCode.INVALID_ARGUMENT, text)


def handlers(service: ServiceDescriptor, servicer: object, starvation: Starvation) -> grpc.GenericRpcHandler:
    """All methods of `service`, carried out by the methods of `servicer` with the same names.

    While `starvation` lasts, unary calls wait.
    """
    table: dict[str, grpc.RpcMethodHandler[Any, Any]] = {}
    for method in service.methods:
        work = getattr(servicer, method.name)
        request = GetMessageClass(method.input_type)
        if method.name in RAW_STREAMS:
            table[method.name] = grpc.unary_stream_rpc_method_handler(work, request.FromString, None)
        elif method.server_streaming:
            table[method.name] = grpc.unary_stream_rpc_method_handler(_streamed(work), request.FromString, _bytes)
        else:
            table[method.name] = grpc.unary_unary_rpc_method_handler(
                _answered(work, starvation), request.FromString, _bytes
            )
    return grpc.method_handlers_generic_handler(service.full_name, table)


def _answered(
    work: Callable[[Message, Context], Awaitable[Message]], starvation: Starvation
) -> Callable[..., Awaitable[Message]]:
    async def call(request: Message, context: Context) -> Message:
        try:
            if starvation.now:
                await starvation.passed()
            return await work(request, context)
        except RefusedError as refused:
            await context.abort(refused.code, refused.message, TRAILERS)

    return call


def _streamed(work: Callable[[Message, Context], AsyncIterator[Message]]) -> Callable[..., AsyncIterator[Message]]:
    async def call(request: Message, context: Context) -> AsyncIterator[Message]:
        messages = work(request, context)
        # As in the daemon: a call stands, and its headers are out, before there is anything to tell.
        first = asyncio.ensure_future(anext(messages, None))
        try:
            await asyncio.sleep(0)
            if not (first.done() and first.exception()):
                await context.send_initial_metadata(())
            message = await first
            while message is not None:
                yield message
                message = await anext(messages, None)
        except RefusedError as refused:
            await context.abort(refused.code, refused.message)
        finally:
            first.cancel()

    return call


class TokenCheck(grpc.aio.ServerInterceptor):
    """Refuses every call, health included, that does not show the token."""

    def __init__(self, token: str) -> None:
        self._accepted = {
            ("authorization", text) for text in (token, f"Bearer {token}", f"bearer {token}", f"ApiKey {token}")
        } | {("x-api-key", token)}
        self._missing = _refusal("missing authorization token")
        self._wrong = _refusal("invalid authentication token")

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any] | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        """The method asked for, or one that refuses."""
        shown = {
            (key, value)
            for key, value in handler_call_details.invocation_metadata or ()
            if key in ("authorization", "x-api-key")
        }
        if not shown:
            return self._missing
        if not shown & self._accepted:
            return self._wrong
        return await continuation(handler_call_details)


def _refusal(text: str) -> grpc.RpcMethodHandler[Any, Any]:
    async def refuse(_request: bytes, context: Context) -> None:
        await context.abort(grpc.StatusCode.UNAUTHENTICATED, text)

    return grpc.unary_unary_rpc_method_handler(refuse)


def _bytes(message: Message) -> bytes:
    return message.SerializeToString()
