//! `OTEL_TRACES_SAMPLER`: which spans the collector receives.

use std::{collections::BTreeSet, thread};

use crate::{
    collector::{Collector, Span},
    support::{World, run},
};

const SAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const UNSAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";

/// Returns the spans that a starter of `count` workflows exports: two for each workflow. No worker
/// runs, so that the workflows time out.
fn sent(count: &str, sampler: &str, ratio: Option<&str>, caller: Option<&str>) -> Vec<Span> {
    let (world, collector) = (World::new(), Collector::grpc());
    let mut starter = world.fleet(["starter", "-n", count, "--timeout", "2s"]);
    starter.env("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint());
    starter.env("OTEL_TRACES_SAMPLER", sampler);
    starter.envs(ratio.map(|ratio| ("OTEL_TRACES_SAMPLER_ARG", ratio)));
    starter.envs(caller.map(|caller| ("TRACEPARENT", caller)));
    let finished = run(starter);
    assert_eq!(finished.code, 1, "{finished:#?}");
    collector.spans()
}

#[test]
fn each_sampler_exports_the_expected_spans() {
    let cases = [
        ("always_on", None, None, 6),
        ("always_on", None, Some(UNSAMPLED), 6),
        ("always_off", None, None, 0),
        ("always_off", None, Some(SAMPLED), 0),
        ("traceidratio", None, None, 6),
        ("traceidratio", Some("0"), None, 0),
        ("traceidratio", Some("0"), Some(SAMPLED), 0),
        ("parentbased_always_on", None, None, 6),
        ("parentbased_always_on", None, Some(UNSAMPLED), 0),
        ("parentbased_always_off", None, None, 0),
        ("parentbased_always_off", None, Some(SAMPLED), 6),
        ("parentbased_traceidratio", Some("0"), None, 0),
        ("parentbased_traceidratio", Some("0"), Some(SAMPLED), 6),
        ("parentbased_traceidratio", Some("1.0"), Some(UNSAMPLED), 0),
    ];
    // The cases run in parallel, because each waits two seconds for its timeout.
    thread::scope(|scope| {
        for (sampler, ratio, caller, expected) in cases {
            scope.spawn(move || {
                let spans = sent("3", sampler, ratio, caller);
                assert_eq!(spans.len(), expected, "{sampler} {ratio:?} {caller:?}: {spans:#?}");
            });
        }
    });
}

#[test]
fn a_ratio_sampler_exports_some_traces_and_each_completely() {
    let spans = sent("40", "parentbased_traceidratio", Some("0.5"), None);
    let traces: BTreeSet<_> = spans.iter().map(|span| &span.trace).collect();
    // A correct sampler exports all or none of them only once in about 2^39 runs.
    assert!((1..40).contains(&traces.len()), "{}", traces.len());
    assert_eq!(spans.len(), 2 * traces.len(), "{spans:#?}");
}
