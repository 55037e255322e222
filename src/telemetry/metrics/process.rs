//! CPU time and memory of this process, named after OpenTelemetry's semantic conventions.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use opentelemetry::metrics::Meter;
use sysinfo::{Pid, Process, ProcessRefreshKind, ProcessesToUpdate, System};

use crate::terminal::stderr;

/// Adds the metrics of this process to `meter`. They are measured at each collection.
pub(super) fn observe(meter: &Meter) {
    observe_dropped_lines(meter);
    meter
        .f64_observable_counter("process.cpu.time")
        .with_unit("s")
        .with_description("CPU time used by all threads")
        .with_callback(|observer| {
            let refresh = ProcessRefreshKind::nothing().with_cpu();
            let milliseconds = measure(refresh, Process::accumulated_cpu_time);
            if let Some(milliseconds) = milliseconds {
                observer.observe(Duration::from_millis(milliseconds).as_secs_f64(), &[]);
            }
        })
        .build();
    meter
        .u64_observable_gauge("process.memory.usage")
        .with_unit("By")
        .with_description("Resident memory")
        .with_callback(|observer| {
            let refresh = ProcessRefreshKind::nothing().with_memory();
            if let Some(bytes) = measure(refresh, Process::memory) {
                observer.observe(bytes, &[]);
            }
        })
        .build();
}

/// Adds the number of log lines that were dropped because nobody read stderr.
fn observe_dropped_lines(meter: &Meter) {
    meter
        .u64_observable_counter("fleet.log.dropped_lines")
        .with_description("Log lines that were dropped because stderr was not read")
        .with_callback(|observer| observer.observe(stderr::dropped(), &[]))
        .build();
}

/// Refreshes the system's information about this process, and reads one value from it.
fn measure(refresh: ProcessRefreshKind, read: impl Fn(&Process) -> u64) -> Option<u64> {
    static SYSTEM: Mutex<Option<System>> = Mutex::new(None);
    let mut system = SYSTEM.lock().unwrap_or_else(PoisonError::into_inner);
    let system = system.get_or_insert_with(System::new);
    let this = Pid::from_u32(std::process::id());
    system.refresh_processes_specifics(ProcessesToUpdate::Some(&[this]), false, refresh);
    system.process(this).map(read)
}
