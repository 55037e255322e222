//! The commands, one file each, and the `main` that they share.

mod bench;
mod config;
mod demo;
mod guard;
mod health;
mod live;
mod starter;
mod status;
mod trace;
mod up;
mod worker;

use std::{
    future::Future,
    io::{self, Write},
    panic::resume_unwind,
    path::Path,
    process::ExitCode,
};

use send_wrapper::SendWrapper;
use tokio::runtime::{Builder, Handle, Runtime, RuntimeFlavor};

use crate::{
    cli::{self, Cli, Command, Globals, WorkerArgs},
    config::Config,
    environment::Environment,
    error::{Error, chain, exit},
    fleet::Fleet,
    label,
    role::Role,
    settings::Overrides,
    shutdown::Shutdown,
};

/// What every command is given.
struct Context<'a> {
    fleet: &'a Fleet,
    environment: Environment,
    shutdown: Shutdown,
    /// The program's name, for messages that tell what to type.
    bin: String,
    globals: Globals,
}

/// The `main` of every fleet: signals first, then arguments, then the command.
pub(crate) fn main(fleet: &Fleet) -> ExitCode {
    let ended = Shutdown::install()
        .map_err(|source| Error::Os { what: "cannot handle signals".into(), source })
        .and_then(|shutdown| {
            let bin = program_name();
            match cli::parse(&bin, fleet.shown_version()) {
                Ok(Cli { command, globals }) => {
                    let environment = Environment::capture();
                    Context { fleet, environment, shutdown, bin, globals }.run(command)
                }
                Err(usage) => {
                    let _ = usage.print();
                    Ok(u8::try_from(usage.exit_code()).unwrap_or(exit::USAGE))
                }
            }
        });
    ExitCode::from(ended.unwrap_or_else(|error| {
        // One line for each problem, so that each can be read alone, and one write for all, so that
        // several processes of one terminal do not mix theirs.
        let lines = format!("error: {}\n", chain(&error).replace('\n', "\nerror: "));
        let _ = io::stderr().lock().write_all(lines.as_bytes());
        error.exit_code()
    }))
}

impl Context<'_> {
    fn run(self, command: Option<Command>) -> Result<u8, Error> {
        match command {
            Some(Command::Worker(args)) => worker::run(&self, &args),
            Some(Command::Up(args)) => block_on(one_thread()?, up::run(&self, &args)),
            Some(Command::Starter(args)) => block_on(one_thread()?, starter::run(&self, args)),
            Some(Command::Bench(args)) => block_on(one_thread()?, bench::run(&self, args)),
            Some(Command::Status(args)) => block_on(one_thread()?, status::run(&self, args)),
            Some(Command::Trace(args)) => block_on(one_thread()?, trace::run(&self, args)),
            Some(Command::Demo(args)) => block_on(one_thread()?, demo::run(&self, args)),
            Some(Command::Health(args)) => health::run(&self, &args),
            Some(Command::Config(args)) => config::run(&self, &args),
            Some(Command::Completions { shell }) => {
                let mut command = cli::command(&self.bin, self.fleet.shown_version());
                clap_complete::generate(shell, &mut command, &self.bin, &mut io::stdout().lock());
                Ok(0)
            }
            Some(Command::Guard { output, program }) => {
                block_on(one_thread()?, guard::run(program, output, &self.shutdown))
            }
            None if self.environment.get("FLEET_ROLE").is_some() => {
                worker::run(&self, &WorkerArgs::default())
            }
            None => {
                let _ = cli::command(&self.bin, self.fleet.shown_version())
                    .write_help(&mut io::stderr().lock());
                Ok(exit::USAGE)
            }
        }
    }

    /// The settings, with those that the flags of every command and `flags` give.
    fn config(&self, mut flags: Overrides) -> Result<Config, Error> {
        let mut environment = self.environment.clone();
        if let Some(filter) = &self.globals.log {
            environment.set("RUST_LOG", filter);
        }
        flags.extend(self.globals.log_format.map(|format| ("log_format", format.to_string())));
        Ok(self.fleet.config_with(self.globals.config.as_deref(), environment, &flags)?)
    }

    /// Runs `work` unless a stop is requested first: then the work is dropped.
    async fn unless_stopped<T>(
        &self,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<Option<T>, Error> {
        tokio::select! {
            done = work => done.map(Some),
            () = self.shutdown.requested() => Ok(None),
        }
    }
}

/// The name this program was called by, without its folders.
fn program_name() -> String {
    let name = std::env::args_os().next().unwrap_or_default();
    let name = Path::new(&name).file_name().unwrap_or_default().to_string_lossy();
    if name.is_empty() { "fleet".into() } else { name.into_owned() }
}

fn one_thread() -> Result<Runtime, Error> {
    finish(Builder::new_current_thread())
}

/// The runtime that fits a role. All workflow code of a worker runs on one thread, and a second
/// one only costs wake-ups between the two; asynchronous activities may compute, and are to use every
/// core unless they are said to need one thread only.
fn runtime_for(role: Role, config: &Config) -> Result<Runtime, Error> {
    let threads = config.activity_threads.get();
    if role.runs_activities() && threads > 1 {
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(threads);
        finish(builder)
    } else {
        one_thread()
    }
}

fn finish(mut builder: Builder) -> Result<Runtime, Error> {
    builder
        .enable_all()
        .build()
        .map_err(|source| Error::Os { what: "cannot start the tokio runtime".into(), source })
}

/// Awaits `work` as a task, where the runtime has one thread. A task that is woken waits its turn; the
/// future under `block_on` is polled only after a look at the sockets, a system call each time: a
/// quarter of those of a workflow worker.
async fn as_task<T: Send + 'static>(work: impl Future<Output = T> + 'static) -> T {
    if Handle::current().runtime_flavor() != RuntimeFlavor::CurrentThread {
        return work.await;
    }
    // Work that is not `Send` stays on this thread: no other one runs tasks of this runtime.
    match tokio::spawn(SendWrapper::new(work)).await {
        Ok(done) => done,
        Err(error) => resume_unwind(error.into_panic()),
    }
}

fn block_on<T>(runtime: Runtime, work: impl Future<Output = T>) -> T {
    let done = runtime.block_on(work);
    // Not dropped, which would wait for blocking activities that outlived the drain deadline.
    runtime.shutdown_background();
    done
}

/// Fixes what is set once in a process, from its settings.
fn settle(config: &Config) {
    label::set_style(config.worker_label);
}
