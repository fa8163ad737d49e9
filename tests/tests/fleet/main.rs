//! Servers of a fleet, as processes that share a Redis: what one makes, the other resumes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::large_futures,
    reason = "tests"
)]

mod crowd;
mod outage;
mod pair;
mod replay;

use std::collections::HashSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tempfile::TempDir;
use tls_core::{Answer, ClientSession, ClientSessionCache, ConnectionContext, HookError, SessionKey};
use tls_redis::{Redis, StoreKey};
use tls_tests::command::tls_command;
use tls_tests::pki::{Authority, IdentityFiles, KeyType};
use tls_tests::process::{LIMIT, Process};
use tls_tests::redis_server::RedisServer;
use tls_tests::versions::Only as _;
use tls_tokio::{
    ClientConfig, MemorySessionCache, ProtocolVersion, RootStore, ServerName, Shutdown, TlsConnector,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// What seals entries in Redis.
const SECRET: [u8; 32] = *b"the fleet has it, Redis does not";

/// Where an answer of Redis that is late must not be taken for none: a busy machine is no failure.
const PATIENT: [&str; 2] = ["--redis-timeout", "20"];

/// How many connections are open at a time.
const WORKERS: usize = 8;

/// A Redis, and servers with the same certificate in front of it.
struct Fleet {
    redis: RedisServer,
    servers: Vec<Server>,
    files: IdentityFiles,
    roots: RootStore,
    store_key: PathBuf,
    _directory: TempDir,
}

struct Server {
    process: Process,
    port: u16,
}

impl Fleet {
    /// Two servers. `None`, with a message, where there is no Redis.
    async fn start(options: &[&str]) -> Option<Self> {
        let redis = RedisServer::start().await?;
        let directory = TempDir::new().unwrap();
        let authority = Authority::new();
        let files = authority
            .leaf(KeyType::P256, &["localhost"])
            .write_to(directory.path(), "fleet");
        let store_key = directory.path().join("store.key");
        std::fs::write(&store_key, SECRET).unwrap();
        std::fs::set_permissions(&store_key, std::fs::Permissions::from_mode(0o600)).unwrap();
        let mut fleet = Self {
            redis,
            servers: Vec::new(),
            files,
            roots: RootStore::from_pem(authority.root_pem().as_bytes()).unwrap(),
            store_key,
            _directory: directory,
        };
        for _ in 0..2 {
            fleet.grow(options).await;
        }
        Some(fleet)
    }

    /// One server more.
    async fn grow(&mut self, options: &[&str]) {
        let url = self.redis.url();
        let shared = ["--redis", &url, "--store-key", path(&self.store_key)];
        let server = self.serve(&[&shared, options].concat()).await;
        self.servers.push(server);
    }

    /// A server with the same certificate and these options.
    async fn serve(&self, options: &[&str]) -> Server {
        let (chain, key) = (path(&self.files.chain), path(&self.files.key));
        let listen = "127.0.0.1:0";
        let line = ["serve", "--listen", listen, "--cert", chain, "--key", key];
        let mode: &[&str] = if options.contains(&"--http") {
            &[]
        } else {
            &["--echo"]
        };
        let process = Process::spawn(path(tls_command()), [&line[..], mode, options].concat());
        let text = process.wait_for("listening on 127.0.0.1:").await;
        let (_, rest) = text.split_once("listening on 127.0.0.1:").unwrap();
        let port = rest.lines().next().unwrap().parse().unwrap();
        Server { process, port }
    }

    /// A member of the fleet in this process.
    fn member(&self) -> Redis {
        Redis::new(&self.redis.url(), StoreKey::new(SECRET))
            .unwrap()
            .with_budget(LIMIT)
    }

    fn client(&self, version: ProtocolVersion) -> Client {
        let cache = Arc::new(Noting::new());
        let config = ClientConfig::builder()
            .roots(self.roots.clone())
            .session_cache(cache.clone())
            .only(version);
        Client {
            connector: TlsConnector::new(config.build().unwrap()).handshake_timeout(Some(LIMIT)),
            cache,
        }
    }

    /// So many, of both versions in turn, each with a cache of its own.
    fn clients(&self, count: usize) -> Vec<Client> {
        let versions = [ProtocolVersion::TLS13, ProtocolVersion::TLS12];
        (0..count)
            .map(|number| self.client(versions[number % 2]))
            .collect()
    }

    fn ports(&self) -> [u16; 2] {
        [self.servers[0].port, self.servers[1].port]
    }
}

/// Each client connects once: to one server in one round, to the other in the next.
async fn round(ports: [u16; 2], clients: &[Client], round: usize) -> Tally {
    let mut workers = JoinSet::new();
    for worker in 0..WORKERS {
        let mine = clients.iter().enumerate().skip(worker).step_by(WORKERS);
        let visits: Vec<_> = mine
            .map(|(number, client)| (ports[(number / 2 + round) % 2], client.clone()))
            .collect();
        workers.spawn(async move {
            let mut tally = Tally::default();
            for (port, client) in visits {
                tally.add(client.visit(port).await);
            }
            tally
        });
    }
    let mut all = Tally::default();
    while let Some(tally) = workers.join_next().await {
        all.join(tally.unwrap());
    }
    all
}

/// One user of the fleet.
#[derive(Clone)]
struct Client {
    connector: TlsConnector,
    cache: Arc<Noting>,
}

impl Client {
    /// A connection with a line there and back, closed by both: whether it was resumed.
    async fn visit(&self, port: u16) -> Result<bool, String> {
        let visit = async {
            let tcp = TcpStream::connect(("127.0.0.1", port))
                .await
                .map_err(|error| error.to_string())?;
            let name = ServerName::try_from("localhost").unwrap();
            let connected = Box::pin(self.connector.connect(name, tcp)).await;
            let mut stream = connected.map_err(|failure| failure.to_string())?;
            let mut line = [0; 5];
            let exchanged = async {
                stream.write_all(b"line\n").await?;
                stream.flush().await?;
                stream.read_exact(&mut line).await
            };
            exchanged.await.map_err(|error| error.to_string())?;
            assert_eq!(&line, b"line\n");
            match stream.graceful_shutdown(LIMIT).await {
                Shutdown::Clean => Ok(stream.info().is_resumed()),
                other => Err(format!("{other:?}")),
            }
        };
        timeout(2 * LIMIT, visit)
            .await
            .unwrap_or_else(|_| Err("it hangs".to_owned()))
    }
}

/// What became of connections.
#[derive(Debug, Default)]
struct Tally {
    connections: usize,
    resumed: usize,
    failed: Vec<String>,
}

impl Tally {
    fn add(&mut self, visit: Result<bool, String>) {
        self.connections += 1;
        match visit {
            Ok(resumed) => self.resumed += usize::from(resumed),
            Err(error) => self.failed.push(error),
        }
    }

    fn join(&mut self, other: Self) {
        self.connections += other.connections;
        self.resumed += other.resumed;
        self.failed.extend(other.failed);
    }

    fn percent(&self) -> f64 {
        100.0 * self.resumed as f64 / self.connections as f64
    }

    fn assert_none_failed(&self) {
        assert!(
            self.failed.is_empty(),
            "{} failed: {:?}",
            self.failed.len(),
            self.failed
        );
    }
}

/// Sessions of one client in memory; notes the ids of the keys that sealed its tickets, which they begin with.
#[derive(Debug)]
struct Noting {
    inner: MemorySessionCache,
    key_ids: Mutex<HashSet<[u8; 16]>>,
}

impl Noting {
    fn new() -> Self {
        Self {
            inner: MemorySessionCache::new(1),
            key_ids: Mutex::default(),
        }
    }
}

impl ClientSessionCache for Noting {
    fn take<'a>(
        &'a self,
        key: &'a SessionKey,
        context: &'a ConnectionContext,
    ) -> Answer<'a, Result<Option<ClientSession>, HookError>> {
        self.inner.take(key, context)
    }

    fn put<'a>(
        &'a self,
        key: &'a SessionKey,
        session: ClientSession,
        context: &'a ConnectionContext,
    ) -> Answer<'a, Result<(), HookError>> {
        if let Some(id) = session.ticket().first_chunk() {
            self.key_ids.lock().unwrap().insert(*id);
        }
        self.inner.put(key, session, context)
    }

    fn remove<'a>(
        &'a self,
        key: &'a SessionKey,
        context: &'a ConnectionContext,
    ) -> Answer<'a, Result<(), HookError>> {
        self.inner.remove(key, context)
    }
}

/// Waits until it is so.
async fn eventually(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let waited = timeout(LIMIT, async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    assert!(waited.await.is_ok(), "waited in vain: {what}");
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}
