//! What the machine, or the container, gives this process: how many files it may open, and the figures
//! under `/proc`.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sysinfo::System;

/// How many files a process of the fleet needs to have open. A worker with metrics and traces opens
/// about 20, among them its connections, and panics inside the SDK where it gets fewer than 18.
const FILES_OF_A_PROCESS: u64 = 32;
/// How many more files a supervisor needs for each of its workers.
const FILES_OF_A_CHILD: u64 = 2;
/// Up to how many open files a low limit is raised, if the machine allows that many.
const FILES_WANTED: u64 = 1024;

/// Makes sure that this process may open as many files as it needs with this number of
/// children. A lower limit
/// is raised if the machine allows it. The error says how many it allows.
pub(crate) fn provide_open_files(children: usize) -> Result<(), String> {
    let needed = FILES_OF_A_PROCESS + FILES_OF_A_CHILD * children as u64;
    let limit = getrlimit(Resource::Nofile);
    let is_enough = |limit: Option<u64>| limit.is_none_or(|files| files >= needed);
    if is_enough(limit.current) {
        return Ok(());
    }
    let wanted = FILES_WANTED.max(needed);
    let raised = limit.maximum.map_or(wanted, |maximum| maximum.min(wanted));
    let new = Rlimit { current: Some(raised), maximum: limit.maximum };
    if is_enough(Some(raised)) && setrlimit(Resource::Nofile, new).is_ok() {
        return Ok(());
    }
    Err(format!(
        "this process may open only {raised} files at a time, and needs {needed}: raise the limit \
         (`ulimit -n`, LimitNOFILE in systemd, --ulimit nofile in Docker)"
    ))
}

/// Whether the size of this machine's memory can be read. It cannot where `/proc` is not mounted, or
/// shows processes only (`subset=pid`; `ProcSubset=pid` in systemd).
pub(crate) fn memory_is_known() -> bool {
    let mut system = System::new();
    system.refresh_memory();
    system.total_memory() > 0
}
