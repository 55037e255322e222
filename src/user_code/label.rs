//! The label with which results name the process that did the work.
//!
//! Temporal's sample prints process ids. In a container every process has pid 1, so that the id alone
//! does not distinguish two workers. There, the label contains the host name too.
//!
//! # Why workflow code may read it
//!
//! Workflow code must be deterministic, and a process id is not. The sample reads it deliberately, and
//! uses it in a safe way. Replay compares the *commands* that workflow code issues with the recorded
//! events: their kind and order and, for an activity, its id and type. It does not compare an
//! activity's input or the workflow's result, and the label is used in these two only. A workflow that
//! continues in another process therefore replays without an error: the recorded activity result still
//! names the process that started the workflow, and the workflow's result names the process that ended
//! it. A *decision* that depends on the label, such as which activity to call, would break replay.

use std::{fmt, process, str::FromStr, sync::OnceLock};

static LABEL: OnceLock<String> = OnceLock::new();

/// This process's label: its pid, such as `19178`, or `1@host` for pid 1.
///
/// [`Fleet::main`](crate::Fleet::main) sets it once, at its start, in the style that
/// `FLEET_WORKER_LABEL` names. A program that embeds a worker without `main` has the style
/// [`LabelStyle::Auto`]. The [module documentation](self) explains why workflow code may use it.
pub fn worker_label() -> &'static str {
    LABEL.get_or_init(|| LabelStyle::Auto.render(process::id(), &hostname()))
}

/// Sets the style of this process's label. Only the first call has an effect, and none once the label
/// was read.
pub(crate) fn set_style(style: LabelStyle) {
    LABEL.get_or_init(|| style.render(process::id(), &hostname()));
}

/// The host name of this machine or container.
pub(crate) fn hostname() -> String {
    gethostname::gethostname().to_string_lossy().into_owned()
}

/// The value of `FLEET_WORKER_LABEL`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LabelStyle {
    /// The pid, but `1@host` for pid 1, which is the pid of every container's main process.
    #[default]
    Auto,
    /// The pid, as in Temporal's sample.
    Pid,
    /// Always `pid@host`: for fleets on several machines, where two processes can have the same pid.
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

/// The text is not the name of a [`LabelStyle`].
#[derive(Debug, thiserror::Error)]
#[error("unknown label style; expected auto, pid or pid@host")]
pub struct UnknownLabelStyle;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auto_is_the_pid_but_names_the_host_for_pid_1() {
        assert_eq!(LabelStyle::Auto.render(19178, "a"), "19178");
        assert_eq!(LabelStyle::Auto.render(1, "a"), "1@a");
    }

    #[test]
    fn pid_and_pid_at_host_apply_to_every_pid() {
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
