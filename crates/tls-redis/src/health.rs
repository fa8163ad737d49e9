//! Whether Redis answers: when to leave it alone, when to start over, and how often to complain.

use core::time::Duration;
use std::time::Instant;

/// So many operations in a row without an answer are an outage.
const OUTAGE_AFTER: u32 = 3;

/// In an outage one operation is tried this often, the others fail at once: an outage shall not cost every handshake
/// the whole budget.
const PAUSE: Duration = Duration::from_millis(250);

/// Without any success for so long the connection is made anew: one that died in silence is not noticed otherwise.
const STALE_AFTER: Duration = Duration::from_secs(2);

/// Between two warnings.
const WARNING_GAP: Duration = Duration::from_secs(10);

/// How an operation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// As it should.
    Success,
    /// Redis answered that it will not or cannot.
    Refusal,
    /// There was no answer, or nobody to ask.
    Silence,
}

/// What to do after an operation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Advice {
    /// Make a new connection.
    pub(crate) reconnect: bool,
    /// This was the first answer after an outage.
    pub(crate) recovered: bool,
}

#[derive(Debug)]
pub(crate) struct Health {
    silent: u32,
    try_at: Instant,
    /// The last success, or the last new connection.
    fresh_at: Instant,
    pub(crate) outage_warnings: Limiter,
    pub(crate) entry_warnings: Limiter,
}

impl Health {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            silent: 0,
            try_at: now,
            fresh_at: now,
            outage_warnings: Limiter::default(),
            entry_warnings: Limiter::default(),
        }
    }

    /// Whether Redis may be asked now.
    pub(crate) fn admits(&mut self, now: Instant) -> bool {
        if self.silent < OUTAGE_AFTER {
            return true;
        }
        if now < self.try_at {
            return false;
        }
        self.try_at = now + PAUSE;
        true
    }

    /// Takes note of how an operation ended.
    pub(crate) fn ended(&mut self, outcome: Outcome, now: Instant) -> Advice {
        let was_outage = self.silent >= OUTAGE_AFTER;
        match outcome {
            Outcome::Success => {
                self.silent = 0;
                self.fresh_at = now;
                return Advice {
                    reconnect: false,
                    recovered: was_outage,
                };
            }
            Outcome::Refusal => self.silent = 0,
            Outcome::Silence => {
                self.silent = self.silent.saturating_add(1);
                if !was_outage {
                    self.try_at = now + PAUSE;
                }
            }
        }
        let reconnect = now.saturating_duration_since(self.fresh_at) >= STALE_AFTER;
        if reconnect {
            self.fresh_at = now;
        }
        Advice {
            reconnect,
            recovered: false,
        }
    }
}

/// Lets a message through once in a while.
#[derive(Debug, Default)]
pub(crate) struct Limiter {
    last: Option<Instant>,
    suppressed: u64,
}

impl Limiter {
    /// `Some` if there may be a message now, with the number of those that there were not since the last.
    pub(crate) fn may_speak(&mut self, now: Instant) -> Option<u64> {
        let is_too_soon = self
            .last
            .is_some_and(|last| now.saturating_duration_since(last) < WARNING_GAP);
        if is_too_soon {
            self.suppressed = self.suppressed.saturating_add(1);
            return None;
        }
        self.last = Some(now);
        Some(core::mem::take(&mut self.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_an_outage_one_operation_is_tried_per_pause() {
        let start = Instant::now();
        let mut health = Health::new(start);
        for _ in 0..OUTAGE_AFTER {
            assert!(health.admits(start));
            health.ended(Outcome::Silence, start);
        }
        assert!(!health.admits(start));
        assert!(health.admits(start + PAUSE));
        assert!(!health.admits(start + PAUSE));
        let advice = health.ended(Outcome::Success, start + PAUSE);
        assert!(advice.recovered && !advice.reconnect);
        assert!(health.admits(start + PAUSE));
        assert!(!health.ended(Outcome::Success, start + PAUSE).recovered);
    }

    #[test]
    fn a_refusal_is_an_answer_but_no_success() {
        let start = Instant::now();
        let mut health = Health::new(start);
        for _ in 0..10 {
            assert_eq!(health.ended(Outcome::Refusal, start), Advice::default());
        }
        assert!(health.admits(start));
        let late = start + STALE_AFTER;
        assert!(health.ended(Outcome::Refusal, late).reconnect);
        assert!(!health.ended(Outcome::Silence, late).reconnect, "once");
        assert!(health.ended(Outcome::Silence, late + STALE_AFTER).reconnect);
    }

    #[test]
    fn a_flood_of_warnings_is_one_that_counts_the_others() {
        let start = Instant::now();
        let mut limiter = Limiter::default();
        assert_eq!(limiter.may_speak(start), Some(0));
        for _ in 0..7 {
            assert_eq!(limiter.may_speak(start + WARNING_GAP / 2), None);
        }
        assert_eq!(limiter.may_speak(start + WARNING_GAP), Some(7));
        assert_eq!(limiter.may_speak(start + WARNING_GAP * 2), Some(0));
    }
}
