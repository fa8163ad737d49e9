//! Measures and prints the table.
#![expect(clippy::expect_used, reason = "a benchmark that goes wrong shall stop")]

use tls_benches::bulk::InMemory;
use tls_benches::handshake::FullHandshake;
use tls_benches::identity::{Identity, KeyKind};
use tls_benches::loopback::{PingPong, Transfer};
use tls_benches::resumed::ResumedHandshake;
use tls_benches::rounds::{Effort, Outcome, Work, measure};
use tls_benches::stack::Group::{X25519, X25519MlKem768};
use tls_benches::stack::{Resumption, Suite, Version};
use tls_benches::{memory, table};

const USAGE: &str = "tls-benches [--quick] [--rounds N] [FILTER...]";

fn main() {
    let mut effort = Effort {
        rounds: 64,
        quick: false,
    };
    let mut filters = Vec::new();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--quick" => {
                effort = Effort {
                    rounds: 3,
                    quick: true,
                }
            }
            "--rounds" => {
                let rounds = arguments.next().and_then(|rounds| rounds.parse().ok());
                effort.rounds = rounds
                    .filter(|&rounds| rounds > 0)
                    .expect("--rounds takes a number above 0");
            }
            other if other.starts_with('-') => {
                eprintln!("usage: {USAGE}");
                std::process::exit(2);
            }
            _ => filters.push(argument),
        }
    }
    if cfg!(debug_assertions) && !effort.quick {
        eprintln!("tls-benches: without --release the numbers mean nothing");
    }
    Run {
        effort,
        filters,
        ecdsa: Identity::generate(KeyKind::EcdsaP256),
        rsa: Identity::generate(KeyKind::Rsa2048),
    }
    .all();
}

struct Run {
    effort: Effort,
    filters: Vec<String>,
    ecdsa: Identity,
    rsa: Identity,
}

impl Run {
    fn all(&self) {
        println!("{}", table::head());
        for groups in [&[X25519][..], &[X25519MlKem768], &[X25519MlKem768, X25519]] {
            self.work(&FullHandshake {
                version: Version::Tls13,
                key: KeyKind::EcdsaP256,
                groups,
                tickets: false,
            });
        }
        self.work(&FullHandshake {
            version: Version::Tls13,
            key: KeyKind::EcdsaP256,
            groups: &[X25519],
            tickets: true,
        });
        for (version, key) in [
            (Version::Tls13, KeyKind::Rsa2048),
            (Version::Tls12, KeyKind::EcdsaP256),
            (Version::Tls12, KeyKind::Rsa2048),
        ] {
            self.work(&FullHandshake {
                version,
                key,
                groups: &[X25519],
                tickets: false,
            });
        }
        for way in [
            Resumption::Tickets(1),
            Resumption::Tickets(2),
            Resumption::OldTicket,
            Resumption::RenewedTicket,
            Resumption::SessionId,
        ] {
            self.work(&ResumedHandshake { way });
        }
        for suite in [Suite::Aes128Gcm, Suite::Aes256Gcm, Suite::ChaCha20Poly1305] {
            self.work(&InMemory {
                write: 16 << 10,
                version: Version::Tls13,
                suite,
            });
        }
        self.work(&InMemory {
            write: 16 << 10,
            version: Version::Tls12,
            suite: Suite::Aes128Gcm,
        });
        self.work(&InMemory {
            write: 1 << 20,
            version: Version::Tls13,
            suite: Suite::Aes128Gcm,
        });
        self.work(&InMemory {
            write: 100,
            version: Version::Tls13,
            suite: Suite::Aes128Gcm,
        });
        self.work(&Transfer { write: 16 << 10 });
        self.work(&Transfer { write: 1 << 20 });
        self.work(&PingPong);
        let (allocations, idle) = (self.wanted("allocations"), self.wanted("idle"));
        if allocations || idle {
            let program = memory::Program::build();
            if allocations {
                print(&memory::allocations(&program, self.effort));
            }
            if idle {
                print(&memory::idle(&program, self.effort));
            }
        }
    }

    fn work(&self, work: &impl Work) {
        if work.rows().iter().any(|row| self.wanted(&row.work)) {
            let identity = match work.key_kind() {
                KeyKind::EcdsaP256 => &self.ecdsa,
                KeyKind::Rsa2048 => &self.rsa,
            };
            print(&measure(work, identity, self.effort));
        }
    }

    fn wanted(&self, name: &str) -> bool {
        self.filters.is_empty() || self.filters.iter().any(|filter| name.contains(filter.as_str()))
    }
}

fn print(outcomes: &[Outcome]) {
    for outcome in outcomes {
        println!("{}", table::line(outcome));
    }
}
