//! What a client and a server of ours agree to do: configurations, and the session of an earlier connection.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tls_core::fuzzing::seeded;
use tls_core::{
    Answer, CipherSuite as C, ClientConfig, ClientSession, ClientSessionCache as _, ConnectionContext,
    Driver, NamedGroup as G, ProtocolVersion as V, ServerConfig, ServerName, ServerSessionStore as _,
    TicketKeys,
};

use crate::pair::Pair;
use crate::transcript::case::{Setting, Shared, client_config, server_config};
use crate::transcript::run::Secrets;

/// When everything here happens: the fixed certificates are valid.
pub(super) const CLOCK: u64 = 1_795_344_168;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A pair of configurations.
pub(super) struct Scenario {
    pub(super) name: &'static str,
    client: fn() -> Vec<Setting>,
    server: fn() -> Vec<Setting>,
    /// Whether there was a connection before.
    resumes: bool,
    /// What the client sends before it has heard anything.
    pub(super) early: &'static [u8],
}

/// The number of one is written in inputs: new ones come last.
pub(super) const SCENARIOS: [Scenario; 14] = [
    scenario("tls13", || of(V::TLS13, []), || of(V::TLS13, [])),
    scenario(
        "tls13-retry",
        || of(V::TLS13, [Setting::Groups(vec![G::X25519, G::SECP256R1])]),
        || of(V::TLS13, [Setting::Groups(vec![G::SECP256R1])]),
    ),
    scenario(
        "tls13-client-auth",
        || presents(V::TLS13),
        || asks(V::TLS13, true),
    ),
    Scenario {
        resumes: true,
        ..scenario("tls13-resumed", || remembers(V::TLS13), || of(V::TLS13, []))
    },
    Scenario {
        resumes: true,
        early: b"early data",
        ..scenario(
            "tls13-early",
            || remembers(V::TLS13),
            || of(V::TLS13, [Setting::MaxEarlyData(1000)]),
        )
    },
    scenario("tls12", || of(V::TLS12, []), || of(V::TLS12, [])),
    scenario(
        "tls12-client-auth",
        || presents(V::TLS12),
        || asks(V::TLS12, true),
    ),
    Scenario {
        resumes: true,
        ..scenario(
            "tls12-resumed-ticket",
            || remembers(V::TLS12),
            || of(V::TLS12, []),
        )
    },
    Scenario {
        resumes: true,
        ..scenario(
            "tls12-resumed-id",
            || remembers(V::TLS12),
            || of(V::TLS12, [Setting::SessionStore]),
        )
    },
    Scenario {
        resumes: true,
        ..scenario(
            "tls13-resumed-stateful",
            || remembers(V::TLS13),
            || of(V::TLS13, [Setting::SessionStore]),
        )
    },
    scenario(
        "both-versions",
        || {
            let suites = vec![
                C::TLS_CHACHA20_POLY1305_SHA256,
                C::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
            ];
            vec![Setting::Alpn(vec!["h2", "http/1.1"]), Setting::Suites(suites)]
        },
        || vec![Setting::Certificate("ed25519"), Setting::Alpn(vec!["http/1.1"])],
    ),
    scenario(
        "hybrid",
        || vec![Setting::Groups(vec![G::X25519MLKEM768, G::X25519])],
        || {
            vec![
                Setting::Certificate("p256"),
                Setting::Groups(vec![G::X25519MLKEM768]),
            ]
        },
    ),
    scenario(
        "tls12-aes256",
        || {
            of(
                V::TLS12,
                [Setting::Suites(vec![C::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384])],
            )
        },
        || vec![Setting::Certificate("rsa2048"), Setting::Version(V::TLS12)],
    ),
    scenario(
        "tls13-client-without-certificate",
        || of(V::TLS13, [Setting::Suites(vec![C::TLS_AES_256_GCM_SHA384])]),
        || asks(V::TLS13, false),
    ),
];

const fn scenario(
    name: &'static str,
    client: fn() -> Vec<Setting>,
    server: fn() -> Vec<Setting>,
) -> Scenario {
    Scenario {
        name,
        client,
        server,
        resumes: false,
        early: b"",
    }
}

/// One version, and more. A server's certificate is that whose signatures are the same each time.
fn of<const N: usize>(version: V, more: [Setting; N]) -> Vec<Setting> {
    let mut settings = vec![Setting::Version(version)];
    settings.extend(more);
    settings
}

fn presents(version: V) -> Vec<Setting> {
    of(version, [Setting::Certificate("client-ed25519")])
}

fn remembers(version: V) -> Vec<Setting> {
    of(version, [Setting::SessionCache])
}

fn asks(version: V, required: bool) -> Vec<Setting> {
    of(version, [Setting::ClientAuth { required }])
}

/// What remains of an earlier connection.
struct Before {
    ticket_keys: Arc<dyn TicketKeys>,
    session: ClientSession,
    stored: Option<Vec<u8>>,
}

/// Both sides, ready to begin.
pub(super) struct Sides {
    pub(super) client: ClientConfig,
    pub(super) server: ServerConfig,
}

/// What the two remember of an earlier connection.
pub(super) struct Held {
    pub(super) session: ClientSession,
    /// As the server has it in its store, if it has one.
    pub(super) stored: Option<Vec<u8>>,
}

impl Scenario {
    /// The one with this number, or with what remains of it.
    pub(super) fn of(number: u8) -> &'static Self {
        static ALL: [Scenario; SCENARIOS.len()] = SCENARIOS;
        &ALL[usize::from(number) % ALL.len()]
    }

    /// Both sides, anew each time.
    pub(super) fn sides(&self) -> Sides {
        self.sides_with(self.held().as_ref())
    }

    /// The same where this is what they remember.
    pub(super) fn sides_with(&self, held: Option<&Held>) -> Sides {
        let shared = self.shared(held);
        Sides {
            client: client_config(&(self.client)(), &shared),
            server: server_config(&self.server_settings(), &shared),
        }
    }

    /// The server alone.
    pub(super) fn server(&self) -> ServerConfig {
        server_config(&self.server_settings(), &self.shared(self.held().as_ref()))
    }

    /// The name that its certificate has.
    pub(super) fn server_name() -> ServerName<'static> {
        ServerName::try_from("server.test").expect("a good name")
    }

    /// What the client says first, as records.
    pub(super) fn first_flight(&self) -> Vec<u8> {
        let mut driver = self.client_driver(&self.sides().client);
        driver.advance().expect("a client can begin");
        driver.transmit()
    }

    /// A client that begins with the early data.
    pub(super) fn client_driver(&self, config: &ClientConfig) -> Driver {
        Driver::client_early(
            config,
            Self::server_name(),
            self.early.to_vec(),
            ConnectionContext::new(),
        )
    }

    /// A server that takes early data if there is any.
    pub(super) fn server_driver(&self, config: &ServerConfig) -> Driver {
        match self.early {
            b"" => Driver::server(config),
            _ => Driver::server_early(config, ConnectionContext::new()),
        }
    }

    /// The session that a client resumes.
    pub(super) fn session(&self) -> Option<ClientSession> {
        Some(self.before()?.session.clone())
    }

    fn server_settings(&self) -> Vec<Setting> {
        let mut settings = (self.server)();
        if !settings
            .iter()
            .any(|setting| matches!(setting, Setting::Certificate(_)))
        {
            settings.push(Setting::Certificate("ed25519"));
        }
        settings
    }

    fn held(&self) -> Option<Held> {
        let before = self.before()?;
        let (session, stored) = (before.session.clone(), before.stored.clone());
        Some(Held { session, stored })
    }

    /// What the configurations share, with what they remember.
    fn shared(&self, held: Option<&Held>) -> Shared {
        let mut shared = Shared::new(CLOCK, Arc::new(Secrets::default()) as _);
        let context = ConnectionContext::new();
        if let (Some(before), Some(held)) = (self.before(), held) {
            shared.ticket_keys = Arc::clone(&before.ticket_keys);
            let key = client_config(&(self.client)(), &shared).session_key(&Self::server_name());
            let put = shared.cache.put(&key, held.session.clone(), &context);
            assert!(matches!(put, Answer::Now(Ok(()))), "it is in memory");
            if let Some(stored) = held.stored.clone() {
                // Under the name that it had, whatever the client says now.
                let put = shared
                    .store
                    .put(offer(&before.session), stored.into(), DAY, &context);
                assert!(matches!(put, Answer::Now(Ok(()))), "it is in memory");
            }
        }
        shared
    }

    fn before(&self) -> Option<&'static Before> {
        static BEFORE: [OnceLock<Before>; SCENARIOS.len()] = [const { OnceLock::new() }; SCENARIOS.len()];
        let number = SCENARIOS.iter().position(|scenario| scenario.name == self.name)?;
        // With randomness of its own: whoever has others in force has asked for the session before.
        let make = || seeded(u64::MAX, || self.make_before());
        self.resumes.then(|| BEFORE[number].get_or_init(make))
    }

    fn make_before(&self) -> Before {
        let shared = Shared::new(CLOCK, Arc::new(Secrets::default()) as _);
        let client = client_config(&(self.client)(), &shared);
        let server = server_config(&self.server_settings(), &shared);
        let mut ends = Pair::new(&client, &server).run().established();
        ends.client.reader.process().expect("nothing but tickets");
        let session = ends.client.reader.take_session().expect("a ticket, or an id");
        let name = offer(&session).to_vec();
        let Answer::Now(Ok(stored)) = shared.store.get(&name, &ConnectionContext::new()) else {
            panic!("it is in memory");
        };
        let is_stateful = (self.server)()
            .iter()
            .any(|setting| matches!(setting, Setting::SessionStore));
        assert_eq!(stored.is_some(), is_stateful, "{}", self.name);
        Before {
            ticket_keys: shared.ticket_keys,
            session,
            stored: stored.map(|bytes| bytes.to_vec()),
        }
    }
}

/// What a client offers of a session: to a server with a store, the name that it has there.
pub(super) fn offer(session: &ClientSession) -> &[u8] {
    match session.ticket() {
        b"" => session.session_id(),
        ticket => ticket,
    }
}

impl Scenario {
    /// What a server with a store remembers of the session.
    pub(super) fn stored(&self) -> Option<Vec<u8>> {
        self.before()?.stored.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_scenario_is_what_its_name_says() {
        for scenario in &SCENARIOS {
            let Sides { client, server, .. } = scenario.sides();
            if !scenario.early.is_empty() {
                continue;
            }
            let mut ends = Pair::new(&client, &server).run().established();
            ends.check(b"data");
            let (negotiated, name) = (ends.server.negotiated(), scenario.name);
            assert_eq!(negotiated.is_resumed(), name.contains("resumed"), "{name}");
            assert_eq!(
                negotiated.had_hello_retry_request(),
                name.ends_with("retry"),
                "{name}"
            );
            assert_eq!(
                negotiated.peer_chain().is_some(),
                name.ends_with("client-auth"),
                "{name}"
            );
            assert_eq!(
                negotiated.version() == V::TLS12,
                name.starts_with("tls12"),
                "{name}"
            );
        }
    }
}
