//! What the markers of the SDKs record: local activities, versions, side effects.
//!
//! The Rust, Python, TypeScript, .NET and Ruby SDKs share one shape (Core's). The Go SDK has its own,
//! which PHP workflows have too, because they run in `RoadRunner`. The Java SDK has a third.

use std::{
    collections::HashMap,
    time::{Duration, SystemTime},
};

use serde_json::Value;
use temporalio_common::protos::{
    coresdk::{
        common::{decode_change_marker_details, extract_local_activity_marker_data},
        external_data::LocalActivityMarkerData,
    },
    temporal::api::{common::v1::Payloads, history::v1::MarkerRecordedEventAttributes},
};

use super::proto::{duration, time};

/// The names of the markers with which Core records a local activity and a patch.
const CORE_LOCAL_ACTIVITY: &str = "core_local_activity";
const CORE_PATCH: &str = "core_patch";
/// The name of the markers with which the Go and the Java SDK record a local activity.
const LOCAL_ACTIVITY: &str = "LocalActivity";
const VERSION: &str = "Version";

/// What a marker records.
#[derive(Debug)]
pub(super) enum Marker {
    LocalActivity(LocalActivityMarker),
    Other(OtherMarker),
}

/// A local activity, as its marker records it. Texts are empty and times `None` if the marker does
/// not have them, or if they are encrypted.
#[derive(Clone, Debug, Default)]
pub(super) struct LocalActivityMarker {
    pub(super) activity_type: String,
    pub(super) activity_id: String,
    /// The number of the last attempt; 0 if it is not known.
    pub(super) attempt: u32,
    /// The time until the workflow tries it again. With it, what has ended is an attempt.
    pub(super) backoff: Option<Duration>,
    pub(super) times: LocalTimes,
}

/// The times that a marker has.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum LocalTimes {
    #[default]
    Unknown,
    /// The end, by the clock that the start of the workflow task sets.
    End(SystemTime),
    /// Two times of different clocks, whose difference means nothing by itself.
    Run {
        /// When it was first scheduled, by the worker's clock.
        scheduled: SystemTime,
        /// Its end in workflow time, which stands still while no local activity ends: the workflow
        /// time when it was scheduled plus its run time.
        completed: SystemTime,
        /// Whether the run time is that of all attempts in the workflow task, or of the last one.
        of_all_attempts: bool,
        /// The unit of both times.
        unit: Duration,
    },
}

/// A version, a side effect, or a marker of the user's own.
#[derive(Debug)]
pub(super) struct OtherMarker {
    pub(super) name: String,
    /// The id of a change or of a mutable side effect; empty for others.
    pub(super) id: String,
    /// The version, or what is to be known about a patch.
    pub(super) value: Option<String>,
}

/// Reads a marker.
pub(super) fn marker(event: &MarkerRecordedEventAttributes) -> Marker {
    let details = Details(&event.details);
    match event.marker_name.as_str() {
        CORE_LOCAL_ACTIVITY => Marker::LocalActivity(
            extract_local_activity_marker_data(&event.details)
                .map_or_else(LocalActivityMarker::default, core_local_activity),
        ),
        LOCAL_ACTIVITY => Marker::LocalActivity(
            if details.has("activityId") || details.has("meta") || details.has("type") {
                java_local_activity(details)
            } else {
                go_local_activity(details)
            },
        ),
        CORE_PATCH => {
            let patch = decode_change_marker_details(&event.details);
            let (id, is_deprecated) = patch.unwrap_or_default();
            let value = is_deprecated.then(|| "deprecated".to_owned());
            Marker::Other(OtherMarker { name: "patch".to_owned(), id, value })
        }
        name => {
            let id = match name {
                // The keys of the Go SDK, and those of the Java SDK.
                VERSION => details.text("change-id").or_else(|| details.text("changeId")),
                "MutableSideEffect" => {
                    details.text("side-effect-id").or_else(|| details.text("id"))
                }
                _ => None,
            };
            let value = if name == VERSION { details.text("version") } else { None };
            let (name, id) = (name.to_owned(), id.unwrap_or_default());
            Marker::Other(OtherMarker { name, id, value })
        }
    }
}

fn core_local_activity(data: LocalActivityMarkerData) -> LocalActivityMarker {
    let times = match (time(data.original_schedule_time), time(data.complete_time)) {
        (Some(scheduled), Some(completed)) => LocalTimes::Run {
            scheduled,
            completed,
            of_all_attempts: false,
            unit: Duration::from_nanos(1),
        },
        (None, Some(_)) | (_, None) => LocalTimes::Unknown,
    };
    LocalActivityMarker {
        activity_type: data.activity_type,
        activity_id: data.activity_id,
        attempt: data.attempt,
        backoff: duration(data.backoff),
        times,
    }
}

fn go_local_activity(details: Details<'_>) -> LocalActivityMarker {
    let data = details.value("data").unwrap_or_default();
    let end = data["ReplayTime"].as_str().and_then(|text| humantime::parse_rfc3339(text).ok());
    LocalActivityMarker {
        activity_type: text(&data["ActivityType"]).unwrap_or_default(),
        activity_id: text(&data["ActivityID"]).unwrap_or_default(),
        attempt: attempt(&data["Attempt"]),
        backoff: data["Backoff"].as_u64().filter(|nanos| *nanos > 0).map(Duration::from_nanos),
        times: end.map_or(LocalTimes::Unknown, LocalTimes::End),
    }
}

fn java_local_activity(details: Details<'_>) -> LocalActivityMarker {
    let meta = details.value("meta").unwrap_or_default();
    let scheduled = meta["firstSkd"].as_u64().and_then(millis);
    let completed = details.value("time").and_then(|time| time.as_u64()).and_then(millis);
    let unit = Duration::from_millis(1);
    let times = match (scheduled, completed) {
        (Some(scheduled), Some(completed)) => {
            LocalTimes::Run { scheduled, completed, of_all_attempts: true, unit }
        }
        // Older versions of the SDK write no metadata.
        (None, _) | (_, None) => LocalTimes::Unknown,
    };
    LocalActivityMarker {
        activity_type: details.text("type").unwrap_or_default(),
        activity_id: details.text("activityId").unwrap_or_default(),
        attempt: attempt(&meta["atpt"]),
        backoff: java_duration(&meta["backoff"]),
        times,
    }
}

/// Jackson writes a duration in whole milliseconds, or in seconds with a fraction.
fn java_duration(value: &Value) -> Option<Duration> {
    let whole = value.as_u64().map(Duration::from_millis);
    let fraction = || Duration::try_from_secs_f64(value.as_f64()?).ok();
    whole.or_else(fraction).filter(|time| !time.is_zero())
}

/// Milliseconds since the Unix epoch as a time; `None` for the epoch itself.
fn millis(millis: u64) -> Option<SystemTime> {
    let after = Duration::from_millis(millis);
    SystemTime::UNIX_EPOCH.checked_add(after).filter(|_| millis > 0)
}

fn attempt(value: &Value) -> u32 {
    value.as_u64().and_then(|number| number.try_into().ok()).unwrap_or_default()
}

/// A text, or a number as text.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// The details of a marker, of which each is JSON if it is not encrypted.
#[derive(Clone, Copy)]
struct Details<'a>(&'a HashMap<String, Payloads>);

impl Details<'_> {
    fn has(self, key: &str) -> bool {
        self.0.contains_key(key)
    }

    fn value(self, key: &str) -> Option<Value> {
        serde_json::from_slice(&self.0.get(key)?.payloads.first()?.data).ok()
    }

    fn text(self, key: &str) -> Option<String> {
        self.value(key).and_then(|value| text(&value))
    }
}
