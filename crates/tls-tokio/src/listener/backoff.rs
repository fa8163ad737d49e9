//! What follows a failed accept: a pause that grows, and a warning now and then.

use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;
use std::io;

use tokio::time::{Instant, Sleep, sleep};

/// The first pause; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(5);

/// The longest one. File descriptors are rarely short for longer, and nothing tells us when they are not.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Failures in a row of single connections that are passed over without a pause.
const PASSED_OVER: u32 = 16;

/// At most one warning of a kind in this time.
const WARNING_INTERVAL: Duration = Duration::from_secs(10);

/// Something that is warned of, but not each time.
#[derive(Debug, Default)]
pub(super) struct Seldom {
    warned: Option<Instant>,
    untold: u64,
}

impl Seldom {
    /// It happened once more; `Some` if that is to be said, with how often since the last time.
    pub(super) fn happened(&mut self) -> Option<u64> {
        self.untold = self.untold.saturating_add(1);
        let now = Instant::now();
        if self
            .warned
            .is_some_and(|warned| now.duration_since(warned) < WARNING_INTERVAL)
        {
            return None;
        }
        self.warned = Some(now);
        Some(core::mem::take(&mut self.untold))
    }
}

/// The failures since the last success.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
    pause: Option<Pin<Box<Sleep>>>,
    warning: Seldom,
}

impl Backoff {
    /// Ready once the pause is over, or where there is none.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(pause) = &mut self.pause {
            if pause.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            self.pause = None;
        }
        Poll::Ready(())
    }

    pub(super) fn succeeded(&mut self) {
        self.failures = 0;
    }

    pub(super) fn failed(&mut self, error: &io::Error) {
        let passed_over = if is_of_one_connection(error) {
            PASSED_OVER
        } else {
            0
        };
        self.failures = self.failures.saturating_add(1);
        if let Some(pause) = pause_after(self.failures.saturating_sub(passed_over)) {
            self.pause = Some(Box::pin(sleep(pause)));
        }
        if let Some(failures) = self.warning.happened() {
            tracing::warn!(%error, failures, "accepting connections fails; it is tried again");
        }
    }
}

/// After so many failures that call for one.
fn pause_after(failures: u32) -> Option<Duration> {
    let doublings = failures.checked_sub(1)?;
    let factor = 1_u32.checked_shl(doublings).unwrap_or(u32::MAX);
    Some(FIRST_PAUSE.saturating_mul(factor).min(LONGEST_PAUSE))
}

/// Whether only the connection that was to be accepted failed, so that the next one may well be good.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::Interrupted
            | io::ErrorKind::TimedOut
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_second() {
        let pauses: Vec<_> = (0..11)
            .map(|failures| pause_after(failures).map(|pause| pause.as_millis()))
            .collect();
        let expected = [0, 5, 10, 20, 40, 80, 160, 320, 640, 1000, 1000].map(|ms| (ms > 0).then_some(ms));
        assert_eq!(pauses, expected);
        assert_eq!(pause_after(u32::MAX), Some(LONGEST_PAUSE));
    }

    #[tokio::test(start_paused = true)]
    async fn an_aborted_connection_costs_no_pause_unless_there_are_many_in_a_row() {
        let aborted = io::Error::from(io::ErrorKind::ConnectionAborted);
        let mut backoff = Backoff::default();
        for _ in 0..PASSED_OVER {
            backoff.failed(&aborted);
            assert!(backoff.pause.is_none());
        }
        backoff.failed(&aborted);
        assert!(backoff.pause.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn warnings_are_rare_and_say_how_often_it_happened() {
        let mut warning = Seldom::default();
        assert_eq!(warning.happened(), Some(1));
        for _ in 0..3 {
            assert_eq!(warning.happened(), None);
        }
        tokio::time::advance(WARNING_INTERVAL).await;
        assert_eq!(warning.happened(), Some(4));
        assert_eq!(warning.happened(), None);
    }
}
