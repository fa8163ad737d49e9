//! Full handshakes in memory: CPU time of each side.

use crate::clock::add_cpu;
use crate::floor::Floor;
use crate::identity::{Identity, KeyKind};
use crate::rounds::{Effort, Row, Sampler, Unit, Work};
use crate::stack::{Group, Meter, Setup, Stack, Suite, Version, handshake};

/// Full handshakes, from making the connection to dropping it.
pub struct FullHandshake {
    /// The version of TLS.
    pub version: Version,
    /// The kind of the server's keys.
    pub key: KeyKind,
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
            let key = match self.key {
                KeyKind::EcdsaP256 => "",
                KeyKind::Rsa2048 => ", RSA-2048",
            };
            let (version, groups) = (self.version.label(), group_names(self.groups));
            Row::new(
                format!("handshake {version}{groups}{key}{tickets}, {side}"),
                Unit::Microseconds,
            )
        };
        vec![label("client"), label("server")]
    }

    fn key_kind(&self) -> KeyKind {
        self.key
    }

    fn setup<'a>(&self, identity: &'a Identity) -> Setup<'a> {
        Setup {
            identity,
            version: self.version,
            suite: Suite::Aes128Gcm,
            groups: self.groups,
            tickets: self.tickets,
            resumption: None,
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
        // It is that of TLS 1.3 with ECDSA.
        if self.version != Version::Tls13 || self.key != KeyKind::EcdsaP256 {
            return None;
        }
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
