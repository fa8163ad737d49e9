//! What a listener, its connections and its handles know together.

use core::task::{Context, Waker};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;

use super::counts::{Counts, End};
use super::drain::Drained;
use super::network::Network;

/// How far a listener has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    #[default]
    Open,
    /// It accepts no more.
    Draining,
    /// The time to finish is over.
    Forced,
}

/// Shared by the listener, its handles, its connections, and the guards of its streams.
#[derive(Debug, Default)]
pub(super) struct Shared {
    state: Mutex<State>,
    /// Told whenever something ends while the listener drains.
    pub(super) progress: Notify,
    /// Cancelled when the listener begins to drain.
    pub(super) draining: CancellationToken,
    /// Cancelled when the time to finish is over.
    pub(super) force: CancellationToken,
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) counts: Counts,
    pub(super) stage: Stage,
    pub(super) drained: Drained,
    /// The socket is closed.
    pub(super) closed: bool,
    /// Those without a handshake, oldest first.
    waiting: BTreeMap<u64, Waiting>,
    /// How many connections without a finished handshake there are of each.
    networks: HashMap<Network, usize>,
    /// Who is to know that the stage changed, or that there is room again.
    acceptor: Option<Waker>,
    /// It waits for room.
    awaits_room: bool,
}

#[derive(Debug, Default)]
struct Waiting {
    task: Option<AbortHandle>,
    has_spoken: bool,
}

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        // Nobody panics while holding it, and numbers do not break.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the listener is. The task is woken when that changes.
    pub(super) fn look(&self, cx: &Context<'_>) -> Stage {
        let mut state = self.lock();
        match &mut state.acceptor {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        state.stage
    }

    /// Whether as many wait as may. If so, the task of the last [`Self::look`] can be woken when there is room.
    pub(super) fn is_full(&self, max_waiting: usize, wake: bool) -> bool {
        let mut state = self.lock();
        let is_full = state.waiting.len() >= max_waiting;
        state.awaits_room = is_full && wake;
        is_full
    }

    /// Goes on to this stage, if it is a later one.
    pub(super) fn enter(&self, stage: Stage) {
        let mut state = self.lock();
        if state.stage >= stage {
            return;
        }
        state.stage = stage;
        let waker = state.acceptor.take();
        drop(state);
        self.draining.cancel();
        if stage == Stage::Forced {
            self.force.cancel();
        }
        wake(waker);
    }

    /// Says that the socket is closed.
    pub(super) fn closed(&self) {
        self.lock().closed = true;
        self.progress.notify_waiters();
    }

    /// Enters a new connection; `None` if its address has as many as it may.
    pub(super) fn admit(self: &Arc<Self>, network: Option<Network>, limit: Option<usize>) -> Option<Entry> {
        let mut state = self.lock();
        let number = state.counts.accepted;
        state.counts.accepted = number.saturating_add(1);
        let network = network.filter(|_| limit.is_some());
        if let (Some(network), Some(limit)) = (network, limit) {
            let count = state.networks.get(&network).copied().unwrap_or(0);
            if count >= limit {
                state.counts.refused = state.counts.refused.saturating_add(1);
                return None;
            }
            state.networks.insert(network, count.saturating_add(1));
        }
        state.waiting.insert(number, Waiting::default());
        state.counts.waiting = state.waiting.len() as u64;
        drop(state);
        Some(Entry {
            shared: Arc::clone(self),
            number,
            network,
            place: Place::Waiting,
        })
    }

    /// Notes the task of a connection, so that it can be ended while it waits.
    pub(super) fn attach(&self, number: u64, task: AbortHandle) {
        if let Some(waiting) = self.lock().waiting.get_mut(&number) {
            waiting.task = Some(task);
        }
    }

    /// Ends the oldest that waits.
    pub(super) fn shed_oldest(&self) {
        let mut state = self.lock();
        let oldest = state.waiting.pop_first();
        state.counts.waiting = state.waiting.len() as u64;
        if let Some((_, oldest)) = oldest {
            state.counts.shed = state.counts.shed.saturating_add(1);
            drop(state);
            oldest.abort();
        }
    }

    /// Ends those that wait because the listener stops: all of them, or those that have sent nothing.
    pub(super) fn stop_waiting(&self, also_those_that_have_spoken: bool) {
        let mut state = self.lock();
        let mut stopped = Vec::new();
        state.waiting.retain(|_, waiting| {
            let keep = waiting.has_spoken && !also_those_that_have_spoken;
            if !keep {
                stopped.push(core::mem::take(waiting));
            }
            keep
        });
        for _ in &stopped {
            state.left_waiting();
            state.counts.ended(&End::Stopped);
            state.drained.handshakes = state.drained.handshakes.saturating_add(1);
        }
        drop(state);
        for waiting in stopped {
            waiting.abort();
        }
        self.progress.notify_waiters();
    }

    fn tell(&self, stage: Stage) {
        if stage > Stage::Open {
            self.progress.notify_waiters();
        }
    }
}

impl State {
    /// Whether a drain has nothing to wait for any more.
    pub(super) fn is_idle(&self) -> bool {
        self.closed && self.waiting.is_empty() && self.counts.handshaking == 0 && self.counts.open == 0
    }

    fn left_waiting(&mut self) {
        self.counts.waiting = self.waiting.len() as u64;
    }

    /// Who is to know that somebody has left, if anybody.
    fn who_awaits_room(&mut self) -> Option<Waker> {
        match core::mem::take(&mut self.awaits_room) {
            true => self.acceptor.take(),
            false => None,
        }
    }

    fn leave_network(&mut self, network: Option<Network>) {
        let Some(network) = network else { return };
        if let Some(count) = self.networks.get_mut(&network) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.networks.remove(&network);
            }
        }
    }
}

impl Waiting {
    fn abort(self) {
        if let Some(task) = self.task {
            task.abort();
        }
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// A connection without a finished handshake, in the books. Dropped, it leaves them.
#[derive(Debug)]
pub(super) struct Entry {
    shared: Arc<Shared>,
    number: u64,
    network: Option<Network>,
    place: Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Waiting,
    Handshaking,
}

impl Entry {
    pub(super) const fn number(&self) -> u64 {
        self.number
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Its first byte is here.
    pub(super) fn has_spoken(&self) {
        if let Some(waiting) = self.shared.lock().waiting.get_mut(&self.number) {
            waiting.has_spoken = true;
        }
    }

    /// Its handshake begins; `false` if it was ended while it waited.
    pub(super) fn handshakes(&mut self) -> bool {
        let mut state = self.shared.lock();
        if state.waiting.remove(&self.number).is_none() {
            return false;
        }
        state.left_waiting();
        state.counts.handshaking = state.counts.handshaking.saturating_add(1);
        self.place = Place::Handshaking;
        let waker = state.who_awaits_room();
        drop(state);
        wake(waker);
        true
    }

    /// Its handshake is over, and it is an open stream.
    pub(super) fn established(self) -> Open {
        let shared = Arc::clone(&self.shared);
        self.leave(|state| {
            state.counts.established = state.counts.established.saturating_add(1);
            state.counts.open = state.counts.open.saturating_add(1);
        });
        Open { shared }
    }

    /// It is over.
    pub(super) fn ended(self, end: &End<'_>) {
        self.leave(|state| state.end(end));
    }

    fn leave(mut self, note: impl FnOnce(&mut State)) {
        self.leave_once(note);
        // Nothing is left for the drop but its reference.
        self.number = u64::MAX;
    }

    /// Takes it out of the books, unless somebody else did that, who then has noted it too.
    fn leave_once(&self, note: impl FnOnce(&mut State)) {
        let mut state = self.shared.lock();
        let was_in = match self.place {
            Place::Waiting => state.waiting.remove(&self.number).is_some(),
            Place::Handshaking => {
                state.counts.handshaking = state.counts.handshaking.saturating_sub(1);
                true
            }
        };
        state.left_waiting();
        if was_in {
            note(&mut state);
        }
        state.leave_network(self.network);
        let (stage, waker) = (state.stage, state.who_awaits_room());
        drop(state);
        wake(waker);
        self.shared.tell(stage);
    }
}

impl State {
    fn end(&mut self, end: &End<'_>) {
        self.counts.ended(end);
        if matches!(end, End::Stopped | End::Failed(crate::Error::Stopped)) && self.stage > Stage::Open {
            self.drained.handshakes = self.drained.handshakes.saturating_add(1);
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        if self.number == u64::MAX {
            return;
        }
        let end = if std::thread::panicking() {
            End::Panicked
        } else {
            End::Stopped
        };
        self.leave_once(|state| state.end(&end));
    }
}

/// An established stream, in the books. Dropped, it is over.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) shared: Arc<Shared>,
}

impl Drop for Open {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.counts.open = state.counts.open.saturating_sub(1);
        match state.stage {
            Stage::Open => {}
            Stage::Draining => state.drained.finished = state.drained.finished.saturating_add(1),
            Stage::Forced => state.drained.forced = state.drained.forced.saturating_add(1),
        }
        let stage = state.stage;
        drop(state);
        self.shared.tell(stage);
    }
}
