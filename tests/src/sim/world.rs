//! What all runs share and none changes: configurations, a session of each, and the data.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::{Arc, Mutex, OnceLock};

use tls_core::{
    Answer, CipherSuite, ClientAuth, ClientConfig, ClientSession, ClientSessionCache, ConnectionContext,
    HookError, PinnedCertificate, ProtocolVersion, ReplayGuard, ServerConfig, SessionKey,
};
use tls_tokio::{TlsAcceptor, TlsConnector};
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio::runtime::{Builder, Runtime};

use super::executor::{self, Spawner};
use super::net::{NetHandle, Sabotage};
use super::plan::{Auth, MAX_EARLY, Plan, suites};
use super::record::Run;
use super::rng::Rng;
use super::side::{Side, Stop};
use crate::pair::certified;
use crate::pki::{Identity, KeyType, Leaf};
use crate::sides::{client_builder, server_builder, server_name};
use crate::versions::{Only, VERSIONS};

/// Bytes that one direction is a part of.
const DATA: usize = 512 * 1024;

/// Configurations that fit each other: version, suite, client certificate.
type Kind = (u16, u16, Auth);

/// What all runs share.
pub struct World {
    runtime: Runtime,
    sides: BTreeMap<Kind, Configs>,
}

struct Configs {
    full: TlsConnector,
    resuming: TlsConnector,
    acceptor: TlsAcceptor,
}

impl World {
    /// With a connection of each kind, for a session to resume.
    #[must_use]
    pub fn new() -> Self {
        let runtime = Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime can be made");
        let client = Leaf::new(KeyType::Ed25519, &["client.test"])
            .client()
            .self_signed();
        let mut sides = BTreeMap::new();
        for version in VERSIONS {
            for suite in suites(version) {
                for auth in [Auth::None, Auth::Given, Auth::Missing] {
                    let configs = Configs::new(&runtime, version, *suite, auth, &client);
                    sides.insert((version.0, suite.0, auth), configs);
                }
            }
        }
        Self { runtime, sides }
    }

    /// Does what the plan says.
    #[must_use]
    pub fn run(&self, plan: &Plan) -> Run {
        self.run_with(plan, None)
    }

    /// As [`Self::run`], on a transport that does what none may.
    ///
    /// # Panics
    /// If somebody who is gone keeps what a side saw.
    #[must_use]
    pub fn run_with(&self, plan: &Plan, sabotage: Option<Sabotage>) -> Run {
        let configs = &self.sides[&(plan.version.0, plan.suite.0, plan.auth)];
        let (net, [client_io, server_io]) = NetHandle::new(plan, sabotage);
        let spawner = Spawner::default();
        let shared = Rc::new(plan.clone());
        let mut offsets = Rng::new(plan.seed, 4);
        let data = plan.sides.each_ref().map(|side| {
            let start = offsets.below(DATA - side.length);
            &bytes()[start..start + side.length]
        });
        let [client, server] = [0, 1].map(|end| {
            Rc::new(Side {
                end,
                plan: Rc::clone(&shared),
                net: net.clone(),
                spawner: spawner.clone(),
                record: RefCell::default(),
                out: data[end],
                due: data[1 - end],
                rng: RefCell::new(Rng::new(plan.seed, 5 + end as u64)),
                stop: Stop::default(),
            })
        });
        let connector = if plan.resume {
            &configs.resuming
        } else {
            &configs.full
        };
        spawner.spawn(Rc::clone(&client).connect(connector.clone(), client_io));
        spawner.spawn(Rc::clone(&server).accept(configs.acceptor.clone(), server_io));
        let end = executor::run(spawner, net.clone(), plan.seed, plan.spurious);
        let end = self.runtime.block_on(end);

        let hang = end.err();
        let records = [client, server].map(|side| match Rc::try_unwrap(side) {
            Ok(side) => side.record.into_inner(),
            Err(side) if hang.is_some() => side.record.borrow().clone(),
            Err(_) => panic!("a side is still in use"),
        });
        let run = Run {
            records,
            facts: net.facts(),
            hang,
            leak: !net.is_forgotten(),
            trace: net.trace(),
        };
        net.end_leak();
        run
    }
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

impl Configs {
    fn new(
        runtime: &Runtime,
        version: ProtocolVersion,
        suite: CipherSuite,
        auth: Auth,
        identity: &Identity,
    ) -> Self {
        let mut server = server_builder()
            .only(version)
            .max_early_data(MAX_EARLY as u32)
            .replay_guard(Arc::new(EveryFlight));
        if auth != Auth::None {
            let pinned = Arc::new(PinnedCertificate::new(identity.leaf()));
            server = server.client_auth(ClientAuth::required(pinned));
        }
        let server: ServerConfig = server.build().expect("a good configuration");
        let client = |stock: &Arc<Stock>| -> ClientConfig {
            let mut client = client_builder()
                .only(version)
                .cipher_suites([suite])
                .session_cache(Arc::clone(stock) as Arc<dyn ClientSessionCache>);
            if auth == Auth::Given {
                client = client.certificate(certified(identity));
            }
            client.build().expect("a good configuration")
        };
        let acceptor = TlsAcceptor::new(server);
        let stock = Arc::new(Stock::default());
        let resuming = TlsConnector::new(client(&stock));
        if auth != Auth::Missing {
            runtime.block_on(meet(&resuming, &acceptor));
            let kept = stock.kept.lock().expect("no panic");
            assert!(kept.is_some(), "no session came");
        }
        // The same trust, or the session would not fit; and never a session.
        let full = TlsConnector::new(client(&Arc::new(Stock {
            is_closed: true,
            ..Stock::default()
        })));
        Self {
            full,
            resuming,
            acceptor,
        }
    }
}

/// A first connection.
async fn meet(connector: &TlsConnector, acceptor: &TlsAcceptor) {
    let (client, server) = duplex(64 * 1024);
    let (client, server) = tokio::join!(
        Box::pin(connector.connect(server_name(), client)),
        Box::pin(acceptor.accept(server))
    );
    let (mut client, mut server) = (client.expect("a client"), server.expect("a server"));
    server.write_all(b"x").await.expect("room");
    server.flush().await.expect("room");
    assert_eq!(client.read(&mut [0; 2]).await.expect("data"), 1);
}

/// The same session for each connection, so that no run depends on those before it.
#[derive(Default)]
struct Stock {
    kept: Mutex<Option<ClientSession>>,
    is_closed: bool,
}

impl std::fmt::Debug for Stock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Stock")
    }
}

impl ClientSessionCache for Stock {
    fn take<'a>(
        &'a self,
        _: &'a SessionKey,
        _: &'a ConnectionContext,
    ) -> Answer<'a, Result<Option<ClientSession>, HookError>> {
        Answer::Now(Ok(self.kept.lock().expect("no panic").clone()))
    }

    fn put<'a>(
        &'a self,
        _: &'a SessionKey,
        session: ClientSession,
        _: &'a ConnectionContext,
    ) -> Answer<'a, Result<(), HookError>> {
        if !self.is_closed {
            self.kept.lock().expect("no panic").get_or_insert(session);
        }
        Answer::Now(Ok(()))
    }

    fn remove<'a>(
        &'a self,
        _: &'a SessionKey,
        _: &'a ConnectionContext,
    ) -> Answer<'a, Result<(), HookError>> {
        Answer::Now(Ok(()))
    }
}

/// Remembers nothing, so that no run depends on those before it.
#[derive(Debug)]
struct EveryFlight;

impl ReplayGuard for EveryFlight {
    fn is_first_use<'a>(
        &'a self,
        _: &'a [u8; 32],
        _: std::time::Duration,
        _: &'a ConnectionContext,
    ) -> Answer<'a, Result<bool, HookError>> {
        Answer::Now(Ok(true))
    }
}

/// Bytes without a pattern.
fn bytes() -> &'static [u8] {
    static BYTES: OnceLock<Vec<u8>> = OnceLock::new();
    BYTES.get_or_init(|| {
        let mut rng = Rng::new(0, 0);
        (0..DATA / 8).flat_map(|_| rng.next().to_le_bytes()).collect()
    })
}
