//! Spans that real processes export to a real collector.

mod exports;
mod outages;
mod trees;

use std::{collections::BTreeMap, process::Command};

use crate::collector::Span;

const STARTER: &str = "fleet starter";
const START: &str = "StartWorkflow:ParallelizedWorkflow";
const RUN: &str = "RunWorkflow:ParallelizedWorkflow";
const SCHEDULE: &str = "StartActivity:echo_pid_activity";
const ACTIVITY: &str = "RunActivity:echo_pid_activity";
/// The names of the sample's spans, from the root down.
const TREE: [&str; 5] = [STARTER, START, RUN, SCHEDULE, ACTIVITY];

fn to(mut command: Command, endpoint: &str) -> Command {
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint);
    command
}

/// Groups spans by their trace.
fn by_trace(spans: &[Span]) -> BTreeMap<String, Vec<Span>> {
    let mut traces = BTreeMap::<_, Vec<_>>::new();
    for span in spans {
        traces.entry(span.trace.clone()).or_default().push(span.clone());
    }
    traces
}

/// Asserts that the spans form the tree of one workflow of the sample, whose root has the parent
/// `above`.
#[track_caller]
fn assert_tree(spans: &[Span], above: &str) {
    let mut names: Vec<_> = spans.iter().map(|span| span.name.as_str()).collect();
    let mut expected = TREE;
    names.sort_unstable();
    expected.sort_unstable();
    assert_eq!(names, expected, "{spans:#?}");
    let mut parent = above.to_owned();
    for name in TREE {
        let span = named(spans, name);
        assert_eq!(span.parent, parent, "{name}: {spans:#?}");
        parent.clone_from(&span.id);
    }
}

#[track_caller]
fn named<'a>(spans: &'a [Span], name: &str) -> &'a Span {
    spans.iter().find(|span| span.name == name).unwrap_or_else(|| panic!("no {name}: {spans:#?}"))
}
