//! The failure of a workflow, an activity or a task, with its causes, for people and as JSON.

use serde::{Deserialize, Serialize, Serializer, ser::SerializeSeq};
use temporalio_common::protos::temporal::api::{
    common::v1::{Payload, Payloads},
    enums::v1::{RetryState, TimeoutType},
    failure::v1::{Failure, failure::FailureInfo},
};

use super::payload;
use crate::text;

/// Details of at most this length, in characters, are part of the text.
const LONGEST_DETAILS: usize = 200;

/// A cause is cut to the room that is left for it only if that is at least so many columns.
const SHORTEST_PART: usize = 80;

/// The length to which the title of a stack trace is cut, in columns.
const LONGEST_SUBJECT: usize = 60;

/// A failure and its causes, outermost first. Empty if there is none.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(transparent)]
pub(crate) struct FailureChain(Vec<FailureLink>);

/// A failure without its causes. Fields that do not apply are empty, and left out of the JSON.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct FailureLink {
    kind: FailureKind,
    /// The type of an application's error or of an activity or a workflow, the kind of a timeout, or the name
    /// of a Nexus operation.
    #[serde(rename = "type", skip_serializing_if = "String::is_empty")]
    name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    message: String,
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "as_json")]
    details: Vec<Payload>,
    #[serde(skip_serializing_if = "String::is_empty")]
    stack_trace: String,
    /// Why it was not tried again, if that is more than a property of the error.
    #[serde(skip_serializing_if = "str::is_empty")]
    retry_state: &'static str,
    /// The id of an activity or a workflow.
    #[serde(skip_serializing_if = "String::is_empty")]
    id: String,
    /// The SDK or the part of the server that it comes from.
    #[serde(skip_serializing_if = "String::is_empty")]
    source: String,
    #[serde(skip_serializing_if = "is_false")]
    non_retryable: bool,
}

/// What a failure is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum FailureKind {
    Application,
    Timeout,
    Cancelled,
    Terminated,
    Server,
    Reset,
    Activity,
    ChildWorkflow,
    NexusOperation,
    NexusHandler,
    #[default]
    Unknown,
}

/// What an SDK puts into `encoded_attributes`, if a codec is to see the texts of failures.
#[derive(Deserialize)]
struct EncodedAttributes {
    message: String,
    #[serde(default)]
    stack_trace: String,
}

impl FailureChain {
    pub(crate) fn of(failure: Option<&Failure>) -> Self {
        let failures = std::iter::successors(failure, |failure| failure.cause.as_deref());
        Self(failures.map(FailureLink::of).collect())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The failure and its causes in one text, outermost first, as `Type: message`. It may have line ends.
    pub(crate) fn text(&self) -> String {
        self.phrases(FailureLink::details).join(": ")
    }

    /// The same without details, which often differ where the failure is the same.
    pub(crate) fn text_without_details(&self) -> String {
        self.phrases(|_| String::new()).join(": ")
    }

    /// The text on one line, at most `longest` columns wide if it can be. A longer one has the first causes and
    /// the last ones, with the root.
    pub(crate) fn short(&self, longest: usize) -> String {
        let phrases = self.phrases(FailureLink::details);
        let whole = text::one_line(&phrases.join(": "));
        if text::width(&whole) <= longest {
            return whole;
        }
        let each = if phrases.len() == 1 { longest } else { longest.saturating_sub(32) / 2 };
        let mut phrases: Vec<_> = phrases.iter().map(|phrase| text::cut(phrase, each)).collect();
        // The root first, then the outermost, and then from both ends inwards.
        let (mut first, mut last) = (0, phrases.len());
        let mut room = longest.saturating_sub(24); // for the number of those that are left out
        while first < last {
            let from_end = phrases.len() - last <= first;
            let index = if from_end { last - 1 } else { first };
            let needed = text::width(&phrases[index]) + 2;
            if needed > room && last < phrases.len() {
                if room < SHORTEST_PART {
                    break;
                }
                phrases[index] = text::cut(&phrases[index], room - 2);
            }
            room = room.saturating_sub(needed);
            if from_end {
                last -= 1;
            } else {
                first += 1;
            }
        }
        let mut parts = phrases[..first].to_vec();
        if first < last {
            parts.push(format!("… {} more …", last - first));
        }
        parts.extend_from_slice(&phrases[last..]);
        parts.join(": ")
    }

    /// Stack traces, and details that are too large for the text: for each a title and its lines.
    pub(crate) fn attachments(&self) -> Vec<(String, Vec<String>)> {
        let mut attachments = Vec::new();
        for link in &self.0 {
            let lines = |text: &str| -> Vec<_> {
                let lines = text.lines().filter(|line| !line.trim().is_empty());
                lines.map(|line| text::one_line(line).trim_end().to_owned()).collect()
            };
            let subject = text::cut(&link.subject(), LONGEST_SUBJECT);
            if link.details_line().chars().count() > LONGEST_DETAILS {
                attachments.push((format!("details of {subject}"), lines(&link.details_line())));
            }
            if !link.stack_trace.trim().is_empty() {
                let trace = link.stack_trace.trim_end().replace('\t', "    ");
                attachments.push((format!("stack trace of {subject}"), lines(&trace)));
            }
        }
        attachments
    }

    /// The phrases of the links with their `details`, without those that only repeat the one before.
    fn phrases(&self, details: impl Fn(&FailureLink) -> String) -> Vec<String> {
        let phrase = |link: &FailureLink, is_root| {
            let phrase = format!("{}{}", link.phrase(is_root), details(link));
            phrase.trim_start().to_owned()
        };
        // Causes about which nothing is known do not count.
        let root = self.0.iter().rposition(|link| !phrase(link, true).is_empty());
        let links = &self.0[..root.map_or(0, |root| root + 1)];
        let mut phrases: Vec<_> = links
            .iter()
            .enumerate()
            .map(|(index, link)| phrase(link, Some(index) == root))
            .filter(|phrase| !phrase.is_empty())
            .collect();
        phrases.dedup();
        if phrases.is_empty() && !self.is_empty() {
            phrases.push("a failure without a type or a message".to_owned());
        }
        phrases
    }
}

impl FailureLink {
    fn of(failure: &Failure) -> Self {
        use FailureInfo as Info;
        let mut link = Self {
            message: failure.message.clone(),
            stack_trace: failure.stack_trace.clone(),
            source: failure.source.clone(),
            ..Self::default()
        };
        link.decode(failure.encoded_attributes.as_ref());
        let Some(info) = &failure.failure_info else { return link };
        match info {
            Info::ApplicationFailureInfo(info) => {
                link.kind = FailureKind::Application;
                link.name.clone_from(&info.r#type);
                link.details = payloads(info.details.as_ref());
                link.non_retryable = info.non_retryable;
            }
            Info::TimeoutFailureInfo(info) => {
                link.kind = FailureKind::Timeout;
                timeout_name(info.timeout_type()).clone_into(&mut link.name);
                link.details = payloads(info.last_heartbeat_details.as_ref());
            }
            Info::CanceledFailureInfo(info) => {
                link.kind = FailureKind::Cancelled;
                link.details = payloads(info.details.as_ref());
            }
            Info::TerminatedFailureInfo(_) => link.kind = FailureKind::Terminated,
            Info::ServerFailureInfo(info) => {
                link.kind = FailureKind::Server;
                link.non_retryable = info.non_retryable;
            }
            Info::ResetWorkflowFailureInfo(info) => {
                link.kind = FailureKind::Reset;
                link.details = payloads(info.last_heartbeat_details.as_ref());
            }
            Info::ActivityFailureInfo(info) => {
                link.kind = FailureKind::Activity;
                link.name = info.activity_type.clone().unwrap_or_default().name;
                link.id.clone_from(&info.activity_id);
                link.retry_state = retry_state(info.retry_state());
            }
            Info::ChildWorkflowExecutionFailureInfo(info) => {
                link.kind = FailureKind::ChildWorkflow;
                link.name = info.workflow_type.clone().unwrap_or_default().name;
                link.id = info.workflow_execution.clone().unwrap_or_default().workflow_id;
                link.retry_state = retry_state(info.retry_state());
            }
            Info::NexusOperationExecutionFailureInfo(info) => {
                link.kind = FailureKind::NexusOperation;
                link.name = format!("{}/{}.{}", info.endpoint, info.service, info.operation);
            }
            Info::NexusHandlerFailureInfo(info) => {
                link.kind = FailureKind::NexusHandler;
                link.name.clone_from(&info.r#type);
            }
        }
        link
    }

    /// Takes message and stack trace from the attributes that an SDK encoded, if they are readable; else says
    /// that they are not.
    fn decode(&mut self, attributes: Option<&Payload>) {
        let Some(attributes) = attributes else { return };
        let json = payload::json_value(attributes);
        if let Ok(decoded) = serde_json::from_str::<EncodedAttributes>(json.get()) {
            self.message = decoded.message;
            self.stack_trace = decoded.stack_trace;
        } else {
            let shown = payload::line(std::slice::from_ref(attributes));
            let message = format!("{} {shown}", self.message);
            message.trim_start().clone_into(&mut self.message);
        }
    }

    /// What failed and why, without details. A message that only repeats that something failed is left out
    /// where a cause says more.
    fn phrase(&self, is_root: bool) -> String {
        let own_message = |subject: String| match self.message.as_str() {
            message if is_root && !self.has_no_message() => format!("{subject}: {message}"),
            _ => subject,
        };
        let message = || self.message.clone();
        match self.kind {
            FailureKind::Activity | FailureKind::ChildWorkflow => {
                let state = match self.retry_state {
                    "" => String::new(),
                    state => format!(" ({state})"),
                };
                own_message(format!("{}{state}", self.subject()))
            }
            FailureKind::NexusOperation => own_message(self.subject()),
            FailureKind::Timeout | FailureKind::NexusHandler if self.message_names_the_type() => {
                message()
            }
            FailureKind::Timeout if self.has_no_message() => self.subject(),
            FailureKind::Timeout => format!("{}: {}", self.subject(), self.message),
            FailureKind::Application | FailureKind::NexusHandler => {
                match (self.name.as_str(), self.message.as_str()) {
                    (name, _) if self.has_no_message() => name.to_owned(),
                    ("", message) => message.to_owned(),
                    (name, message) if begins_with_type(message, name) => message.to_owned(),
                    (name, message) => format!("{name}: {message}"),
                }
            }
            _ if self.has_no_message() => self.subject(),
            _ => message(),
        }
    }

    /// Whether there is nothing to see in the message.
    fn has_no_message(&self) -> bool {
        self.message.trim().is_empty()
    }

    /// What the failure is about, without its message.
    fn subject(&self) -> String {
        let name = &self.name;
        let subject = match self.kind {
            FailureKind::Activity => format!("activity {name}"),
            FailureKind::ChildWorkflow => format!("child workflow {name}"),
            FailureKind::NexusOperation => format!("Nexus operation {name}"),
            FailureKind::Timeout => format!("{name} timeout"),
            FailureKind::Cancelled => "cancelled".to_owned(),
            FailureKind::Terminated => "terminated".to_owned(),
            FailureKind::Server => "a failure of the server".to_owned(),
            FailureKind::Reset => "a reset of the workflow".to_owned(),
            FailureKind::Application | FailureKind::NexusHandler if !name.is_empty() => {
                name.clone()
            }
            _ => self.message.lines().next().unwrap_or_default().to_owned(),
        };
        subject.trim().to_owned()
    }

    /// Whether the message contains the type, in whatever spelling: `StartToClose` or `START_TO_CLOSE`.
    fn message_names_the_type(&self) -> bool {
        let plain = |text: &str| -> String {
            text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
        };
        !self.message.is_empty() && plain(&self.message).contains(&plain(&self.name))
    }

    /// The details after a phrase, if there are any; their size if they are large.
    fn details(&self) -> String {
        let what = match self.kind {
            FailureKind::Timeout | FailureKind::Reset => "last heartbeat",
            _ => "details",
        };
        let details = self.details_line();
        match details.chars().count() {
            _ if self.details.is_empty() => String::new(),
            0..=LONGEST_DETAILS => format!(" ({what}: {details})"),
            _ => {
                let bytes: usize = self.details.iter().map(|payload| payload.data.len()).sum();
                format!(" ({what}: {bytes} bytes)")
            }
        }
    }

    fn details_line(&self) -> String {
        payload::list(&self.details, ", ")
    }
}

fn payloads(payloads: Option<&Payloads>) -> Vec<Payload> {
    payloads.map(|payloads| payloads.payloads.clone()).unwrap_or_default()
}

/// Whether `message` is only `name`, or begins with it as in `Type: message`.
fn begins_with_type(message: &str, name: &str) -> bool {
    message
        .strip_prefix(name)
        .is_some_and(|rest| rest.trim().is_empty() || rest.trim_start().starts_with(':'))
}

fn timeout_name(timeout: TimeoutType) -> &'static str {
    match timeout {
        TimeoutType::StartToClose => "StartToClose",
        TimeoutType::ScheduleToStart => "ScheduleToStart",
        TimeoutType::ScheduleToClose => "ScheduleToClose",
        TimeoutType::Heartbeat => "Heartbeat",
        TimeoutType::Unspecified => "",
    }
}

fn retry_state(state: RetryState) -> &'static str {
    match state {
        RetryState::Timeout => "no time left for retries",
        RetryState::MaximumAttemptsReached => "maximum attempts reached",
        RetryState::InternalServerError => "internal server error",
        RetryState::CancelRequested => "cancel requested",
        // The error itself, or the lack of a policy, explains these.
        RetryState::Unspecified
        | RetryState::InProgress
        | RetryState::NonRetryableFailure
        | RetryState::RetryPolicyNotSet => "",
    }
}

fn as_json<S: Serializer>(payloads: &[Payload], serializer: S) -> Result<S::Ok, S::Error> {
    let mut list = serializer.serialize_seq(Some(payloads.len()))?;
    for payload in payloads {
        list.serialize_element(&payload::json_value(payload))?;
    }
    list.end()
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

mod ended;
#[cfg(test)]
mod tests;
