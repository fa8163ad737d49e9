//! What is recorded. The name of a case is that of its file.

mod gnutls;
mod openssl_clients;
mod openssl_servers12;
mod openssl_servers13;

use crate::transcript::case::{Case, Peer, Plan, Program, Setting, Step};
use tls_core::ProtocolVersion;

/// All of them.
#[must_use]
pub fn all() -> Vec<Case> {
    let mut cases = openssl_servers13::cases();
    cases.extend(openssl_servers12::cases());
    cases.extend(openssl_clients::cases());
    cases.extend(gnutls::cases());
    cases
}

/// A case with one connection, whose peer has the identity p256.
fn case(name: String, program: Program, version: ProtocolVersion, arguments: &[&'static str]) -> Case {
    Case {
        name,
        settings: vec![Setting::Version(version)],
        peer: Peer {
            program,
            identity: "p256",
            arguments: arguments.to_vec(),
        },
        connections: Vec::new(),
    }
}

/// A connection without anything special.
fn plan(steps: &[Step]) -> Plan {
    Plan {
        server_name: "server.test",
        early: None,
        arguments: Vec::new(),
        settings: Vec::new(),
        steps: steps.to_vec(),
    }
}

/// How a case is put together.
trait Change: Sized {
    fn set(self, settings: impl IntoIterator<Item = Setting>) -> Self;
    fn identity(self, name: &'static str) -> Self;
    fn plans(self, plans: impl IntoIterator<Item = Plan>) -> Self;
    fn steps(self, steps: &[Step]) -> Self {
        self.plans([plan(steps)])
    }
}

impl Change for Case {
    fn set(mut self, settings: impl IntoIterator<Item = Setting>) -> Self {
        self.settings.extend(settings);
        self
    }

    fn identity(mut self, name: &'static str) -> Self {
        self.peer.identity = name;
        self
    }

    fn plans(mut self, plans: impl IntoIterator<Item = Plan>) -> Self {
        self.connections = plans.into_iter().collect();
        self
    }
}

/// How a plan is put together.
trait Planned {
    fn early(self, data: &'static str) -> Self;
    fn arguments(self, arguments: &[&'static str]) -> Self;
    fn to(self, name: &'static str) -> Self;
    fn with(self, settings: impl IntoIterator<Item = Setting>) -> Self;
}

impl Planned for Plan {
    fn early(mut self, data: &'static str) -> Self {
        self.early = Some(data);
        self
    }

    fn arguments(mut self, arguments: &[&'static str]) -> Self {
        self.arguments = arguments.to_vec();
        self
    }

    fn to(mut self, name: &'static str) -> Self {
        self.server_name = name;
        self
    }

    fn with(mut self, settings: impl IntoIterator<Item = Setting>) -> Self {
        self.settings.extend(settings);
        self
    }
}
