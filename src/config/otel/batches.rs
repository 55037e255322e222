//! The size of batches (`OTEL_BSP_*`, `OTEL_BLRP_*`) and the limits of a span (`OTEL_SPAN_*`).

use std::time::Duration;

use super::reader::{Reader, parse_count, parse_milliseconds, parse_size};

/// How spans, or log records, are collected into batches before they are sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Batches {
    /// How long a span or record waits for others.
    pub(crate) delay: Duration,
    /// Upper limit of those that wait. Above it, new ones are dropped.
    pub(crate) queue: usize,
    /// Upper limit of those in one batch.
    pub(crate) most: usize,
}

impl Default for Batches {
    fn default() -> Self {
        // These are OpenTelemetry's defaults, but the delay is one second instead of five: what a process has not
        // sent is lost when it is killed.
        Self { delay: Duration::from_secs(1), queue: 2048, most: 512 }
    }
}

/// Upper limits of what one span holds; `None` for OpenTelemetry's default.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SpanLimits {
    pub(crate) attributes: Option<u32>,
    pub(crate) events: Option<u32>,
    pub(crate) links: Option<u32>,
}

impl Reader<'_> {
    pub(super) fn limits(&mut self) -> SpanLimits {
        SpanLimits {
            attributes: self.parse("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", parse_count),
            events: self.parse("OTEL_SPAN_EVENT_COUNT_LIMIT", parse_count),
            links: self.parse("OTEL_SPAN_LINK_COUNT_LIMIT", parse_count),
        }
    }

    /// Reads the variables that begin with `prefix`.
    pub(super) fn batches(&mut self, prefix: &str) -> Batches {
        let usual = Batches::default();
        let delay = self.parse(&format!("{prefix}SCHEDULE_DELAY"), parse_milliseconds);
        let queue = self.parse(&format!("{prefix}MAX_QUEUE_SIZE"), parse_size);
        let most_name = format!("{prefix}MAX_EXPORT_BATCH_SIZE");
        let most = self.parse(&most_name, parse_size);
        let queue = queue.unwrap_or(usual.queue);
        if most.is_some_and(|most| most > queue) {
            let rule = format!("must not be above {prefix}MAX_QUEUE_SIZE ({queue})");
            self.problem(&most_name, rule);
        }
        let most = most.unwrap_or(usual.most).min(queue);
        Batches { delay: delay.unwrap_or(usual.delay), queue, most }
    }
}
