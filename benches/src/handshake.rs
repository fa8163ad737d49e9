//! Full handshakes in memory: CPU time of each side.

use crate::clock::add_cpu;
use crate::floor::Floor;
use crate::identity::Identity;
use crate::rounds::{Effort, Row, Sampler, Unit, Work};
use crate::stack::{Group, Meter, Setup, Stack, Suite, handshake};

/// Full handshakes, from making the connection to dropping it.
pub struct FullHandshake {
    /// The groups of both sides.
    pub groups: &'static [Group],
    /// Whether the server sends tickets.
    pub tickets: bool,
}

#[derive(Default)]
struct CpuMeter {
    client: f64,
    server: f64,
}

impl Meter for CpuMeter {
    fn client<T>(&mut self, work: impl FnOnce() -> T) -> T {
        add_cpu(&mut self.client, work)
    }

    fn server<T>(&mut self, work: impl FnOnce() -> T) -> T {
        add_cpu(&mut self.server, work)
    }
}

impl Work for FullHandshake {
    fn rows(&self) -> Vec<Row> {
        let label = |side: &str| {
            let tickets = if self.tickets { ", default tickets" } else { "" };
            Row::new(
                format!("handshake {}{tickets}, {side}", group_names(self.groups)),
                Unit::Microseconds,
            )
        };
        vec![label("client"), label("server")]
    }

    fn setup<'a>(&self, identity: &'a Identity) -> Setup<'a> {
        Setup {
            identity,
            suite: Suite::Aes128Gcm,
            groups: self.groups,
            tickets: self.tickets,
        }
    }

    fn prepare<S: Stack>(&self, stack: S, effort: Effort) -> Sampler {
        let repeat = effort.repeat(20);
        Box::new(move || {
            let mut meter = CpuMeter::default();
            for _ in 0..repeat {
                let (client, server) = handshake(&stack, &mut meter);
                meter.client(|| drop(client));
                meter.server(|| drop(server));
            }
            vec![meter.client / repeat as f64, meter.server / repeat as f64]
        })
    }

    fn floor(&self, effort: Effort) -> Option<Sampler> {
        let repeat = effort.repeat(20);
        let floor = Floor::new(self.groups);
        Some(Box::new(move || {
            let (mut client, mut server) = (0.0, 0.0);
            for _ in 0..repeat {
                let (keys, shares) = add_cpu(&mut client, || floor.client_shares());
                let answer = add_cpu(&mut server, || floor.server(&shares));
                add_cpu(&mut client, || floor.client(keys, &answer));
                // The clock is read as often as around a stack, which is called four times on each side.
                (0..2).for_each(|_| add_cpu(&mut client, || ()));
                (0..3).for_each(|_| add_cpu(&mut server, || ()));
            }
            vec![client / repeat as f64, server / repeat as f64]
        }))
    }
}

/// The groups as text.
pub fn group_names(groups: &[Group]) -> String {
    let name = |group: &Group| match group {
        Group::X25519 => "X25519",
        Group::X25519MlKem768 => "X25519MLKEM768",
    };
    groups.iter().map(name).collect::<Vec<_>>().join(" + ")
}
