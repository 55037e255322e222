//! What a supervised worker reports to its supervisor.
//!
//! A supervisor gives each worker one end of a socket pair as standard input. The socket carries
//! information both ways. The worker writes one JSON value per line: its state, the address of its
//! health listener, a sign of life each second, or what it is stuck in. And it reads: the end of the
//! stream means that the supervisor is gone ([`super::shutdown`]).

use std::{
    io, mem,
    net::SocketAddr,
    os::fd::{AsFd, OwnedFd},
    sync::{Arc, Mutex, PoisonError},
};

use rustix::net::{SendFlags, send};
use serde::{Deserialize, Serialize};

use super::{stall::Stall, state::State};

/// A line from a worker to its supervisor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum WorkerMessage {
    /// The worker's state has changed to this.
    State(State),
    /// The worker's health listener is bound to this address.
    HealthAddr(SocketAddr),
    /// The worker's executor has come on. This is sent once a second.
    Beat,
    /// The worker's executor has not come on for two seconds, because of this.
    Stalled(Stall),
}

/// The longest line that is kept. The longest message names 21 workflows, and each of their ids and types has
/// at most 1,000 bytes, the server's limit, which JSON escapes with 6 characters each at most.
const LONGEST_LINE: usize = 1 << 20;

/// Makes messages of the bytes that a worker writes.
///
/// Other lines come from user code that writes to the wrong descriptor. They are left out, whatever is in
/// them and however long they are.
#[derive(Debug, Default)]
pub(crate) struct MessageReader {
    /// What has come of the current line, up to [`LONGEST_LINE`] and one byte more.
    line: Vec<u8>,
}

impl MessageReader {
    /// Takes bytes up to the first end of a line. Returns how many it has taken, and the message that the
    /// line is.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> (usize, Option<WorkerMessage>) {
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let part = &bytes[..end.unwrap_or(bytes.len())];
        let room = (LONGEST_LINE + 1).saturating_sub(self.line.len());
        self.line.extend(&part[..part.len().min(room)]);
        let Some(end) = end else { return (bytes.len(), None) };
        let line = mem::take(&mut self.line);
        let message = (line.len() <= LONGEST_LINE).then(|| serde_json::from_slice(&line).ok());
        (end + 1, message.flatten())
    }
}

/// The connection of a worker to its supervisor. Cloning is cheap.
#[derive(Clone, Debug)]
pub(crate) struct SupervisorLink {
    socket: Arc<OwnedFd>,
    /// What the socket has not taken yet.
    unsent: Arc<Mutex<Vec<u8>>>,
}

impl SupervisorLink {
    /// Uses standard input, which is a socket under a supervisor.
    pub(crate) fn on_stdin() -> io::Result<Self> {
        Ok(Self::on(io::stdin().as_fd().try_clone_to_owned()?))
    }

    fn on(socket: OwnedFd) -> Self {
        Self { socket: Arc::new(socket), unsent: Arc::default() }
    }

    /// Sends a message, and does not wait for a supervisor that does not read: what the socket does not take
    /// is sent with a later message, and a [`WorkerMessage::Beat`] is dropped then. An error is ignored. It
    /// means that the supervisor is gone, which [`super::shutdown`] notices.
    pub(crate) fn send(&self, message: &WorkerMessage) {
        let mut unsent = self.unsent.lock().unwrap_or_else(PoisonError::into_inner);
        if (unsent.is_empty() || *message != WorkerMessage::Beat)
            && let Ok(line) = serde_json::to_vec(message)
        {
            unsent.extend(line);
            unsent.push(b'\n');
        }
        while !unsent.is_empty() {
            match send(&self.socket, &unsent, SendFlags::DONTWAIT) {
                Ok(sent) => drop(unsent.drain(..sent)),
                Err(rustix::io::Errno::INTR) => {}
                Err(_) => break,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead, BufReader},
        os::unix::net::UnixStream,
    };

    use super::*;

    #[test]
    fn a_supervisor_that_does_not_read_blocks_no_worker_and_gets_every_state_later() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let link = SupervisorLink::on(ours.into());
        let is_full = || !link.unsent.lock().unwrap().is_empty();
        while !is_full() {
            link.send(&WorkerMessage::Beat);
        }
        let full = link.unsent.lock().unwrap().len();
        link.send(&WorkerMessage::Beat);
        assert_eq!(link.unsent.lock().unwrap().len(), full, "a beat is dropped");
        link.send(&WorkerMessage::State(State::Ready));

        let mut lines = BufReader::new(theirs).lines();
        let mut message = || serde_json::from_str::<WorkerMessage>(&lines.next().unwrap().unwrap());
        assert_eq!(message().unwrap(), WorkerMessage::Beat);
        while is_full() {
            message().unwrap();
            link.send(&WorkerMessage::Beat);
        }
        link.send(&WorkerMessage::State(State::Draining));
        drop(link);
        let left: Vec<_> =
            lines.map_while(Result::ok).filter(|line| !line.contains("beat")).collect();
        assert_eq!(left, [r#"{"state":"ready"}"#, r#"{"state":"draining"}"#]);
    }

    #[test]
    fn lines_that_are_no_messages_are_left_out_and_never_kept_whole() {
        let endless = vec![b'x'; LONGEST_LINE + 10];
        let written = [
            &endless[..],
            b"\n\xff\xfe\0\n\n{}\n\"beat\"\n",
            &endless,
            &endless,
            b"\n{\"state\":\"ready\"}\n\"beat\"",
        ]
        .concat();
        for chunk in [7, 4096, written.len()] {
            let mut reader = MessageReader::default();
            let mut messages = Vec::new();
            for mut bytes in written.chunks(chunk) {
                while !bytes.is_empty() {
                    let (taken, message) = reader.take(bytes);
                    bytes = &bytes[taken..];
                    messages.extend(message);
                    assert!(reader.line.len() <= LONGEST_LINE + 1);
                }
            }
            assert_eq!(messages, [WorkerMessage::Beat, WorkerMessage::State(State::Ready)]);
        }
    }
}
