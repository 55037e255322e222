//! A batch of workflows: started with bounded concurrency, awaited, each outcome told as it comes.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use futures::{Stream, StreamExt, stream};
use temporalio_client::{
    Client, UntypedWorkflow, WorkflowGetResultOptions, WorkflowStartOptions,
    errors::WorkflowStartError, tonic::Code,
};
use temporalio_common::{data_converters::RawValue, protos::temporal::api::common::v1::Payload};
use tokio::time::sleep;
use uuid::Uuid;

use crate::{client::describe, error::chain};

/// A namespace that was created a moment ago can be described at once, but the server's caches
/// know it some seconds later (10 s by default); until then a start is answered with "not found".
const NAMESPACE_PATIENCE: Duration = Duration::from_secs(20);
const NAMESPACE_PAUSE: Duration = Duration::from_millis(500);

/// What to start, and how many of it.
#[derive(Clone, Debug)]
pub(crate) struct Batch {
    pub(crate) workflow_type: String,
    pub(crate) task_queue: String,
    /// The one argument of each workflow, as JSON; `None` starts it without any.
    pub(crate) input: Option<String>,
    /// Each id is this, a dash and a random UUID.
    pub(crate) id_prefix: String,
    pub(crate) count: usize,
    /// Workflows under way at a time.
    pub(crate) concurrency: usize,
}

/// How one workflow of a batch ended.
pub(crate) struct Outcome {
    pub(crate) workflow_id: String,
    /// The result as text, or why there is none.
    pub(crate) result: Result<String, String>,
    /// From just before the start request to the result.
    pub(crate) latency: Duration,
}

impl Batch {
    /// Starts the workflows and yields each one's outcome as it completes; `started` counts them.
    /// Dropping the stream leaves those that were started running at the server.
    pub(crate) fn run(
        self,
        client: Client,
        started: Arc<AtomicUsize>,
    ) -> impl Stream<Item = Outcome> {
        let concurrency = self.concurrency;
        stream::iter(0..self.count)
            .map(move |_| one(client.clone(), self.clone(), started.clone()))
            .buffer_unordered(concurrency)
    }
}

async fn one(client: Client, batch: Batch, started: Arc<AtomicUsize>) -> Outcome {
    let workflow_id = format!("{}-{}", batch.id_prefix, Uuid::new_v4());
    let begun = Instant::now();
    let result = execute(&client, batch, &workflow_id, &started).await;
    Outcome { workflow_id, result, latency: begun.elapsed() }
}

async fn execute(
    client: &Client,
    batch: Batch,
    workflow_id: &str,
    started: &AtomicUsize,
) -> Result<String, String> {
    let input = RawValue::new(batch.input.as_deref().map(json_payload).into_iter().collect());
    let until = Instant::now() + NAMESPACE_PATIENCE;
    let handle = loop {
        let workflow = UntypedWorkflow::new(&batch.workflow_type);
        let options = WorkflowStartOptions::new(&batch.task_queue, workflow_id).build();
        match client.start_workflow(workflow, input.clone(), options).await {
            Ok(handle) => break handle,
            Err(WorkflowStartError::Rpc(status))
                if status.code() == Code::NotFound && Instant::now() < until =>
            {
                sleep(NAMESPACE_PAUSE).await;
            }
            Err(WorkflowStartError::Rpc(status)) => return Err(describe(&status)),
            Err(other) => return Err(chain(&other)),
        }
    };
    started.fetch_add(1, Ordering::Relaxed);
    match handle.get_result(WorkflowGetResultOptions::default()).await {
        Ok(value) => Ok(text(&value)),
        Err(error) => Err(chain(&error)),
    }
}

/// The JSON as it was given: parsed and printed again, large numbers would be other ones.
fn json_payload(json: &str) -> Payload {
    Payload {
        metadata: [("encoding".to_owned(), b"json/plain".to_vec())].into(),
        data: json.as_bytes().to_vec(),
        ..Default::default()
    }
}

/// A result as one line: a JSON string without its quotes, unless it has line ends or the like;
/// other JSON as it is.
fn text(value: &RawValue) -> String {
    let Some(payload) = value.payloads.first() else {
        return "null".into();
    };
    match payload.metadata.get("encoding").map(Vec::as_slice) {
        Some(b"json/plain") => json_line(&String::from_utf8_lossy(&payload.data)),
        Some(b"binary/null") | None => "null".into(),
        Some(encoding) => {
            format!("<{} bytes, {}>", payload.data.len(), String::from_utf8_lossy(encoding))
        }
    }
}

fn json_line(json: &str) -> String {
    match serde_json::from_str(json) {
        Ok(serde_json::Value::String(text)) if !text.contains(char::is_control) => text,
        // Only pretty-printed JSON has these outside a string, where they mean nothing.
        _ => json.replace(char::is_control, " "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(json: &str) -> String {
        text(&RawValue::new(vec![json_payload(json)]))
    }

    #[test]
    fn a_result_is_one_line_a_string_without_quotes_and_other_json_as_it_is() {
        for (result, line) in [
            ("\"a | b\"", "a | b"),
            ("\"one\\ntwo\"", "\"one\\ntwo\""),
            ("{\"z\":1, \"a\":1e2}", "{\"z\":1, \"a\":1e2}"),
            ("12345678901234567890123", "12345678901234567890123"),
            ("[1,\n2]", "[1, 2]"),
        ] {
            assert_eq!(shown(result), line);
        }
    }

    #[test]
    fn an_empty_result_is_null() {
        assert_eq!(text(&RawValue::new(vec![])), "null");
    }
}
