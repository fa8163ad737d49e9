//! What a seed makes of a connection.

use std::io::ErrorKind as Io;

use tls_core::{CipherSuite, ProtocolVersion};

use super::rng::Rng;

/// The most early data that the servers here take.
pub(super) const MAX_EARLY: usize = 8192;

/// All that is decided before a run.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Plan {
    pub seed: u64,
    pub version: ProtocolVersion,
    pub suite: CipherSuite,
    pub resume: bool,
    pub auth: Auth,
    pub early: Option<Early>,
    /// Client, server.
    pub sides: [SidePlan; 2],
    /// From the client, from the server.
    pub pipes: [PipePlan; 2],
    /// A transport that is dropped with bytes unread resets the connection, as TCP does.
    pub drop_resets: bool,
    /// Tasks are polled now and then though nobody woke them.
    pub spurious: bool,
}

/// Whether the server asks for a client's certificate, and gets one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Auth {
    /// It does not ask.
    None,
    /// It gets one.
    Given,
    /// It gets none, and refuses the client.
    Missing,
}

/// Early data: how much is sent, and what the server does with it.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Early {
    pub offer: usize,
    pub served: Served,
}

/// What a server does with early data.
#[derive(Clone, Copy, Debug)]
pub enum Served {
    /// It accepts the handshake as one without.
    Rejected,
    /// Reads so many bytes of it, or to its end, and writes so many before the handshake is over.
    Accepted {
        /// `usize::MAX` for all.
        read: usize,
        /// 0.5-RTT data.
        write: usize,
    },
}

/// What one side does once the handshake is over.
#[derive(Clone, Debug)]
pub struct SidePlan {
    /// Bytes that it writes.
    pub length: usize,
    /// The most in one write.
    pub chunk: usize,
    /// Per mille of the writes.
    pub vectored: usize,
    /// Per mille of the writes.
    pub flushes: usize,
    /// Per mille of the writes.
    pub key_updates: usize,
    /// Does not flush at the end: what is left goes with its reads.
    pub lazy: bool,
    /// How it reads.
    pub how: How,
    /// In which order, and in how many tasks.
    pub structure: Structure,
    /// How it ends.
    pub close: Close,
    /// Its task is dropped after so many polls, whatever it was doing.
    pub abandon: Option<usize>,
    /// Bytes read after which it ends, where `close` is one of those that do not wait for all.
    pub stop_at: usize,
}

/// How a side reads.
#[derive(Clone, Copy, Debug)]
pub enum How {
    /// Into an initialised buffer of this size.
    Initialised(usize),
    /// Into one that is not.
    Uninitialised(usize),
    /// From what the stream lends, at most so much at once.
    Lent(usize),
}

/// Who reads and writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Structure {
    /// One task that first writes.
    WriteThenRead,
    /// One task that does both at once.
    Together,
    /// Two tasks that share the stream.
    TwoTasks,
    /// Two tasks with a half each.
    Halves,
}

/// How a side ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Close {
    /// Shuts down when all is written, and reads to the end.
    HalfClose,
    /// Reads and writes all, shuts down, reads to the end.
    AfterBoth,
    /// Reads and writes all, then `graceful_shutdown`.
    GracefulAfterBoth,
    /// `graceful_shutdown` in the middle.
    Graceful,
    /// Shuts down in the middle and is gone.
    ShutdownAndDrop,
    /// Is gone in the middle.
    Drop,
    /// Is gone when all is read, written and flushed.
    DropAfterBoth,
    /// Stops in the middle, and is gone much later.
    Sleep,
}

impl Close {
    /// Whether the side reads only up to [`SidePlan::stop_at`].
    #[must_use]
    pub const fn is_in_the_middle(self) -> bool {
        matches!(
            self,
            Self::Graceful | Self::ShutdownAndDrop | Self::Drop | Self::Sleep
        )
    }

    /// Whether nothing is lost where both sides end like this and nothing goes wrong.
    pub(super) const fn is_orderly(self) -> bool {
        matches!(self, Self::HalfClose | Self::AfterBoth | Self::GracefulAfterBoth)
    }
}

/// One direction of the transport.
#[derive(Clone, Debug)]
pub struct PipePlan {
    /// Bytes under way.
    pub capacity: usize,
    /// The most that a write takes.
    pub write_chunk: usize,
    /// The most that a read gives.
    pub read_chunk: usize,
    /// Polls that are `Pending` for no reason, per mille.
    pub pending: usize,
    /// What goes wrong, after how many bytes.
    pub fault: Option<(Fault, u64)>,
}

/// What goes wrong in one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The reader is told that this is the end. What the writer still writes is taken and lost, or refused.
    Eof {
        /// Refused.
        refuses: bool,
    },
    /// The reader gets this error; what the writer writes is taken and lost.
    ReadError(Io),
    /// The writer gets this error; the reader gets what came before.
    WriteError(Io),
    /// Both directions are reset, and what is under way is lost.
    Reset,
    /// Nothing more is taken.
    Stall,
    /// Everything is taken, and nothing more arrives, not even the end.
    Blackhole,
}

const ERRORS: [Io; 3] = [Io::ConnectionReset, Io::BrokenPipe, Io::HostUnreachable];

impl Plan {
    /// What this seed stands for.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed, 1);
        let version = if rng.chance(600) {
            ProtocolVersion::TLS13
        } else {
            ProtocolVersion::TLS12
        };
        let suite = rng.pick(suites(version));
        let auth = match rng.below(100) {
            0..87 => Auth::None,
            87..96 => Auth::Given,
            _ => Auth::Missing,
        };
        // Who is refused has no session.
        let resume = rng.chance(850) && auth != Auth::Missing;
        let [mut client, mut server] = [SidePlan::new(&mut rng), SidePlan::new(&mut rng)];
        client.stop_at = rng.below(server.length + 1);
        server.stop_at = rng.below(client.length + 1);

        let can_be_early = resume && version == ProtocolVersion::TLS13;
        let early =
            (can_be_early && rng.chance(300)).then(|| Early::new(&mut rng, client.length, server.length));
        // Two that only write, or one that only writes to somebody who does not read, would wait for each other.
        let client_must_read = server.close.is_in_the_middle() || early.is_some_and(Early::writes);
        if client.structure == Structure::WriteThenRead && client_must_read {
            client.structure = Structure::Together;
        }
        let server_must_read = client.close.is_in_the_middle()
            || client.structure == Structure::WriteThenRead
            || early.is_some_and(Early::writes);
        if server.structure == Structure::WriteThenRead && server_must_read {
            (server.structure, server.lazy, server.abandon) = (Structure::TwoTasks, false, None);
        }

        let mut pipes = [client.length, server.length].map(|length| PipePlan::new(&mut rng, length));
        if early.is_some_and(Early::writes) {
            pipes[1].capacity = pipes[1].capacity.max(8192);
        }
        if server.structure == Structure::WriteThenRead || server.length == 0 {
            // Its flush, or its shutdown, waits until the transport has taken the tickets too, which a client that expects
            // no data does not read.
            pipes[1].capacity = pipes[1].capacity.max(2000);
        }
        Self {
            seed,
            version,
            suite,
            resume,
            auth,
            early,
            sides: [client, server],
            pipes,
            drop_resets: rng.chance(500),
            spurious: rng.chance(500),
        }
    }

    /// Whether something may take until somebody's time is over.
    pub(super) fn has_stuck_peer(&self) -> bool {
        self.sides.iter().any(|side| side.close == Close::Sleep)
    }

    /// Whether nothing goes wrong, and nobody ends before the other.
    #[must_use]
    pub fn is_orderly(&self) -> bool {
        let late = |side: &SidePlan| side.close != Close::HalfClose || self.version == ProtocolVersion::TLS13;
        self.auth != Auth::Missing
            && self.pipes.iter().all(|pipe| pipe.fault.is_none())
            && self
                .sides
                .iter()
                .all(|side| side.close.is_orderly() && side.abandon.is_none() && late(side))
    }
}

/// The suites of a version that are run.
pub(super) const fn suites(version: ProtocolVersion) -> &'static [CipherSuite] {
    match version {
        ProtocolVersion::TLS13 => &[
            CipherSuite::TLS_AES_128_GCM_SHA256,
            CipherSuite::TLS_AES_256_GCM_SHA384,
            CipherSuite::TLS_CHACHA20_POLY1305_SHA256,
        ],
        _ => &[
            CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
            CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
            CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
        ],
    }
}

impl Early {
    fn new(rng: &mut Rng, client: usize, server: usize) -> Self {
        let served = if rng.chance(200) {
            Served::Rejected
        } else {
            let read = match rng.below(3) {
                0 => 0,
                1 => rng.below(client + 1),
                _ => usize::MAX,
            };
            let write = if rng.chance(500) {
                rng.below(server.min(2048) + 1)
            } else {
                0
            };
            Served::Accepted { read, write }
        };
        // Sometimes more than the ticket allows.
        let offer = rng.below(client + 1);
        Self { offer, served }
    }

    const fn writes(self) -> bool {
        matches!(self.served, Served::Accepted { write: 1.., .. })
    }
}

impl SidePlan {
    fn new(rng: &mut Rng) -> Self {
        let length = match rng.below(100) {
            0..10 => 0,
            10..60 => rng.below(600),
            60..90 => rng.below(6_000),
            90..98 => rng.below(40_000),
            _ => rng.below(250_000),
        };
        let smallest = length / 100;
        let chunk = smallest + [1, 30, 1000, 20_000, 200_000][rng.below(5)];
        let size = smallest + rng.pick(&[1, 40, 500, 4096, 20_000, 70_000]);
        Self {
            length,
            chunk,
            vectored: rng.pick(&[0, 0, 300]),
            flushes: rng.pick(&[0, 100, 1000]),
            key_updates: rng.pick(&[0, 0, 30]),
            lazy: rng.chance(500),
            abandon: rng.chance(200).then(|| rng.below(120)),
            how: match rng.below(3) {
                0 => How::Initialised(size),
                1 => How::Uninitialised(size),
                _ => How::Lent(size),
            },
            structure: rng.pick(&[
                Structure::WriteThenRead,
                Structure::Together,
                Structure::TwoTasks,
                Structure::Halves,
            ]),
            close: match rng.below(100) {
                0..25 => Close::HalfClose,
                25..45 => Close::AfterBoth,
                45..58 => Close::GracefulAfterBoth,
                58..70 => Close::Graceful,
                70..80 => Close::ShutdownAndDrop,
                80..90 => Close::Drop,
                90..96 => Close::DropAfterBoth,
                _ => Close::Sleep,
            },
            stop_at: 0,
        }
        .with_a_fitting_structure()
    }

    /// A half has no `graceful_shutdown`; and where a second task reads, it is not woken for what the first did not flush.
    fn with_a_fitting_structure(mut self) -> Self {
        let is_graceful = matches!(self.close, Close::Graceful | Close::GracefulAfterBoth);
        if is_graceful && self.structure == Structure::Halves {
            self.structure = Structure::TwoTasks;
        }
        // Other tasks would go on without it.
        let is_one_task = matches!(self.structure, Structure::WriteThenRead | Structure::Together);
        self.abandon = self.abandon.filter(|_| is_one_task);
        self.lazy &= is_one_task;
        self
    }
}

impl PipePlan {
    fn new(rng: &mut Rng, length: usize) -> Self {
        let smallest = length / 200;
        let chunk = |rng: &mut Rng| smallest + rng.pick(&[7, 64, 1400, 100_000, 100_000]);
        let at = if rng.chance(500) {
            rng.below(2500)
        } else {
            rng.below(2500 + length + length / 20)
        };
        let fault = rng.chance(300).then(|| match rng.below(6) {
            0 => Fault::Eof {
                refuses: rng.chance(500),
            },
            1 => Fault::ReadError(rng.pick(&ERRORS)),
            2 => Fault::WriteError(rng.pick(&ERRORS)),
            3 => Fault::Reset,
            4 => Fault::Stall,
            _ => Fault::Blackhole,
        });
        Self {
            capacity: rng.pick(&[256, 2000, 20_000, 64 * 1024, 64 * 1024]),
            write_chunk: chunk(rng),
            read_chunk: chunk(rng),
            pending: rng.pick(&[0, 100, 400]),
            fault: fault.map(|fault| (fault, at as u64)),
        }
    }
}
