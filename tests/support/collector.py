"""A real receiver of spans, as OTLP over HTTP sends them, on this machine."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass(frozen=True)
class ReceivedSpan:
    """What tests look at of a span."""

    service: str
    name: str
    trace: str
    id: str
    parent: str
    start_ns: int
    end_ns: int
    links: list[str]  #: ids of spans
    about: dict[str, str | int]


@dataclass
class Collector:
    """What was received, as it came."""

    url: str = ""
    bodies: list[bytes] = field(default_factory=list)

    def spans(self, trace: str) -> list[ReceivedSpan]:
        """Return what came of a trace, in the order in which it began."""
        # By id: what was not acknowledged in time is sent again.
        found = {span.id: span for body in list(self.bodies) for span in _spans(body)}
        of_trace = (span for span in found.values() if span.trace == trace)
        return sorted(of_trace, key=lambda span: span.start_ns)


def _spans(body: bytes) -> Iterator[ReceivedSpan]:
    request: Any = ExportTraceServiceRequest.FromString(body)
    for resource in request.resource_spans:
        service = _values(resource.resource.attributes)["service.name"]
        for scope in resource.scope_spans:
            for span in scope.spans:
                yield ReceivedSpan(
                    service=str(service),
                    name=span.name,
                    trace=span.trace_id.hex(),
                    id=span.span_id.hex(),
                    parent=span.parent_span_id.hex(),
                    start_ns=span.start_time_unix_nano,
                    end_ns=span.end_time_unix_nano,
                    links=[link.span_id.hex() for link in span.links],
                    about=_values(span.attributes),
                )


def _values(attributes: Any) -> dict[str, str | int]:
    return {one.key: one.value.string_value or one.value.int_value for one in attributes}


@contextmanager
def collecting() -> Iterator[Collector]:
    """Receive spans at `url` until the end."""
    collector = Collector()

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.path == "/v1/traces"
            collector.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
        collector.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, name="collector")
        thread.start()
        try:
            yield collector
        finally:
            server.shutdown()
            thread.join()
