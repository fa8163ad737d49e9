//! What became of the connections of a listener, in numbers.

use core::fmt;

use tls_core::{ErrorKind, HandshakeType, Phase};

use crate::error::Error;

/// What became of the connections that a [`TlsListener`](crate::TlsListener) accepted: a snapshot, all of one moment.
///
/// Each accepted connection is in exactly one place:
/// `accepted = refused + shed + waiting + handshaking + established + failed.total() + timed_out.total() + stopped`.
///
/// ```
/// use tls_tokio::Counts;
///
/// fn report(counts: Counts) {
///     println!("{counts}");
///     println!("{} clients were silent", counts.timed_out.first_byte);
///     println!("{} handshakes failed, {} of them for want of TLS", counts.failed.total(), counts.failed.not_tls);
/// }
/// # report(Counts::default());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Connections taken from the kernel.
    pub accepted: u64,
    /// Closed at once: their address had as many connections without a finished handshake as it may.
    pub refused: u64,
    /// Closed while they waited, to make room for new ones ([`WhenFull::RefuseOldest`](crate::WhenFull)).
    pub shed: u64,
    /// Now waiting for their first byte, or to be handshaken.
    pub waiting: u64,
    /// Now in their handshake.
    pub handshaking: u64,
    /// Finished their handshake.
    pub established: u64,
    /// Of those that finished it: how many are open now.
    pub open: u64,
    /// Failed in their handshake, by reason.
    pub failed: Failures,
    /// Not finished in time, by what was waited for.
    pub timed_out: TimedOut,
    /// Given up before their handshake was over because the listener stopped.
    pub stopped: u64,
    /// Attempts to accept that failed; no connections.
    pub accept_errors: u64,
}

/// Handshakes that failed, by the families of [`ErrorKind`].
///
/// Example: that of [`Counts`](crate::Counts).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Failures {
    /// [`ErrorKind::BadBytes`].
    pub bad_bytes: u64,
    /// [`ErrorKind::Misbehaved`].
    pub misbehaved: u64,
    /// [`ErrorKind::NothingInCommon`].
    pub nothing_in_common: u64,
    /// [`ErrorKind::Certificate`].
    pub certificate: u64,
    /// [`ErrorKind::AlertReceived`].
    pub alert_received: u64,
    /// [`ErrorKind::Truncated`]: also those who connect and close without a word, as load balancers do.
    pub truncated: u64,
    /// [`ErrorKind::NotTls`].
    pub not_tls: u64,
    /// [`ErrorKind::Refused`]: by a handshake function of the caller's own.
    pub refused: u64,
    /// [`ErrorKind::Hook`].
    pub hook: u64,
    /// [`ErrorKind::Link`].
    pub link: u64,
    /// Anything else: [`ErrorKind::Misuse`], [`ErrorKind::Crypto`], and panics of hooks.
    pub other: u64,
}

/// Connections that were not established in time, by what was waited for.
///
/// Example: that of [`Counts`](crate::Counts).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TimedOut {
    /// Their first byte.
    pub first_byte: u64,
    /// One of the [`max_handshakes`](crate::TlsListener::max_handshakes) to end.
    pub queue: u64,
    /// The rest of their ClientHello.
    pub client_hello: u64,
    /// A later message.
    pub message: u64,
    /// That they read what we write.
    pub writing: u64,
    /// A hook of ours.
    pub hook: u64,
}

/// How a connection ended that was not established.
pub(super) enum End<'a> {
    /// It sent nothing in time.
    Silent,
    /// Its handshake failed.
    Failed(&'a Error),
    /// Its task panicked.
    Panicked,
    /// The listener stopped.
    Stopped,
}

impl Counts {
    pub(super) fn ended(&mut self, end: &End<'_>) {
        let count = match end {
            End::Silent => &mut self.timed_out.first_byte,
            End::Failed(Error::Timeout(timeout)) => self.timed_out.at(timeout.phase),
            End::Failed(Error::Tls(error)) => self.failed.of(error.kind()),
            End::Failed(Error::Stopped) | End::Stopped => &mut self.stopped,
            End::Panicked => &mut self.failed.other,
        };
        *count = count.saturating_add(1);
    }
}

impl Failures {
    /// All of them.
    #[must_use]
    pub fn total(&self) -> u64 {
        let Self {
            bad_bytes,
            misbehaved,
            nothing_in_common,
            certificate,
            alert_received,
            truncated,
            not_tls,
            refused,
            hook,
            link,
            other,
        } = *self;
        [
            bad_bytes,
            misbehaved,
            nothing_in_common,
            certificate,
            alert_received,
            truncated,
            not_tls,
            refused,
            hook,
            link,
            other,
        ]
        .iter()
        .sum()
    }

    fn of(&mut self, kind: &ErrorKind) -> &mut u64 {
        match kind {
            ErrorKind::BadBytes(_) => &mut self.bad_bytes,
            ErrorKind::Misbehaved(_) => &mut self.misbehaved,
            ErrorKind::NothingInCommon(_) => &mut self.nothing_in_common,
            ErrorKind::Certificate(_) => &mut self.certificate,
            ErrorKind::AlertReceived(_) => &mut self.alert_received,
            ErrorKind::Truncated => &mut self.truncated,
            ErrorKind::NotTls { .. } => &mut self.not_tls,
            ErrorKind::Refused(_) => &mut self.refused,
            ErrorKind::Hook { .. } => &mut self.hook,
            ErrorKind::Link(_) => &mut self.link,
            _ => &mut self.other,
        }
    }
}

impl TimedOut {
    /// All of them.
    #[must_use]
    pub fn total(&self) -> u64 {
        let Self {
            first_byte,
            queue,
            client_hello,
            message,
            writing,
            hook,
        } = *self;
        [first_byte, queue, client_hello, message, writing, hook]
            .iter()
            .sum()
    }

    fn at(&mut self, phase: Phase) -> &mut u64 {
        match phase {
            // The handshake itself never ends there: it has waited for its turn.
            Phase::Starting => &mut self.queue,
            Phase::Reading(HandshakeType::CLIENT_HELLO) => &mut self.client_hello,
            Phase::Writing => &mut self.writing,
            Phase::Hook(_) => &mut self.hook,
            _ => &mut self.message,
        }
    }
}

/// One line, of what is not zero: `12 accepted, 10 established, 1 failed, 1 timed out`.
impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} accepted", self.accepted)?;
        for (count, what) in [
            (self.refused, "refused"),
            (self.shed, "shed"),
            (self.waiting, "waiting"),
            (self.handshaking, "in their handshake"),
            (self.established, "established"),
            (self.open, "open"),
            (self.failed.total(), "failed"),
            (self.timed_out.total(), "timed out"),
            (self.stopped, "given up"),
            (self.accept_errors, "failed attempts to accept"),
        ] {
            if count > 0 {
                write!(f, ", {count} {what}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_what_is_not_zero() {
        let mut counts = Counts {
            accepted: 12,
            established: 9,
            ..Counts::default()
        };
        counts.ended(&End::Silent);
        counts.ended(&End::Failed(&Error::Tls(tls_core::Error::new(
            ErrorKind::Truncated,
        ))));
        counts.ended(&End::Failed(&Error::Stopped));
        assert_eq!(
            counts.to_string(),
            "12 accepted, 9 established, 1 failed, 1 timed out, 1 given up"
        );
        assert_eq!((counts.failed.truncated, counts.timed_out.first_byte), (1, 1));
    }
}
