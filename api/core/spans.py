"""Records spans with OpenTelemetry's SDK; imported only where TRACES is on (`api.core.tracing`).

One trace shows a write's way:

    POST /api/conversations/{id}/messages     the request
      group commit                            the call to Redis, which fsyncs
        waiting in the log                    from accepted to read
        drain batch                           from read to committed
          commit                              PostgreSQL's

The first two are by the API's clock. The rest are by the log's, which also says when the entry was
accepted: where the clocks differ, the traces show it, and yet the lag is right. A batch has entries
of many traces: each has a span of it, and the others' link to the first.

A span says what was done, never what was written or by whom: a route and not a path, which may have
an external id in it; numbers; an entry's id.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final

from opentelemetry.context import Context, get_current
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import (
    Link,
    Span,
    SpanContext,
    SpanKind,
    get_current_span,
    set_span_in_context,
    use_span,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from api.core.entries import Entry

_W3C: Final = TraceContextTextMapPropagator()
_HEADER: Final = "traceparent"


class Spans:
    """Records what one process does, and sends it by OTLP over HTTP.

    The OTEL_… variables of the environment say where to, and of which requests.
    """

    def __init__(self, service: str) -> None:
        named = Resource.create({"service.name": service}).merge(OTELResourceDetector().detect())
        self._provider = TracerProvider(resource=named)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("verbatim")

    def close(self) -> None:
        """Send what was recorded, and end."""
        self._provider.shutdown()

    @contextmanager
    def request(self, method: str, traceparent: str) -> Iterator[Span]:
        """Record a request, in the trace that it came with if it came with one."""
        about = {"http.request.method": method}
        span = self._tracer.start_span(
            method, _context_of(traceparent), kind=SpanKind.SERVER, attributes=about
        )
        # An exception's text may quote what a user wrote.
        with use_span(
            span, end_on_exit=True, record_exception=False, set_status_on_exception=False
        ):
            yield span

    def current(self) -> Context | None:
        """Return where spans of the request that is served here belong; None: it is not traced."""
        request = get_current_span().get_span_context()
        return get_current() if request.is_valid and request.trace_flags.sampled else None

    def group_commit(self, context: Context, entries: int) -> tuple[Span, str]:
        """Begin the call that brings an entry to the log, among others; return what it carries."""
        about = {"messaging.batch.message_count": entries}
        span = self._tracer.start_span(
            "group commit", context, kind=SpanKind.PRODUCER, attributes=about
        )
        carrier: dict[str, str] = {}
        _W3C.inject(carrier, set_span_in_context(span))
        return span, carrier[_HEADER]

    def drained(
        self,
        traced: Iterable[Entry],
        entries: int,
        read_ms: float,
        commit_began_ms: float,
        commit_ended_ms: float,
    ) -> None:
        """Record a batch of so many entries in the traces of those that have one.

        Times are Unix ms of the log's clock.
        """
        first: SpanContext | None = None
        read, ended = _ns(read_ms), _ns(commit_ended_ms)
        for entry in traced:
            context = _context_of(entry.trace)
            waiting = self._tracer.start_span(
                "waiting in the log",
                context,
                start_time=min(_ns(entry.created_at_ms), read),
                attributes={"messaging.message.id": str(entry.id)},
            )
            waiting.end(read)
            batch = self._tracer.start_span(
                "drain batch",
                context,
                kind=SpanKind.CONSUMER,
                links=[Link(first)] if first else [],
                start_time=read,
                attributes={"messaging.batch.message_count": entries},
            )
            commit = self._tracer.start_span(
                "commit",
                set_span_in_context(batch, context),
                kind=SpanKind.CLIENT,
                start_time=_ns(commit_began_ms),
                attributes={"db.system.name": "postgresql", "db.operation.name": "COMMIT"},
            )
            commit.end(ended)
            batch.end(ended)
            first = first or batch.get_span_context()


def _context_of(traceparent: str) -> Context:
    """Return a context whose spans belong to that one; an empty one where it names none."""
    return _W3C.extract({_HEADER: traceparent}, Context())


def _ns(ms: float) -> int:
    return int(ms * 1_000_000)
