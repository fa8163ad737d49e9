//! What must hold of a run, whatever bytes TLS chose.
//!
//! The transport knows what it did: what a side says must follow from that and from what the other side did.

use std::io::ErrorKind as Io;

use tls_core::{AlertDescription, EarlyData, HandshakeType, Phase, ProtocolVersion, Side};

use super::net::{Facts, Told};
use super::plan::{Auth, Close, Fault, Plan, Served};
use super::record::{Ended, Graceful, Handshake, Record, Run};

/// Compares what the sides saw with what the transport knows.
///
/// # Errors
/// The first thing that does not fit, with the seed and the plan.
pub fn judge(plan: &Plan, run: &Run) -> Result<(), String> {
    both(plan, run).map_err(|what| format!("seed {}: {what}\n{plan:#?}\n{run:#?}", plan.seed))
}

/// What must hold; or what is said.
fn must(holds: bool, what: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what()) }
}

fn both(plan: &Plan, run: &Run) -> Result<(), String> {
    if let Some(hang) = &run.hang {
        return Err(hang.clone());
    }
    must(!run.leak, || "the transport outlives the connection".to_owned())?;
    for end in [0, 1] {
        let view = View {
            plan,
            end,
            mine: &run.records[end],
            theirs: &run.records[1 - end],
            incoming: &run.facts[1 - end],
            outgoing: &run.facts[end],
            stuck: is_stuck(plan, run),
        };
        view.judge().map_err(|what| format!("{}: {what}", view.name()))?;
    }
    let [client, server] = &run.records;
    match (&client.handshake, &server.handshake) {
        (
            Handshake::Done {
                early: one,
                resumed: same,
                ..
            },
            Handshake::Done {
                early: other,
                resumed,
                ..
            },
        ) => must(one == other && same == resumed, || {
            "the two sides disagree on early data or resumption".to_owned()
        }),
        _ => Ok(()),
    }
}

/// Whether somebody may have to wait until a time is over.
///
/// With early data under way a side that cannot write waits for what the peer has said before. A transport that fails in
/// one direction alone lets it wait in vain.
fn is_stuck(plan: &Plan, run: &Run) -> bool {
    let waits_in_vain = |end: usize| {
        let fault = plan.pipes[end].fault.map(|(fault, _)| fault);
        plan.early.is_some()
            && matches!(fault, Some(Fault::WriteError(_) | Fault::Eof { refuses: true }))
            && !run.facts[end].refused.is_empty()
    };
    plan.has_stuck_peer()
        || [0, 1]
            .into_iter()
            .any(|end| run.facts[end].stuck || waits_in_vain(end))
}

/// A run as one side sees it.
struct View<'a> {
    plan: &'a Plan,
    end: usize,
    mine: &'a Record,
    theirs: &'a Record,
    incoming: &'a Facts,
    outgoing: &'a Facts,
    stuck: bool,
}

impl View<'_> {
    const fn name(&self) -> Side {
        match self.end {
            0 => Side::Client,
            _ => Side::Server,
        }
    }

    fn judge(&self) -> Result<(), String> {
        let Record {
            odd, wrong, gave_up, ..
        } = self.mine;
        must(odd.is_none(), || format!("{odd:?}"))?;
        must(wrong.is_none(), || {
            format!("byte {wrong:?} is not the one that was sent")
        })?;
        must(
            self.received() <= self.theirs.sent + self.theirs.failed_write,
            || "it got more than was sent".to_owned(),
        )?;
        must(!gave_up || self.stuck, || {
            "a hang: it waited for nothing".to_owned()
        })?;
        self.handshake()?;
        self.early()?;
        if !self.mine.handshake.is_done() {
            return Ok(());
        }
        self.reading()?;
        self.all_that_came()?;
        self.writing()?;
        self.shutdown()?;
        self.graceful()?;
        self.order()
    }

    /// Bytes of data that came out of the stream.
    fn received(&self) -> usize {
        self.mine.got + usize::try_from(self.mine.discarded).unwrap_or(usize::MAX)
    }

    const fn is_tls12(&self) -> bool {
        !matches!(self.plan.version, ProtocolVersion::TLS13)
    }

    fn handshake(&self) -> Result<(), String> {
        let handshake = &self.mine.handshake;
        let fits = match handshake {
            Handshake::NotYet => self.was_left_off(),
            Handshake::Done {
                version,
                resumed,
                early,
                has_peer,
            } => {
                *version == self.plan.version
                    && *resumed == self.plan.resume
                    && *early == self.expected_early()
                    && (self.end == 0 || *has_peer == (self.plan.auth == Auth::Given))
            }
            Handshake::Truncated { phase } => {
                self.was_told(Told::Eof)
                    && phase.is_some_and(|phase| {
                        // Early data does not keep a client from reading.
                        let is_early = self.end == 0 && self.plan.early.is_some() && phase == Phase::Writing;
                        is_early || self.is_reading(phase, self.incoming.delivered)
                    })
            }
            Handshake::Link { kind } => self.transport_failed_with(*kind),
            Handshake::TimedOut {
                phase,
                bytes_in,
                bytes_out,
                millis,
            } => {
                self.stuck
                    && (10_000..10_003).contains(millis)
                    && (*phase == Phase::Writing || self.is_reading(*phase, *bytes_in))
                    && *bytes_in == self.incoming.delivered
                    && *bytes_out == self.outgoing.taken
            }
            Handshake::Refused => self.end == 1 && self.plan.auth == Auth::Missing,
            // In TLS 1.3 the client's handshake is over before.
            Handshake::Alert(description) => {
                self.was_refused() && self.is_tls12() && *description == AlertDescription::HANDSHAKE_FAILURE
            }
            Handshake::Other(_) => false,
        };
        must(fits, || {
            format!("no such end of a handshake is due: {handshake:?}")
        })
    }

    /// Whether the server refused us.
    fn was_refused(&self) -> bool {
        let before_it_was_dropped = self.theirs.abandoned && self.plan.auth == Auth::Missing;
        matches!(self.theirs.handshake, Handshake::Refused) || before_it_was_dropped
    }

    /// Whether this side did not come to its own end.
    const fn was_left_off(&self) -> bool {
        self.mine.gave_up || self.mine.abandoned
    }

    fn expected_early(&self) -> EarlyData {
        match self.plan.early {
            // No data is none to offer.
            None => EarlyData::NotOffered,
            Some(early) if early.offer == 0 => EarlyData::NotOffered,
            Some(early) => match early.served {
                Served::Rejected => EarlyData::Rejected,
                Served::Accepted { .. } => EarlyData::Accepted,
            },
        }
    }

    /// Whether it is the peer that sends this, and it is the first message where nothing has come.
    fn is_reading(&self, phase: Phase, bytes_in: u64) -> bool {
        type H = HandshakeType;
        let Phase::Reading(message) = phase else {
            return false;
        };
        let (first, others): (H, &[H]) = match self.name() {
            Side::Client => (
                H::SERVER_HELLO,
                &[
                    H::ENCRYPTED_EXTENSIONS,
                    H::CERTIFICATE_REQUEST,
                    H::CERTIFICATE,
                    H::CERTIFICATE_VERIFY,
                    H::SERVER_KEY_EXCHANGE,
                    H::SERVER_HELLO_DONE,
                    H::NEW_SESSION_TICKET,
                    H::FINISHED,
                ],
            ),
            Side::Server => (
                H::CLIENT_HELLO,
                &[
                    H::END_OF_EARLY_DATA,
                    H::CERTIFICATE,
                    H::CERTIFICATE_VERIFY,
                    H::CLIENT_KEY_EXCHANGE,
                    H::FINISHED,
                ],
            ),
        };
        message == first || bytes_in > 0 && others.contains(&message)
    }

    fn was_told(&self, end: Told) -> bool {
        self.incoming.told.contains(&end)
    }

    fn transport_failed_with(&self, kind: Io) -> bool {
        self.was_told(Told::Error(kind)) || self.outgoing.refused.contains(&kind)
    }

    fn early(&self) -> Result<(), String> {
        for ended in [self.mine.early_reading, self.mine.early_writing] {
            let fits = match ended {
                Ended::NotYet | Ended::Stopped | Ended::Clean => true,
                Ended::Error(Io::UnexpectedEof) => self.was_told(Told::Eof),
                Ended::Error(Io::TimedOut) => self.stuck,
                Ended::Error(kind) => self.transport_failed_with(kind),
            };
            must(fits, || format!("no such end of early data is due: {ended:?}"))?;
        }
        Ok(())
    }

    /// Whether the peer's close_notify is among the bytes that came; `None` where it cannot be told.
    fn peer_close_came(&self) -> Option<bool> {
        match self.theirs.closed {
            Some(bytes) => Some(self.incoming.delivered >= bytes),
            None if self.may_have_closed() => None,
            None => Some(false),
        }
    }

    /// Whether the peer may have said that it closes; in TLS 1.2 reading our close_notify is enough. A stream that is
    /// dropped says so where it can.
    fn may_have_closed(&self) -> bool {
        let is_dropped = !self.theirs.closing && self.theirs.handshake.is_done();
        self.theirs.closing || is_dropped || self.is_tls12() && self.mine.closing
    }

    fn reading(&self) -> Result<(), String> {
        let came = self.peer_close_came();
        let fits = match self.mine.reading {
            Ended::NotYet => self.was_left_off(),
            Ended::Stopped => true,
            Ended::Clean => self.received() == self.theirs.sent && came != Some(false),
            Ended::Error(Io::UnexpectedEof) => self.was_told(Told::Eof) && came != Some(true),
            Ended::Error(Io::ConnectionAborted) if self.was_refused() => true,
            Ended::Error(kind) => self.transport_failed_with(kind) && came != Some(true),
        };
        must(fits, || {
            format!(
                "no such end of reading is due: {:?} ({came:?})",
                self.mine.reading
            )
        })
    }

    /// What came before the end was delivered.
    fn all_that_came(&self) -> Result<(), String> {
        let read_to_the_end = matches!(self.mine.reading, Ended::Clean | Ended::Error(_))
            || matches!(self.mine.graceful, Some(Graceful::Clean | Graceful::Truncated));
        let due = self
            .theirs
            .marks
            .iter()
            .filter(|(_, wire)| *wire <= self.incoming.delivered)
            .map(|(data, _)| *data)
            .max()
            .unwrap_or(0);
        must(
            !read_to_the_end || self.received() >= due || self.mine.graceful == Some(Graceful::Truncated),
            || format!("{due} bytes came, of which it got {}", self.received()),
        )
    }

    fn writing(&self) -> Result<(), String> {
        let is_all = self.mine.sent == self.plan.sides[self.end].length;
        let fits = match self.mine.writing {
            Ended::NotYet => self.was_left_off(),
            Ended::Stopped => self.plan.sides[self.end].close.is_in_the_middle(),
            Ended::Clean => is_all,
            Ended::Error(Io::BrokenPipe) if self.closed_by_peer() || self.was_refused() => true,
            Ended::Error(Io::ConnectionAborted) if self.was_refused() => true,
            Ended::Error(kind) => self.transport_failed_with(kind),
        };
        must(fits, || {
            format!("no such end of writing is due: {:?}", self.mine.writing)
        })
    }

    /// In TLS 1.2 the peer's close_notify closes both directions, as soon as it has come.
    fn closed_by_peer(&self) -> bool {
        self.is_tls12() && self.peer_close_came() != Some(false)
    }

    /// Whether it may be that nobody reads what we send.
    fn is_not_read(&self) -> bool {
        let leaves = self.plan.sides[1 - self.end].close == Close::ShutdownAndDrop;
        self.stuck || leaves && self.theirs.reading == Ended::Stopped
    }

    fn shutdown(&self) -> Result<(), String> {
        let fits = match self.mine.shutdown {
            Ended::NotYet | Ended::Clean => true,
            Ended::Error(Io::TimedOut) => self.is_not_read(),
            Ended::Error(Io::ConnectionAborted) if self.was_refused() => true,
            Ended::Error(kind) => self.transport_failed_with(kind),
            Ended::Stopped => false,
        };
        must(fits, || {
            format!("no such end of a shutdown is due: {:?}", self.mine.shutdown)
        })
    }

    fn graceful(&self) -> Result<(), String> {
        let Some(graceful) = self.mine.graceful else {
            return Ok(());
        };
        let came = self.peer_close_came();
        let fits = match graceful {
            // What it saw was that reading had ended before.
            Graceful::Clean | Graceful::StillSending if !self.stuck => {
                self.received() == self.theirs.sent && came != Some(false)
            }
            Graceful::Clean => self.received() == self.theirs.sent && came != Some(false),
            Graceful::StillSending => true,
            Graceful::Truncated => self.was_told(Told::Eof) && came != Some(true),
            Graceful::TimedOut => self.is_not_read(),
            Graceful::Reset => [Io::ConnectionReset, Io::BrokenPipe]
                .iter()
                .any(|kind| self.transport_failed_with(*kind)),
            Graceful::Failed(Io::ConnectionAborted) if self.was_refused() => true,
            Graceful::Failed(kind) => self.transport_failed_with(kind),
        };
        must(fits, || format!("no such end is due: {graceful:?} ({came:?})"))
    }

    /// Where nothing went wrong and nobody left early, everything arrives and ends well.
    fn order(&self) -> Result<(), String> {
        if matches!(self.theirs.handshake, Handshake::Refused)
            && self.plan.pipes.iter().all(|pipe| pipe.fault.is_none())
        {
            // The alert arrives whatever else the client does; one that reads learns of it.
            let reads = matches!(self.mine.reading, Ended::Clean | Ended::Error(_));
            let learns = self.mine.reading == Ended::Error(Io::ConnectionAborted);
            return must(!reads || learns, || {
                "it was not told that it is refused".to_owned()
            });
        }
        if !self.plan.is_orderly() {
            return Ok(());
        }
        let mine = self.mine;
        let is_complete = self.received() == self.plan.sides[1 - self.end].length
            && mine.writing == Ended::Clean
            && match self.plan.sides[self.end].close {
                Close::GracefulAfterBoth => mine.graceful == Some(Graceful::Clean),
                _ => mine.reading == Ended::Clean && mine.shutdown == Ended::Clean,
            };
        must(is_complete, || {
            "nothing went wrong, and yet not all is well".to_owned()
        })
    }
}
