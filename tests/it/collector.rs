//! A telemetry collector that accepts OTLP over gRPC or HTTP and stores what it receives, and one
//! that never answers.

use std::{
    collections::BTreeMap,
    fmt::Write,
    io::Read,
    net::TcpListener,
    sync::{Arc, Mutex},
    thread,
};

use flate2::read::GzDecoder;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, body::Bytes, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::{
    collector::{
        logs::v1::{
            ExportLogsServiceRequest, ExportLogsServiceResponse,
            logs_service_server::{LogsService, LogsServiceServer},
        },
        metrics::v1::{
            ExportMetricsServiceRequest, ExportMetricsServiceResponse,
            metrics_service_server::{MetricsService, MetricsServiceServer},
        },
        trace::v1::{
            ExportTraceServiceRequest, ExportTraceServiceResponse,
            trace_service_server::{TraceService, TraceServiceServer},
        },
    },
    common::v1::{KeyValue, any_value::Value},
    trace::v1::{Span as Proto, status::StatusCode},
};
use prost::Message;
use tokio::sync::oneshot;
use tonic::{Status, codec::CompressionEncoding};

use crate::support::{eventually, free_port};

/// A span that the collector received.
#[derive(Clone, Debug)]
pub(crate) struct Span {
    pub(crate) name: String,
    pub(crate) trace: String,
    pub(crate) id: String,
    /// The id of the parent span; empty for a root span.
    pub(crate) parent: String,
    pub(crate) attributes: BTreeMap<String, String>,
    pub(crate) resource: BTreeMap<String, String>,
    pub(crate) events: Vec<(String, BTreeMap<String, String>)>,
    pub(crate) status: StatusCode,
    pub(crate) message: String,
}

impl Span {
    pub(crate) fn service(&self) -> &str {
        &self.resource["service.name"]
    }
}

/// A log record that the collector received.
#[derive(Clone, Debug)]
pub(crate) struct Log {
    pub(crate) text: String,
    pub(crate) level: String,
    /// The module that logged it.
    pub(crate) target: String,
    /// The ids of the trace and the span; both are empty for a record outside of any span.
    pub(crate) trace: String,
    pub(crate) span: String,
    pub(crate) attributes: BTreeMap<String, String>,
    pub(crate) resource: BTreeMap<String, String>,
}

/// The latest state of a metric that the collector received.
#[derive(Clone, Debug)]
pub(crate) struct Metric {
    pub(crate) name: String,
    pub(crate) unit: String,
    pub(crate) resource: BTreeMap<String, String>,
}

#[derive(Clone, Default)]
struct Received {
    spans: Arc<Mutex<Vec<Span>>>,
    metrics: Arc<Mutex<Vec<Metric>>>,
    logs: Arc<Mutex<Vec<Log>>>,
    /// The headers of the last request with spans.
    headers: Arc<Mutex<BTreeMap<String, String>>>,
}

/// A collector that only one test uses.
pub(crate) struct Collector {
    pub(crate) port: u16,
    http: bool,
    received: Received,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Collector {
    pub(crate) fn grpc() -> Self {
        Self::at(free_port(), false)
    }

    pub(crate) fn http() -> Self {
        Self::at(free_port(), true)
    }

    pub(crate) fn at(port: u16, http: bool) -> Self {
        let received = Received::default();
        let (stop, stopped) = oneshot::channel();
        let (ready, is_ready) = std::sync::mpsc::channel();
        let service = received.clone();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.unwrap();
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.unwrap();
                ready.send(()).unwrap();
                let serve = async {
                    if http {
                        serve_http(listener, service).await;
                    } else {
                        serve_grpc(listener, service).await;
                    }
                };
                tokio::select! {
                    () = serve => {}
                    _ = stopped => {}
                }
            });
            runtime.shutdown_background();
        });
        is_ready.recv().unwrap();
        Self { port, http, received, stop: Some(stop), thread: Some(thread) }
    }

    pub(crate) fn is_http(&self) -> bool {
        self.http
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(crate) fn spans(&self) -> Vec<Span> {
        self.received.spans.lock().unwrap().clone()
    }

    pub(crate) fn metrics(&self) -> Vec<Metric> {
        self.received.metrics.lock().unwrap().clone()
    }

    pub(crate) fn logs(&self) -> Vec<Log> {
        self.received.logs.lock().unwrap().clone()
    }

    pub(crate) fn headers(&self) -> BTreeMap<String, String> {
        self.received.headers.lock().unwrap().clone()
    }

    /// Waits until at least `count` spans have arrived, and returns all spans.
    #[track_caller]
    pub(crate) fn wait(&self, count: usize) -> Vec<Span> {
        eventually(&format!("{count} spans"), || self.spans().len() >= count);
        self.spans()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        drop(self.stop.take());
        // Afterwards the port is free again.
        let _ = self.thread.take().map(thread::JoinHandle::join);
    }
}

impl Received {
    fn add(&self, request: ExportTraceServiceRequest, headers: BTreeMap<String, String>) {
        *self.headers.lock().unwrap() = headers;
        let mut spans = self.spans.lock().unwrap();
        for of_resource in request.resource_spans {
            let resource = values(&of_resource.resource.unwrap().attributes);
            let all = of_resource.scope_spans.into_iter().flat_map(|scope| scope.spans);
            spans.extend(all.map(|span| read(span, resource.clone())));
        }
    }
}

impl Received {
    fn add_metrics(&self, request: ExportMetricsServiceRequest) {
        let mut metrics = self.metrics.lock().unwrap();
        for of_resource in request.resource_metrics {
            let resource = values(&of_resource.resource.unwrap().attributes);
            for metric in of_resource.scope_metrics.into_iter().flat_map(|scope| scope.metrics) {
                let (name, unit) = (metric.name, metric.unit);
                metrics.push(Metric { name, unit, resource: resource.clone() });
            }
        }
    }
}

impl Received {
    fn add_logs(&self, request: ExportLogsServiceRequest) {
        let mut logs = self.logs.lock().unwrap();
        for of_resource in request.resource_logs {
            let resource = values(&of_resource.resource.unwrap().attributes);
            for of_scope in of_resource.scope_logs {
                let target = of_scope.scope.unwrap_or_default().name;
                logs.extend(of_scope.log_records.into_iter().map(|record| Log {
                    text: record.body.and_then(|body| body.value).map(shown).unwrap_or_default(),
                    level: record.severity_text,
                    target: target.clone(),
                    trace: hex(&record.trace_id),
                    span: hex(&record.span_id),
                    attributes: values(&record.attributes),
                    resource: resource.clone(),
                }));
            }
        }
    }
}

fn read(span: Proto, resource: BTreeMap<String, String>) -> Span {
    let status = span.status.unwrap_or_default();
    Span {
        name: span.name,
        trace: hex(&span.trace_id),
        id: hex(&span.span_id),
        parent: hex(&span.parent_span_id),
        attributes: values(&span.attributes),
        resource,
        events: span
            .events
            .into_iter()
            .map(|event| (event.name, values(&event.attributes)))
            .collect(),
        status: status.code(),
        message: status.message,
    }
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in bytes {
        write!(text, "{byte:02x}").unwrap();
    }
    text
}

fn shown(value: Value) -> String {
    match value {
        Value::StringValue(text) => text,
        Value::IntValue(number) => number.to_string(),
        Value::BoolValue(is) => is.to_string(),
        other => format!("{other:?}"),
    }
}

fn values(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    let value = |attribute: &KeyValue| attribute.value.clone()?.value.map(shown);
    attributes
        .iter()
        .map(|attribute| (attribute.key.clone(), value(attribute).unwrap_or_default()))
        .collect()
}

#[tonic::async_trait]
impl TraceService for Received {
    async fn export(
        &self,
        request: tonic::Request<ExportTraceServiceRequest>,
    ) -> Result<tonic::Response<ExportTraceServiceResponse>, Status> {
        let headers = request.metadata().clone().into_headers();
        let headers = headers
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap_or_default().to_owned()));
        self.add(request.get_ref().clone(), headers.collect());
        Ok(tonic::Response::new(ExportTraceServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl MetricsService for Received {
    async fn export(
        &self,
        request: tonic::Request<ExportMetricsServiceRequest>,
    ) -> Result<tonic::Response<ExportMetricsServiceResponse>, Status> {
        self.add_metrics(request.into_inner());
        Ok(tonic::Response::new(ExportMetricsServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl LogsService for Received {
    async fn export(
        &self,
        request: tonic::Request<ExportLogsServiceRequest>,
    ) -> Result<tonic::Response<ExportLogsServiceResponse>, Status> {
        self.add_logs(request.into_inner());
        Ok(tonic::Response::new(ExportLogsServiceResponse::default()))
    }
}

async fn serve_grpc(listener: tokio::net::TcpListener, received: Received) {
    let gzip = CompressionEncoding::Gzip;
    let traces = TraceServiceServer::new(received.clone()).accept_compressed(gzip);
    let metrics = MetricsServiceServer::new(received.clone()).accept_compressed(gzip);
    let logs = LogsServiceServer::new(received).accept_compressed(gzip);
    let incoming = futures::stream::unfold(listener, |listener| async {
        Some((listener.accept().await.map(|(stream, _)| stream), listener))
    });
    tonic::transport::Server::builder()
        .add_service(traces)
        .add_service(metrics)
        .add_service(logs)
        .serve_with_incoming(incoming)
        .await
        .unwrap();
}

async fn serve_http(listener: tokio::net::TcpListener, received: Received) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let received = received.clone();
        let service = service_fn(move |request: Request<hyper::body::Incoming>| {
            let received = received.clone();
            async move {
                let mut headers: BTreeMap<_, _> = request
                    .headers()
                    .iter()
                    .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
                    .collect();
                headers.insert(":path".into(), request.uri().path().to_owned());
                let mut body = request.into_body().collect().await.unwrap().to_bytes().to_vec();
                if headers.get("content-encoding").is_some_and(|encoding| encoding == "gzip") {
                    let mut plain = Vec::new();
                    GzDecoder::new(body.as_slice()).read_to_end(&mut plain).unwrap();
                    body = plain;
                }
                if headers[":path"].ends_with("/metrics") {
                    received.add_metrics(Message::decode(body.as_slice()).unwrap());
                } else if headers[":path"].ends_with("/logs") {
                    received.add_logs(Message::decode(body.as_slice()).unwrap());
                } else {
                    received.add(Message::decode(body.as_slice()).unwrap(), headers);
                }
                Ok::<_, std::convert::Infallible>(Response::new(Full::<Bytes>::default()))
            }
        });
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

/// Opens a port that accepts connections and never answers, until the listener is dropped.
pub(crate) fn black_hole() -> TcpListener {
    // The kernel completes connections on its own, as many as the listener's backlog holds.
    TcpListener::bind("127.0.0.1:0").unwrap()
}
