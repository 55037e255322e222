//! `Fleet::main`: from the arguments of this process to its exit code.

use std::{
    io::{self, IsTerminal},
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    process::ExitCode,
};

use super::{
    bench, chaos, config,
    context::Context,
    demo, freeze, guard, health,
    runtime::{block_on, one_thread},
    starter, status, trace, up, worker,
};
use crate::{
    cli::{self, Cli, Command, WorkerArgs},
    config::environment::Environment,
    error::{CommandError, Error, Exit, chain},
    fleet::Fleet,
    process::shutdown::Shutdown,
    telemetry::panics,
    terminal::stderr,
    text,
};

impl Fleet {
    /// Runs the command that this process's arguments name and returns its exit code: the whole
    /// `main` of a fleet's program. `--help` lists the commands.
    ///
    /// It reads the arguments and the environment, installs signal handlers, a panic hook that logs, and
    /// a global `tracing` subscriber, and makes its own tokio runtime: call it from a plain `fn main`.
    #[must_use = "return it from main"]
    pub fn main(self) -> ExitCode {
        panics::install_hook();
        ended(without_panic(|| dispatch(&self)))
    }
}

/// Makes an error of a panic, which has printed its message. Its own exit code, 101, is one that no command
/// documents.
fn without_panic(run: impl FnOnce() -> Result<Exit, CommandError>) -> Result<Exit, CommandError> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or(Err(CommandError::Panicked))
}

/// The `main` of every fleet: signals first, then arguments, then the command.
fn dispatch(fleet: &Fleet) -> Result<Exit, CommandError> {
    let shutdown = Shutdown::install()
        .map_err(|source| Error::Os { what: "cannot handle signals".into(), source })?;
    let bin = program_name();
    match cli::parse(&bin, fleet.shown_version()) {
        Ok(Cli { command, globals }) => {
            let environment = Environment::capture();
            Context { fleet, environment, shutdown, bin, globals }.run(command)
        }
        Err(usage) => {
            // clap exits with 0 where --help or --version was asked for, and else with 2.
            if !usage.use_stderr() {
                let _ = usage.print();
                return Ok(Exit::Success);
            }
            let arguments = std::env::args_os().map(|word| word.to_string_lossy().into_owned());
            let shown = shown_usage(&usage, arguments);
            stderr::say_styled(&shown);
            Ok(Exit::Usage)
        }
    }
}

/// The exit code for how a command ended. Prints its error, if it ended with one, and waits until all lines
/// on stderr are written.
fn ended(how: Result<Exit, CommandError>) -> ExitCode {
    let exit = how.unwrap_or_else(|error| {
        // One line for each problem, so that each can be read alone, and one write for all, so that
        // several processes of one terminal do not mix theirs.
        stderr::say(&format!("error: {}\n", lines_of(&error).join("\nerror: ")));
        error.exit()
    });
    stderr::flush(stderr::PATIENCE);
    exit.into()
}

/// The error as one line for each problem.
fn lines_of(error: &CommandError) -> Vec<String> {
    let whole = chain(error);
    // Elsewhere a line end comes from somebody else, whose lines must not look like ours.
    let problems: Vec<_> =
        if error.has_lines() { whole.split('\n').collect() } else { vec![&whole] };
    problems.into_iter().map(text::one_line).collect()
}

/// The text of a usage error. It quotes arguments, and what is hidden in them becomes visible.
fn shown_usage(usage: &clap::Error, arguments: impl Iterator<Item = String>) -> String {
    let hostile: Vec<_> = arguments.filter(|argument| text::has_hidden(argument)).collect();
    let mut shown = usage.render().ansi().to_string();
    for argument in &hostile {
        let (_, value) = argument.split_once('=').unwrap_or_default();
        for word in [argument.as_str(), value] {
            if text::has_hidden(word) {
                shown = shown.replace(word, &text::escaped(word));
            }
        }
    }
    // A style may be an argument's own, of which clap quotes a part.
    let has_styles = hostile.is_empty() && io::stderr().is_terminal();
    let mut plain = String::with_capacity(shown.len());
    for (part, style) in text::at_styles(&shown) {
        plain.push_str(&text::lines(part));
        plain.push_str(if has_styles { style } else { "" });
    }
    plain
}

impl Context<'_> {
    fn run(self, command: Option<Command>) -> Result<Exit, CommandError> {
        match command {
            Some(Command::Worker(args)) => worker::run(&self, &args),
            Some(Command::Up(args)) => block_on(one_thread()?, up::run(&self, &args)),
            Some(Command::Starter(args)) => block_on(one_thread()?, starter::run(&self, args)),
            Some(Command::Bench(args)) => block_on(one_thread()?, bench::run(&self, args)),
            Some(Command::Status(args)) => block_on(one_thread()?, status::run(&self, args)),
            Some(Command::Trace(args)) => block_on(one_thread()?, trace::run(&self, args)),
            Some(Command::Chaos(args)) => block_on(one_thread()?, chaos::run(&self, args)),
            Some(Command::Demo(args)) => block_on(one_thread()?, demo::run(&self, args)),
            Some(Command::Health(args)) => block_on(one_thread()?, health::run(&self, &args)),
            Some(Command::Config(args)) => config::run(&self, &args),
            Some(Command::Completions { shell }) => {
                let mut command = cli::command(&self.bin, self.fleet.shown_version());
                clap_complete::generate(shell, &mut command, &self.bin, &mut io::stdout().lock());
                Ok(Exit::Success)
            }
            Some(Command::Freeze { pid, supervisor, worker, time }) => {
                let freeze = freeze::run(pid, supervisor, &worker, time, &self.shutdown);
                block_on(one_thread()?, freeze)
            }
            Some(Command::Guard { output, program }) => {
                block_on(one_thread()?, guard::run(program, output, &self.shutdown))
            }
            None if self.environment.get("FLEET_ROLE").is_some() => {
                worker::run(&self, &WorkerArgs::default())
            }
            None => {
                let help = cli::command(&self.bin, self.fleet.shown_version()).render_help();
                stderr::say(&help.to_string());
                Ok(Exit::Usage)
            }
        }
    }
}

/// The name this program was called by, without its folders.
fn program_name() -> String {
    let name = std::env::args_os().next().unwrap_or_default();
    let name = Path::new(&name).file_name().unwrap_or_default().to_string_lossy();
    if name.is_empty() { "fleet".into() } else { text::one_line(&name) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_ends_a_command_with_70_and_an_error() {
        let error = without_panic(|| panic!("as the SDK does")).unwrap_err();
        assert_eq!(error.exit(), Exit::Software);
        assert_eq!(error.to_string(), "this process panicked: see the lines above");
        assert_eq!(without_panic(|| Ok(Exit::Failed)).unwrap(), Exit::Failed);
    }
}
