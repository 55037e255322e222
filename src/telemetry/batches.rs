//! Ended spans, on their way out: a bounded queue, a thread that sends them, and two log lines.
//!
//! Nothing that a worker does waits for the collector. A span that finds the queue full is dropped;
//! the thread has a runtime of its own, so that workflow code does not keep it from sending, nor it
//! workflow code from running. What happens to a collector is told once: a line when sending begins
//! to fail, a line when it works again.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc as sync_mpsc,
    },
    thread,
    time::Duration,
};

use opentelemetry::Context;
use opentelemetry_proto::{
    tonic::collector::trace::v1::ExportTraceServiceRequest,
    transform::{
        common::tonic::ResourceAttributesWithSchema,
        trace::tonic::group_spans_by_resource_and_scope,
    },
};
use opentelemetry_sdk::{
    Resource,
    error::{OTelSdkError, OTelSdkResult},
    trace::{Span, SpanData, SpanProcessor},
};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep, sleep_until, timeout_at},
};
use tracing::{info, warn};

use super::{
    otlp::{Failure, Transport},
    settings::{Batches, Endpoint},
};

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// A collector that comes and goes is told of no more often than this.
const BETWEEN_WARNINGS: Duration = Duration::from_secs(10);
/// How long a flush that nobody bounds may take.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(5);

/// Takes ended spans and has them sent.
#[derive(Debug)]
pub(crate) struct SpanQueue {
    spans: mpsc::Sender<SpanData>,
    flushes: mpsc::UnboundedSender<sync_mpsc::Sender<()>>,
    /// When the thread has to be done, once it is told to end.
    end: watch::Sender<Option<Instant>>,
    overflow: Arc<AtomicUsize>,
}

impl SpanQueue {
    /// Starts the thread.
    ///
    /// # Errors
    /// What is wrong with the certificates; or no thread, or runtime, can be had.
    pub(crate) fn start(
        endpoint: Endpoint,
        batches: Batches,
        resource: &Resource,
    ) -> Result<Self, String> {
        let (spans, queue) = mpsc::channel(batches.queue);
        let (flushes, orders) = mpsc::unbounded_channel();
        let (end, ending) = watch::channel(None);
        let overflow = Arc::<AtomicUsize>::default();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| error.to_string())?;
        let transport = {
            // Not block_on: this may be called from within another runtime.
            let _entered = runtime.enter();
            Transport::new(&endpoint)
        };
        let transport = match transport {
            Ok(transport) => transport,
            Err(problem) => {
                // For the same reason not dropped.
                runtime.shutdown_background();
                return Err(problem);
            }
        };
        let sender = Sender {
            transport,
            endpoint,
            resource: resource.into(),
            ending,
            lost: 0,
            overflow: overflow.clone(),
            failing: None,
        };
        thread::Builder::new()
            .name("otlp-traces".into())
            .spawn(move || {
                // What this thread does is not to be traced.
                let _guard = Context::enter_telemetry_suppressed_scope();
                runtime.block_on(sender.run(queue, orders, batches));
                runtime.shutdown_background();
            })
            .map_err(|error| error.to_string())?;
        Ok(Self { spans, flushes, end, overflow })
    }

    fn flush(&self, within: Duration) -> OTelSdkResult {
        let (done, flushed) = sync_mpsc::channel();
        // The thread is gone: there is nothing to flush.
        if self.flushes.send(done).is_err() {
            return Ok(());
        }
        // Not an error: a thread that ends drops its end.
        match flushed.recv_timeout(within) {
            Err(sync_mpsc::RecvTimeoutError::Timeout) => Err(OTelSdkError::Timeout(within)),
            _ => Ok(()),
        }
    }
}

impl SpanProcessor for SpanQueue {
    fn on_start(&self, _span: &mut Span, _context: &Context) {}

    fn on_end(&self, span: SpanData) {
        if span.span_context.is_sampled() && self.spans.try_send(span).is_err() {
            self.overflow.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.flush(FLUSH_TIMEOUT)
    }

    fn shutdown_with_timeout(&self, within: Duration) -> OTelSdkResult {
        let _ = self.end.send_replace(Some(Instant::now() + within));
        self.flush(within + Duration::from_millis(50))
    }
}

/// The thread's side.
struct Sender {
    transport: Transport,
    endpoint: Endpoint,
    resource: ResourceAttributesWithSchema,
    ending: watch::Receiver<Option<Instant>>,
    /// Spans that were not sent, since sending began to fail.
    lost: usize,
    overflow: Arc<AtomicUsize>,
    failing: Option<Failing>,
}

/// Since when sending fails, and whether that was told.
struct Failing {
    since: Instant,
    told: bool,
    /// It works again, but may have failed a moment ago.
    over: bool,
}

impl Sender {
    async fn run(
        mut self,
        mut queue: mpsc::Receiver<SpanData>,
        mut flushes: mpsc::UnboundedReceiver<sync_mpsc::Sender<()>>,
        batches: Batches,
    ) {
        let mut batch = Vec::new();
        let mut due: Option<Instant> = None;
        loop {
            let wait = async {
                match due {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                flush = flushes.recv() => {
                    // What has ended by now, be it more than one batch.
                    loop {
                        while batch.len() < batches.most && let Ok(span) = queue.try_recv() {
                            batch.push(span);
                        }
                        if batch.is_empty() {
                            break;
                        }
                        self.send(std::mem::take(&mut batch)).await;
                    }
                    due = None;
                    match flush {
                        Some(done) => drop(done.send(())),
                        // The provider is gone, and with it whoever makes spans.
                        None => return,
                    }
                    if self.ending.borrow().is_some() {
                        return;
                    }
                }
                () = wait => {
                    due = None;
                    self.send(std::mem::take(&mut batch)).await;
                }
                Some(span) = queue.recv() => {
                    batch.push(span);
                    let now = Instant::now();
                    due = if batch.len() < batches.most {
                        due.or(Some(now + batches.delay))
                    } else {
                        Some(now)
                    };
                    // As many as are there, without a wake-up for each.
                    while batch.len() < batches.most && let Ok(span) = queue.try_recv() {
                        batch.push(span);
                    }
                }
            }
        }
    }

    /// Sends a batch, trying again for as long as it may take. It is lost after that.
    async fn send(&mut self, batch: Vec<SpanData>) {
        let count = batch.len();
        let resource_spans = group_spans_by_resource_and_scope(batch, &self.resource);
        let request = ExportTraceServiceRequest { resource_spans };
        let deadline = Instant::now() + self.endpoint.timeout;
        let mut pause = FIRST_PAUSE;
        loop {
            let failure = tokio::select! {
                sent = timeout_at(deadline, self.transport.send_traces(request.clone())) => match sent {
                    Ok(Ok(refused)) => return self.works(refused),
                    Ok(Err(failure)) => failure,
                    Err(_) => {
                        let seconds = self.endpoint.timeout.as_secs_f64();
                        Failure { cause: format!("no answer within {seconds:.1} s"), passes: false }
                    }
                },
                () = ends(self.ending.clone()) => {
                    Failure { cause: "no answer before the process ends".into(), passes: false }
                }
            };
            self.fails(&failure.cause);
            let ends = self.ending.borrow().is_some();
            if !failure.passes || ends || Instant::now() + pause >= deadline {
                self.lost += count;
                return;
            }
            tokio::select! {
                () = sleep(pause) => {}
                // One last try, now.
                _ = self.ending.changed() => {}
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    fn fails(&mut self, cause: &str) {
        let told_lately = self
            .failing
            .as_ref()
            .is_some_and(|it| it.over && it.since.elapsed() < BETWEEN_WARNINGS);
        if self.failing.as_ref().is_some_and(|it| !it.over) {
            return;
        }
        self.failing = Some(Failing { since: Instant::now(), told: !told_lately, over: false });
        if !told_lately {
            warn!(
                "traces cannot be exported ({}): {cause}; trying on, work goes on without",
                self.endpoint
            );
        }
    }

    fn works(&mut self, refused: Option<String>) {
        if let Some(refused) = refused {
            return self.fails(&format!("the collector refused {refused}"));
        }
        self.lost += self.overflow.swap(0, Ordering::Relaxed);
        if let Some(failing) = self.failing.as_mut().filter(|it| !it.over) {
            failing.over = true;
            if failing.told {
                info!("traces are exported again; {} spans were lost", self.lost);
                self.lost = 0;
            }
        }
    }
}

/// Completes when the process must not wait any longer.
async fn ends(mut ending: watch::Receiver<Option<Instant>>) {
    match ending.wait_for(Option::is_some).await.map(|at| *at) {
        Ok(Some(at)) => sleep_until(at).await,
        // The provider is gone without a word: nobody waits.
        _ => std::future::pending().await,
    }
}
