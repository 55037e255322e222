//! CPU time and memory of this process, as OpenTelemetry's conventions name them.

use std::sync::{Mutex, PoisonError};

use opentelemetry::metrics::Meter;
use sysinfo::{Pid, Process, ProcessRefreshKind, ProcessesToUpdate, System};

/// Observes this process whenever somebody asks.
pub(super) fn observe(meter: &Meter) {
    meter
        .f64_observable_counter("process.cpu.time")
        .with_unit("s")
        .with_description("CPU time used, of all threads")
        .with_callback(|it| {
            let refresh = ProcessRefreshKind::nothing().with_cpu();
            // In milliseconds.
            let used = of_this_process(refresh, Process::accumulated_cpu_time);
            if let Some(used) = used {
                it.observe(std::time::Duration::from_millis(used).as_secs_f64(), &[]);
            }
        })
        .build();
    meter
        .u64_observable_gauge("process.memory.usage")
        .with_unit("By")
        .with_description("Memory in use: what is resident")
        .with_callback(|it| {
            let refresh = ProcessRefreshKind::nothing().with_memory();
            if let Some(used) = of_this_process(refresh, Process::memory) {
                it.observe(used, &[]);
            }
        })
        .build();
}

fn of_this_process(refresh: ProcessRefreshKind, read: impl Fn(&Process) -> u64) -> Option<u64> {
    static SYSTEM: Mutex<Option<System>> = Mutex::new(None);
    let mut system = SYSTEM.lock().unwrap_or_else(PoisonError::into_inner);
    let system = system.get_or_insert_with(System::new);
    let this = Pid::from_u32(std::process::id());
    system.refresh_processes_specifics(ProcessesToUpdate::Some(&[this]), false, refresh);
    system.process(this).map(read)
}
