//! Local activities as the markers of the SDKs have them, and the other markers.

use serde_json::{Value, json};
use temporalio_common::protos::temporal::api::{
    common::v1::{Payload, Payloads},
    failure::v1::{ActivityFailureInfo, failure::FailureInfo},
    history::v1::{MarkerRecordedEventAttributes, WorkflowExecutionSignaledEventAttributes},
};

use super::*;

/// A time of the recordings, in microseconds.
fn micros(micros: u64) -> SystemTime {
    at(0) + Duration::from_micros(micros)
}

/// A run whose workflow tasks start and end at these times, and what each recorded.
fn run(tasks: &[(u64, u64, Vec<Attributes>)]) -> Timeline {
    build(events_of(tasks), micros(tasks.last().unwrap().1 + 100))
}

fn events_of(tasks: &[(u64, u64, Vec<Attributes>)]) -> Vec<HistoryEvent> {
    let mut events = beginning()[..1].to_vec();
    let mut add = |of_type, at, attributes| {
        let id = i64::try_from(events.len()).unwrap() + 1;
        let mut event = event(id, 0, of_type, attributes);
        event.event_time = Some(micros(at).into());
        events.push(event);
    };
    let mut id = 2;
    for (started, ended, markers) in tasks {
        for mut event in [
            workflow_task_scheduled(id, 0, 1),
            workflow_task_started(id + 1, 0),
            workflow_task_completed(id + 2, 0),
        ] {
            let at = if event.event_id == id + 2 { *ended } else { *started };
            add(event.event_type(), at, event.attributes.take().unwrap());
        }
        for marker in markers {
            add(EventType::MarkerRecorded, ended + 10, marker.clone());
        }
        id += 3 + i64::try_from(markers.len()).unwrap();
    }
    events
}

fn marker(name: &str, details: &[(&str, Value)], failure: Option<Failure>) -> Attributes {
    let payloads = |value: &Value| {
        let metadata = [("encoding".to_owned(), b"json/plain".to_vec())].into();
        let data = value.to_string().into_bytes();
        let payload = Payload { metadata, data, ..Default::default() };
        Payloads { payloads: vec![payload] }
    };
    Attributes::MarkerRecordedEventAttributes(MarkerRecordedEventAttributes {
        marker_name: name.into(),
        details: details.iter().map(|(key, value)| ((*key).into(), payloads(value))).collect(),
        failure,
        ..Default::default()
    })
}

fn failure(message: &str) -> Option<Failure> {
    Some(Failure { message: message.into(), ..Default::default() })
}

/// A marker of Core's: scheduled by the worker's clock, completed in workflow time.
fn core(scheduled: u64, completed: u64, attempt: u32, backoff: Option<u64>) -> Attributes {
    let time = |micros: u64| {
        let since = micros_since_epoch(micros);
        json!({"seconds": since / 1_000_000, "nanos": since % 1_000_000 * 1000})
    };
    let data = json!({
        "seq": 1, "attempt": attempt, "activity_id": "1", "activity_type": "nap",
        "complete_time": time(completed), "original_schedule_time": time(scheduled),
        "backoff": backoff.map(|seconds| json!({"seconds": seconds, "nanos": 0})),
    });
    let failure = backoff.and_then(|_| failure(&format!("no {attempt}")));
    marker("core_local_activity", &[("data", data)], failure)
}

fn micros_since_epoch(at: u64) -> u64 {
    let since = micros(at).duration_since(SystemTime::UNIX_EPOCH).unwrap();
    u64::try_from(since.as_micros()).unwrap()
}

/// The local activities as microseconds: scheduled, started, ended.
fn locals(timeline: &Timeline) -> Vec<[Option<u64>; 3]> {
    let local = timeline.rows.iter().filter(|row| row.kind == Kind::LocalActivity);
    let since = |time: SystemTime| u64::try_from(since(at(0), time).as_micros()).unwrap();
    let times = |row: &Row| {
        let scheduled = Some(row.at).filter(|_| !row.is_undated);
        [scheduled, row.started, row.ended].map(|time| time.map(since))
    };
    local.map(times).collect()
}

/// As the Python SDK recorded twenty local activities of 20 ms, one after the other: scheduled by the
/// worker's clock, and completed in workflow time.
const LADDER: [(u64, u64); 20] = [
    (445_043, 445_994),
    (467_355, 467_435),
    (492_639, 489_745),
    (516_999, 510_653),
    (539_457, 532_046),
    (562_041, 553_037),
    (584_038, 573_782),
    (606_137, 594_619),
    (628_232, 615_317),
    (650_154, 636_174),
    (672_268, 657_860),
    (695_203, 678_641),
    (717_125, 699_387),
    (739_070, 720_677),
    (761_710, 741_203),
    (783_142, 761_800),
    (804_949, 782_715),
    (827_064, 803_434),
    (849_165, 824_228),
    (871_243, 845_097),
];

#[test]
fn twenty_local_activities_in_sequence_take_what_each_took_and_stay_in_their_workflow_task() {
    // The worker's clock is right, or an hour off.
    for skew in [-3_600_000_000_i64, 0, 3_600_000_000] {
        let markers = LADDER.map(|(scheduled, completed)| {
            core(scheduled.saturating_add_signed(skew.max(0)), completed, 1, None)
        });
        // A clock that is behind: the server's times are later.
        let behind = u64::try_from((-skew).max(0)).unwrap();
        let markers = if skew < 0 {
            LADDER.map(|(scheduled, completed)| core(scheduled, completed + behind, 1, None))
        } else {
            markers
        };
        let (started, ended) = (424_893 + behind, 894_717 + behind);
        let timeline = run(&[(started, ended, markers.to_vec())]);
        let locals = locals(&timeline);
        assert_eq!(locals.len(), 20);
        let mut previous = started;
        for [scheduled, begun, end] in locals {
            let (begun, end) = (begun.unwrap(), end.unwrap());
            assert_eq!(scheduled, Some(begun));
            assert!((20_400..22_400).contains(&(end - begun)), "{} µs", end - begun);
            assert!(previous <= begun && end <= ended, "{previous} {begun} {end}");
            previous = end;
        }
        let shares = timeline.shares();
        let activities = shares[&Share::Activities].as_micros();
        assert!((419_000..422_000).contains(&activities), "{shares:?}");
    }
}

#[test]
fn local_activities_side_by_side_have_their_own_times() {
    let markers = [(472_119, 570_324), (472_124, 670_144), (472_125, 769_489)];
    let markers = markers.map(|(scheduled, completed)| core(scheduled, completed, 1, None));
    let timeline = run(&[(468_811, 775_551, markers.to_vec())]);
    let took = |[_, begun, end]: [Option<u64>; 3]| end.unwrap() - begun.unwrap();
    let took: Vec<_> = locals(&timeline).into_iter().map(took).collect();
    assert_eq!(took, [101_513, 201_333, 300_678]);
}

#[test]
fn a_local_activity_that_outlasts_its_workflow_task_goes_on_in_the_next() {
    let timeline = run(&[
        (443_682, 8_451_520, vec![core(450_093, 544_818, 1, None)]),
        (
            8_451_810,
            14_668_516,
            vec![core(552_239, 14_552_604, 1, None), core(14_562_537, 14_653_455, 1, None)],
        ),
    ]);
    let expected = [
        [450_093, 450_093, 551_229],
        [552_239, 552_239, 14_560_025],
        [14_562_537, 14_562_537, 14_663_388],
    ];
    assert_eq!(locals(&timeline), expected.map(|times| times.map(Some)));
}

#[test]
fn a_local_activity_stays_in_its_own_workflow_task_however_soon_that_follows_another() {
    // The worker's clock is an hour ahead.
    let local = core(3_600_030_000, 26_000, 1, None);
    let mut events = events_of(&[(10_000, 18_000, vec![]), (20_000, 40_000, vec![local])]);
    let signal = WorkflowExecutionSignaledEventAttributes::default();
    let signal = Attributes::WorkflowExecutionSignaledEventAttributes(signal);
    events.insert(4, event(900, 19, EventType::WorkflowExecutionSignaled, signal));
    let timeline = build(events, micros(50_000));
    assert_eq!(locals(&timeline), [[20_000, 20_000, 26_000].map(Some)]);
}

#[test]
fn a_local_activity_that_its_worker_retried_shows_its_last_attempt() {
    let timeline = run(&[(
        459_723,
        1_267_350,
        vec![
            core(463_342, 511_524, 1, None),
            core(517_201, 542_798, 3, None),
            core(1_213_995, 593_608, 1, None),
        ],
    )]);
    let locals = locals(&timeline);
    assert_eq!(locals[1], [517_201, 1_182_721, 1_213_995].map(Some));
    let [_, begun, end] = locals[2].map(Option::unwrap);
    assert_eq!(end - begun, 50_810);
}

#[test]
fn a_local_activity_that_is_retried_after_timers_has_one_row_and_counts_once() {
    let tasks = [
        (451_133, 495_817, vec![core(453_939, 483_802, 1, Some(2))]),
        (2_500_181, 2_537_675, vec![core(453_939, 2_531_906, 2, Some(4))]),
        (
            6_541_270,
            6_640_718,
            vec![core(453_939, 6_574_776, 3, None), core(6_585_210, 6_625_786, 1, None)],
        ),
    ];
    let timeline = run(&tasks);
    let found = locals(&timeline);
    let first = [453_939, 6_541_270, 6_574_776].map(Some);
    let next = [6_585_210, 6_585_210, 6_636_220].map(Some);
    assert_eq!(found, [first, next]);
    let row = timeline.rows.iter().find(|row| row.kind == Kind::LocalActivity).unwrap();
    assert_eq!((row.attempt, row.status), (3, RowStatus::Completed));
    assert_eq!(row.last_failure.as_deref(), Some("no 2"));
    let lines = lines(&timeline);
    assert!(
        lines.iter().any(|line| line.contains("3 workflow tasks, 2 activities,")),
        "{lines:#?}"
    );
    // Between the attempts it waits for the next one.
    let open = run(&tasks[..2]);
    let row = open.rows.iter().find(|row| row.kind == Kind::LocalActivity).unwrap();
    assert_eq!((row.attempt, row.status), (3, RowStatus::BackingOff));
    assert_eq!(row.due, Some(micros(6_531_906)));
}

/// Rows of local activities and markers, as the text has them, without the bars and with single spaces.
fn printed(timeline: &Timeline) -> Vec<String> {
    let lines = lines(timeline);
    let rows = lines.iter().skip_while(|line| !line.starts_with("workflow task")).skip(1);
    let rows = rows.take_while(|line| !line.contains("● event"));
    let text = |line: &String| {
        let columns = line.split(['█', '●', '▒']).next().unwrap();
        columns.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    rows.map(text).collect()
}

#[test]
fn go_markers_show_type_failure_and_end_and_versions_by_name() {
    let data = |id: &str, name: &str, attempt: u32, ended: u64| {
        let time = humantime::format_rfc3339_nanos(micros(ended)).to_string();
        let data = json!({
            "ActivityID": id, "ActivityType": name, "ReplayTime": time, "Attempt": attempt, "Backoff": 0,
        });
        ("data", data)
    };
    let local = |data, failure| marker("LocalActivity", &[data, ("result", json!("ok"))], failure);
    let failed = failure("smtp down");
    let timeline = run(&[(
        20_000,
        80_000,
        vec![
            local(data("1", "ChargeCard", 3, 45_000), None),
            local(data("2", "SendMail", 1, 70_000), failed),
            // A time of another clock.
            local(data("3", "Audit", 1, 3_600_000_000), None),
            marker("Version", &[("change-id", json!("new-tax")), ("version", json!(2))], None),
            marker("SideEffect", &[("side-effect-id", json!(1)), ("data", json!("uuid"))], None),
            marker("MutableSideEffect", &[("side-effect-id", json!("rate"))], None),
            marker("our own", &[], None),
        ],
    )]);
    assert_eq!(
        printed(&timeline),
        [
            "local activity Audit - - 1",
            "local activity ChargeCard - - 1",
            "attempt 3",
            "local activity SendMail - - 1",
            "failed: smtp down",
            "Version new-tax 2 80 ms",
            "SideEffect 80 ms",
            "MutableSideEffect rate 80 ms",
            "our own 80 ms",
        ]
    );
    assert_eq!(locals(&timeline)[1], [None, None, Some(45_000)]);
    assert!(timeline.other.is_empty(), "{:?}", timeline.other);
    let json: Value = serde_json::from_str(&super::json(&timeline, "a", "n")).unwrap();
    let charge = &json["rows"][2];
    assert_eq!(charge["name"], "ChargeCard");
    for unknown in ["scheduled", "started", "execution_ms", "duration_ms", "retries_ms"] {
        assert_eq!(charge[unknown], Value::Null, "{unknown}");
    }
    let version = &json["rows"][4];
    assert_eq!((&version["kind"], &version["id"]), (&"marker".into(), &"new-tax".into()));
    assert_eq!((&version["name"], &version["value"]), (&"Version".into(), &"2".into()));
}

#[test]
fn a_go_local_activity_that_is_retried_after_a_timer_has_one_row() {
    let attempt = |number: u32, backoff: u64| {
        let data = json!({
            "ActivityID": number.to_string(), "ActivityType": "Charge", "Attempt": number,
            "Backoff": backoff,
        });
        let failure = failure("busy").filter(|_| backoff > 0);
        marker("LocalActivity", &[("data", data)], failure)
    };
    let timeline = run(&[
        (20_000, 30_000, vec![attempt(1, 1_000_000_000)]),
        (1_020_000, 1_030_000, vec![attempt(2, 0)]),
    ]);
    let rows: Vec<_> = timeline.rows.iter().filter(|row| row.kind == Kind::LocalActivity).collect();
    let [row] = rows[..] else { panic!("{rows:#?}") };
    assert_eq!((row.attempt, row.status), (2, RowStatus::Completed));
    assert_eq!(row.last_failure.as_deref(), Some("busy"));
}

/// A marker of the Java SDK, whose times are in milliseconds.
fn java(id: &str, scheduled: u64, completed: u64, failure: Option<Failure>) -> Attributes {
    let millis = |at: u64| json!(micros_since_epoch(at) / 1000);
    let meta = json!({"firstSkd": millis(scheduled), "atpt": 1, "backoff": null});
    let details = [
        ("activityId", json!(id)),
        ("type", json!("Charge")),
        ("time", millis(completed)),
        ("meta", meta),
    ];
    marker("LocalActivity", &details, failure)
}

#[test]
fn java_markers_show_times_and_the_failure_itself() {
    let cause = failure("card declined").map(Box::new);
    let info = FailureInfo::ActivityFailureInfo(ActivityFailureInfo::default());
    let wrapped = Failure {
        message: "Local Activity task failed".into(),
        cause,
        failure_info: Some(info),
        ..Default::default()
    };
    let timeline = run(&[(
        100_700,
        300_000,
        vec![
            java("a", 103_000, 150_000, None),
            java("b", 155_000, 180_000, Some(wrapped)),
            // Older versions of the SDK write no metadata.
            marker(
                "LocalActivity",
                &[("activityId", json!("c")), ("type", json!("Old")), ("time", json!(7))],
                None,
            ),
            marker("Version", &[("changeId", json!("tax")), ("version", json!(-1))], None),
        ],
    )]);
    assert_eq!(
        printed(&timeline),
        [
            "local activity Old - - 1",
            "local activity Charge 103 ms 50 ms 1",
            "local activity Charge 155 ms 30 ms 1",
            "failed: card declined",
            "Version tax -1 300 ms",
        ]
    );
}

#[test]
fn a_marker_that_cannot_be_read_still_has_a_row() {
    let mut secret = marker("LocalActivity", &[("data", json!(0))], failure("it broke"));
    let Attributes::MarkerRecordedEventAttributes(event) = &mut secret else { panic!() };
    event.details.get_mut("data").unwrap().payloads[0].data = vec![0xff, 0];
    let patch = json!({"id": "new-tax", "deprecated": true});
    let patch = marker("core_patch", &[("patch-data", patch)], None);
    let timeline =
        run(&[(20_000, 80_000, vec![secret, marker("core_local_activity", &[], None), patch])]);
    assert_eq!(
        printed(&timeline),
        [
            "local activity - - 1",
            "failed: it broke",
            "local activity - - 1",
            "patch new-tax deprecated 80 ms",
        ]
    );
}
