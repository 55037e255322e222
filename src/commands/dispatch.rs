//! `Fleet::main`: from the arguments of this process to its exit code.

use std::{
    io::{self, Write},
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    process::ExitCode,
};

use super::{
    bench, config,
    context::Context,
    demo, guard, health,
    runtime::{block_on, one_thread},
    starter, status, trace, up, worker,
};
use crate::{
    cli::{self, Cli, Command, WorkerArgs},
    config::environment::Environment,
    error::{CommandError, Error, Exit, chain},
    fleet::Fleet,
    process::{host::provide_open_files, shutdown::Shutdown},
};

impl Fleet {
    /// Runs the command that this process's arguments name and returns its exit code: the whole
    /// `main` of a fleet's program. `--help` lists the commands.
    ///
    /// It reads the arguments and the environment, installs signal handlers and a global `tracing`
    /// subscriber, and makes its own tokio runtime: call it from a plain `fn main`.
    #[must_use = "return it from main"]
    pub fn main(self) -> ExitCode {
        // A panic has printed its message. Its own exit code, 101, is one that no command documents.
        catch_unwind(AssertUnwindSafe(|| dispatch(&self))).unwrap_or_else(|_| {
            ended_by(&Error::Bug("this process panicked, as the lines above say".into()).into())
        })
    }
}

/// The `main` of every fleet: signals first, then arguments, then the command.
fn dispatch(fleet: &Fleet) -> ExitCode {
    let ended = Shutdown::install()
        .map_err(|source| Error::Os { what: "cannot handle signals".into(), source }.into())
        .and_then(|shutdown| {
            let bin = program_name();
            match cli::parse(&bin, fleet.shown_version()) {
                Ok(Cli { command, globals }) => {
                    let environment = Environment::capture();
                    Context { fleet, environment, shutdown, bin, globals }.run(command)
                }
                Err(usage) => {
                    let _ = usage.print();
                    // clap exits with 0 where --help or --version was asked for, and else with 2.
                    Ok(if usage.use_stderr() { Exit::Usage } else { Exit::Success })
                }
            }
        });
    ended.map_or_else(|error| ended_by(&error), ExitCode::from)
}

/// Prints an error and returns its exit code.
fn ended_by(error: &CommandError) -> ExitCode {
    // One line for each problem, so that each can be read alone, and one write for all, so that
    // several processes of one terminal do not mix theirs.
    let lines = format!("error: {}\n", chain(error).replace('\n', "\nerror: "));
    let _ = io::stderr().lock().write_all(lines.as_bytes());
    error.exit().into()
}

impl Context<'_> {
    fn run(self, command: Option<Command>) -> Result<Exit, CommandError> {
        provide_open_files(0).map_err(CommandError::Host)?;
        match command {
            Some(Command::Worker(args)) => worker::run(&self, &args),
            Some(Command::Up(args)) => block_on(one_thread()?, up::run(&self, &args)),
            Some(Command::Starter(args)) => block_on(one_thread()?, starter::run(&self, args)),
            Some(Command::Bench(args)) => block_on(one_thread()?, bench::run(&self, args)),
            Some(Command::Status(args)) => block_on(one_thread()?, status::run(&self, args)),
            Some(Command::Trace(args)) => block_on(one_thread()?, trace::run(&self, args)),
            Some(Command::Demo(args)) => block_on(one_thread()?, demo::run(&self, args)),
            Some(Command::Health(args)) => block_on(one_thread()?, health::run(&self, &args)),
            Some(Command::Config(args)) => config::run(&self, &args),
            Some(Command::Completions { shell }) => {
                let mut command = cli::command(&self.bin, self.fleet.shown_version());
                clap_complete::generate(shell, &mut command, &self.bin, &mut io::stdout().lock());
                Ok(Exit::Success)
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
                Ok(Exit::Usage)
            }
        }
    }
}

/// The name this program was called by, without its folders.
fn program_name() -> String {
    let name = std::env::args_os().next().unwrap_or_default();
    let name = Path::new(&name).file_name().unwrap_or_default().to_string_lossy();
    if name.is_empty() { "fleet".into() } else { name.into_owned() }
}
