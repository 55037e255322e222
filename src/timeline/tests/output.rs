//! A timeline as text and as JSON.

use serde_json::Value;

use super::*;
use crate::terminal::style::Colour;

#[test]
fn a_recorded_history_is_drawn_as_stored() {
    let expected: Vec<_> = include_str!("../histories/retried.txt").lines().collect();
    assert_eq!(lines(&recorded(RETRIED)), expected);
}

#[test]
fn a_killed_workflow_worker_shows_as_a_task_that_timed_out_in_its_queue() {
    let expected: Vec<_> = include_str!("../histories/killed_worker.txt").lines().collect();
    assert_eq!(lines(&recorded(KILLED_WORKER)), expected);
}

#[test]
fn a_retried_activity_has_no_queue_wait_and_shows_the_time_of_its_earlier_attempts() {
    let json: Value = serde_json::from_str(&json(&recorded(RETRIED), "a", "n")).unwrap();
    let rows = json["rows"].as_array().unwrap();
    let activities: Vec<_> = rows.iter().filter(|row| row["kind"] == "activity").collect();
    let charge = activities[0];
    assert_eq!(charge["name"], "Warehouse::charge");
    assert_eq!((&charge["attempt"], &charge["queue_wait_ms"]), (&2.into(), &Value::Null));
    assert_eq!(charge["last_failure"], "the card network is busy");
    assert_eq!((&charge["failure"], &charge["status"]), (&Value::Null, &"completed".into()));
    assert_eq!(charge["scheduled"], "2026-11-24T02:08:09.128581Z");
    assert_eq!((&charge["execution_ms"], &charge["retries_ms"]), (&7.479.into(), &1004.01.into()));
    let pack = activities[1];
    assert_eq!((&pack["attempt"], &pack["retries_ms"]), (&1.into(), &0.0.into()));
    assert_eq!((&pack["queue_wait_ms"], &pack["execution_ms"]), (&3.012.into(), &611.001.into()));
    assert_eq!(json["status"], "completed");
    assert_eq!(json["duration_ms"], 2892.876);
    assert_eq!(json["time_ms"]["timers"], 1202.858);
}

#[test]
fn text_of_many_rows_shows_both_ends_and_failures_and_counts_the_rest() {
    let mut timeline = build(beginning()[..1].to_vec(), at(10_000));
    for index in 0..1000 {
        let mut row = Row::new(Kind::Activity, 2 + index, at(u64::try_from(index).unwrap() * 10));
        row.queued = Some(row.at);
        row.started = Some(row.at + Duration::from_millis(1));
        row.ended = Some(row.at + Duration::from_millis(2));
        row.status = if index == 500 { RowStatus::Failed } else { RowStatus::Completed };
        row.failure = (index == 500).then(|| "out of \u{1b}[31mtea".to_owned());
        row.name = format!("A{index}");
        timeline.rows.push(row);
    }
    let style = Layout { most_rows: 20, ..STYLE };
    let printed = text(&timeline, "a", "n", style);
    assert_eq!(printed.lines().filter(|line| line.starts_with("activity A")).count(), 20);
    for name in
        ["activity A0 ", "activity A4 ", "activity A500 ", "activity A995 ", "activity A999 "]
    {
        assert!(printed.contains(name), "{name}: {printed}");
    }
    assert!(printed.contains("\n  failed: out of  [31mtea\n"), "{printed:?}");
    let folded: usize = printed
        .lines()
        .filter_map(|line| line.strip_prefix("… ")?.split(' ').next()?.parse::<usize>().ok())
        .sum();
    assert_eq!(folded, 980, "{printed}");
    let all = text(&timeline, "a", "n", Layout { most_rows: usize::MAX, ..STYLE });
    assert_eq!(all.lines().filter(|line| line.starts_with("activity A")).count(), 1000);
}

#[test]
fn text_has_colour_only_on_request_and_fits_the_width() {
    let timeline = recorded(RETRIED);
    for width in [60, 80, 100, 140] {
        let plain = text(&timeline, "a", "n", Layout { width, ..STYLE });
        let bars = plain.lines().filter(|line| line.contains(['█', '━', '─']));
        let longest = bars.map(|line| line.chars().count()).max().unwrap();
        assert_eq!(longest, width, "{plain}");
        assert!(!plain.contains('\u{1b}'));
        let colour = text(&timeline, "a", "n", Layout { width, colour: Colour::On, ..STYLE });
        assert!(colour.contains("\u{1b}[32m█"), "{colour:?}");
    }
}
