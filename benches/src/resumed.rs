//! Resumed handshakes in memory: CPU time of each side.

use crate::clock::add_cpu;
use crate::floor_resumed::Floor;
use crate::identity::Identity;
use crate::rounds::{Effort, Row, Sampler, Unit, Work};
use crate::stack::{
    ClientConnection, Connection, Group, Meter, NoMeter, Resumption, ServerConnection, Setup, Stack, Suite,
    Version, handshake,
};

/// Resumed handshakes, from making the connection to dropping it, tickets taken into the client's memory included.
/// In TLS 1.3 each has a new key exchange with X25519. The session comes from a full handshake that is not measured.
pub struct ResumedHandshake {
    /// How sessions are resumed; it implies the version.
    pub way: Resumption,
}

impl ResumedHandshake {
    /// What both sides are configured to do, with this chain.
    pub fn setup_of(way: Resumption, identity: &Identity) -> Setup<'_> {
        Setup {
            identity,
            version: match way {
                Resumption::Tickets(_) => Version::Tls13,
                Resumption::OldTicket | Resumption::RenewedTicket | Resumption::SessionId => Version::Tls12,
            },
            suite: Suite::Aes128Gcm,
            groups: &[Group::X25519],
            tickets: true,
            resumption: Some(way),
        }
    }
}

/// The full handshake that all others resume.
pub fn begin<S: Stack>(stack: &S) {
    let (client, server) = handshake(stack, &mut NoMeter);
    assert!(
        !client.is_resumed() && !server.is_resumed(),
        "there was no session"
    );
}

/// A handshake that has to be resumed.
pub fn resume<S: Stack>(stack: &S, meter: &mut impl Meter) -> (ClientConnection<S>, ServerConnection<S>) {
    let (client, server) = handshake(stack, meter);
    assert!(
        client.is_resumed() && server.is_resumed(),
        "the handshake was not resumed"
    );
    (client, server)
}

impl Work for ResumedHandshake {
    fn rows(&self) -> Vec<Row> {
        let how = match self.way {
            Resumption::Tickets(1) => "X25519, 1 new ticket".to_owned(),
            Resumption::Tickets(count) => format!("X25519, {count} new tickets"),
            Resumption::OldTicket => "TLS 1.2 by ticket, no new ticket".to_owned(),
            Resumption::RenewedTicket => "TLS 1.2 by ticket, new one from rustls only".to_owned(),
            Resumption::SessionId => "TLS 1.2 by session id".to_owned(),
        };
        ["client", "server"]
            .map(|side| Row::new(format!("handshake resumed {how}, {side}"), Unit::Microseconds))
            .into()
    }

    fn setup<'a>(&self, identity: &'a Identity) -> Setup<'a> {
        Self::setup_of(self.way, identity)
    }

    fn prepare<S: Stack>(&self, stack: S, effort: Effort) -> Sampler {
        let repeat = effort.repeat(40);
        begin(&stack);
        Box::new(move || {
            let mut meter = NetMeter::new();
            for _ in 0..repeat {
                let (client, server) = resume(&stack, &mut meter);
                meter.client(|| drop(client));
                meter.server(|| drop(server));
            }
            vec![meter.client / repeat as f64, meter.server / repeat as f64]
        })
    }

    fn floor(&self, effort: Effort) -> Option<Sampler> {
        let repeat = effort.repeat(40);
        let floor = Floor::new(self.way);
        Some(Box::new(move || {
            let mut meter = NetMeter::new();
            for _ in 0..repeat {
                let share = meter.client(|| floor.client_share());
                let answer = meter.server(|| floor.server(&share));
                meter.client(|| floor.client(share, &answer));
            }
            vec![meter.client / repeat as f64, meter.server / repeat as f64]
        }))
    }
}

/// CPU time of each side in nanoseconds, without what reading the clock takes: that would be a good part of 6 µs.
struct NetMeter {
    client: f64,
    server: f64,
    /// What is measured of nothing.
    clock: f64,
}

impl NetMeter {
    fn new() -> Self {
        const READINGS: usize = 200;
        let mut clock = 0.0;
        (0..READINGS).for_each(|_| add_cpu(&mut clock, || ()));
        Self {
            client: 0.0,
            server: 0.0,
            clock: clock / READINGS as f64,
        }
    }
}

impl Meter for NetMeter {
    fn client<T>(&mut self, work: impl FnOnce() -> T) -> T {
        self.client -= self.clock;
        add_cpu(&mut self.client, work)
    }

    fn server<T>(&mut self, work: impl FnOnce() -> T) -> T {
        self.server -= self.clock;
        add_cpu(&mut self.server, work)
    }
}
