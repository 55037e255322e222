//! How results name the process that did the work.
//!
//! Temporal's sample prints process ids. In a container every process is pid 1, where the id alone
//! tells no two workers apart, so there the label carries the host name too.
//!
//! # Why workflow code may read it
//!
//! Workflow code must be deterministic, and a process id is not: it is a deliberate impurity, and
//! safe as the sample uses it. Replay compares the *commands* that workflow code issues with the
//! recorded events: their kind and order and, for an activity, its id and type. It does not
//! compare an activity's input or the workflow's result, the only places into which the label
//! flows. A workflow that goes on in another process therefore replays cleanly: the recorded
//! activity result still names the process that started it, and the result names the one that
//! ended it. What would break replay is a *decision* taken by the label: which activity to call,
//! or whether to.

use std::{fmt, process, str::FromStr, sync::OnceLock};

static LABEL: OnceLock<String> = OnceLock::new();

/// This process's label: `19178`, or `1@host` where the pid alone says nothing.
///
/// Set once when a fleet's `main` starts, from `FLEET_WORKER_LABEL`; [`LabelStyle::Auto`] in a
/// program that embeds a worker without that `main`. For use in workflows see the
/// [module documentation](self).
pub fn worker_label() -> &'static str {
    LABEL.get_or_init(|| LabelStyle::Auto.render(process::id(), &hostname()))
}

/// Fixes the label for the rest of the process's life; the first call wins.
pub(crate) fn set_style(style: LabelStyle) {
    LABEL.get_or_init(|| style.render(process::id(), &hostname()));
}

/// This machine's host name; in a container the container's.
pub(crate) fn hostname() -> String {
    gethostname::gethostname().to_string_lossy().into_owned()
}

/// The value of `FLEET_WORKER_LABEL`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LabelStyle {
    /// The pid, except for pid 1, as which every container's process runs: there `1@host`.
    #[default]
    Auto,
    /// The pid, as in Temporal's sample.
    Pid,
    /// Always `pid@host`: for fleets across machines, whose pids can collide.
    PidAtHost,
}

impl LabelStyle {
    fn render(self, pid: u32, host: &str) -> String {
        match self {
            Self::Auto if pid == 1 => Self::PidAtHost.render(pid, host),
            Self::Auto | Self::Pid => pid.to_string(),
            Self::PidAtHost => format!("{pid}@{host}"),
        }
    }
}

impl fmt::Display for LabelStyle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Pid => "pid",
            Self::PidAtHost => "pid@host",
        })
    }
}

impl FromStr for LabelStyle {
    type Err = UnknownLabelStyle;

    fn from_str(text: &str) -> Result<Self, UnknownLabelStyle> {
        [Self::Auto, Self::Pid, Self::PidAtHost]
            .into_iter()
            .find(|style| style.to_string() == text)
            .ok_or(UnknownLabelStyle)
    }
}

/// The text names no [`LabelStyle`].
#[derive(Debug, thiserror::Error)]
#[error("unknown label style; expected auto, pid or pid@host")]
pub struct UnknownLabelStyle;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auto_is_the_bare_pid_unless_every_container_has_that_pid() {
        assert_eq!(LabelStyle::Auto.render(19178, "a"), "19178");
        assert_eq!(LabelStyle::Auto.render(1, "a"), "1@a");
    }

    #[test]
    fn the_style_can_be_forced_either_way() {
        assert_eq!(LabelStyle::Pid.render(1, "a"), "1");
        assert_eq!(LabelStyle::PidAtHost.render(19178, "a"), "19178@a");
    }

    #[test]
    fn every_style_parses_from_its_own_name() {
        for style in [LabelStyle::Auto, LabelStyle::Pid, LabelStyle::PidAtHost] {
            assert_eq!(style.to_string().parse::<LabelStyle>().unwrap(), style);
        }
        assert!("host".parse::<LabelStyle>().is_err());
    }
}
