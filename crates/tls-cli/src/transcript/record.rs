//! `tls transcript record`: a relay that writes down what goes through it.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, SystemTime};

use tls_tokio::tls_core::KeyLog;
use tls_transcript::{Event, Recording, Secret, What};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

use super::{RecordArguments, Recorded};
use crate::console;
use crate::failure::Failure;
use crate::{connect, serve};

/// Bytes that are relayed at a time: more than a record has.
const PIECE: usize = 32 * 1024;

/// How long the other side may go on once ours has ended.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// The secrets of all connections of this process, where somebody wants them.
#[derive(Debug, Default)]
pub(crate) struct Secrets(Mutex<Vec<Secret>>);

static SECRETS: OnceLock<Secrets> = OnceLock::new();

impl Secrets {
    /// `None` where there is no transcript.
    pub(crate) fn wanted() -> Option<&'static Self> {
        SECRETS.get()
    }
}

impl KeyLog for Secrets {
    fn log(&self, label: &str, client_random: &[u8; 32], secret: &[u8]) {
        lock(&self.0).push(Secret {
            label: label.to_owned(),
            client_random: client_random.to_vec(),
            secret: secret.to_vec(),
        });
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What happened on each connection.
type Connections = Arc<Mutex<Vec<Vec<Event>>>>;

pub(super) async fn run(arguments: RecordArguments) -> Result<(), Failure> {
    let file = create(&arguments.file)?;
    let secrets = SECRETS.get_or_init(Secrets::default);
    let connections = Connections::default();
    let (name, result) = match arguments.command {
        Recorded::Connect(mut arguments) => {
            let host = arguments.target.host.clone();
            let upstream = (host.clone(), arguments.target.port);
            let (listener, address) = listen("127.0.0.1:0").await?;
            arguments.name.get_or_insert(host);
            arguments.target.host = address.ip().to_string();
            arguments.target.port = address.port();
            let relay = Relay::start(listener, upstream, &connections);
            let result = Box::pin(connect::run(arguments)).await;
            relay.finish().await;
            ("client-recorded", result)
        }
        Recorded::Serve(mut arguments) => {
            let (listener, address) = listen(&arguments.listen).await?;
            // Taken by nobody else meanwhile, most likely.
            let (free, behind) = listen("127.0.0.1:0").await?;
            drop(free);
            arguments.listen = behind.to_string();
            console::say(format_args!("recording on {address}, in front of {behind}"));
            let upstream = (behind.ip().to_string(), behind.port());
            let relay = Relay::start(listener, upstream, &connections);
            let result = Box::pin(serve::run(arguments)).await;
            relay.finish().await;
            ("server-recorded", result)
        }
    };
    let mut recording = Recording {
        secrets: lock(&secrets.0).clone(),
        connections: lock(&connections).clone(),
        ..Recording::default()
    };
    let mut add = |key: &str, value: String| recording.header.push((key.to_owned(), value));
    add("name", name.to_owned());
    add("by", format!("tls {}", env!("CARGO_PKG_VERSION")));
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    add("clock", since.unwrap_or_default().as_secs().to_string());
    if let Err(failure) = &result {
        add("result", failure.to_string().replace(char::is_control, " "));
    }
    write(file, &arguments.file, &recording)?;
    result
}

/// Readable by its owner only: it has secrets.
fn create(path: &Path) -> Result<std::fs::File, Failure> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    options
        .open(path)
        .map_err(|error| Failure::new(format!("cannot create {}: {error}", path.display())))
}

fn write(mut file: std::fs::File, path: &Path, recording: &Recording) -> Result<(), Failure> {
    file.write_all(recording.render().as_bytes())
        .map_err(|error| Failure::new(format!("cannot write {}: {error}", path.display())))?;
    let count = recording.connections.len();
    console::say(format_args!(
        "{count} connections, with their secrets, are in {}",
        path.display()
    ));
    Ok(())
}

async fn listen(address: &str) -> Result<(TcpListener, SocketAddr), Failure> {
    let failed = |error: io::Error| Failure::new(format!("cannot listen on {address}: {error}"));
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}

/// A relay that runs.
struct Relay {
    task: JoinHandle<()>,
    finish: oneshot::Sender<()>,
}

impl Relay {
    fn start(listener: TcpListener, upstream: (String, u16), connections: &Connections) -> Self {
        let (finish, finished) = oneshot::channel();
        let task = tokio::spawn(relay(listener, upstream, Arc::clone(connections), finished));
        Self { task, finish }
    }

    /// Passes on what our side said last, and what the other says to that, within a limit.
    async fn finish(mut self) {
        let _ = self.finish.send(());
        if timeout(LAST_WORDS, &mut self.task).await.is_err() {
            self.task.abort();
        }
    }
}

/// Takes clients to the server until it is told to finish, and then those to their end that it has.
async fn relay(
    listener: TcpListener,
    upstream: (String, u16),
    connections: Connections,
    mut finished: oneshot::Receiver<()>,
) {
    let mut running = JoinSet::new();
    loop {
        let client = tokio::select! {
            _ = &mut finished => break,
            accepted = listener.accept() => match accepted {
                Ok((client, _)) => client,
                Err(_) => break,
            },
        };
        let (upstream, connections) = (upstream.clone(), Arc::clone(&connections));
        running.spawn(async move {
            match TcpStream::connect((upstream.0.as_str(), upstream.1)).await {
                Ok(server) => pass(client, server, &connections).await,
                Err(error) => {
                    let (host, port) = upstream;
                    console::say(format_args!("cannot connect to {host} port {port}: {error}"));
                }
            }
        });
    }
    while running.join_next().await.is_some() {}
}

/// Passes a connection on, both ways.
async fn pass(client: TcpStream, server: TcpStream, connections: &Connections) {
    // Only a matter of latency.
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let place = {
        let mut connections = lock(connections);
        connections.push(Vec::new());
        connections.len().saturating_sub(1)
    };
    let note = |event: Event| {
        if let Some(events) = lock(connections).get_mut(place) {
            events.push(event);
        }
    };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::join!(
        one_way(true, from_client, to_server, &note),
        one_way(false, from_server, to_client, &note)
    );
}

async fn one_way(
    from_client: bool,
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    note: &(impl Fn(Event) + Sync),
) {
    let mut piece = vec![0; PIECE];
    loop {
        let what = match from.read(&mut piece).await {
            Ok(0) => What::End,
            Ok(count) => What::Bytes(piece.get(..count).unwrap_or_default().to_vec()),
            Err(_) => What::Reset,
        };
        // Before it is passed on, so that no answer can come first.
        note(Event {
            from_client,
            what: what.clone(),
        });
        let passed = match &what {
            What::Bytes(bytes) => to.write_all(bytes).await,
            What::End => to.shutdown().await,
            What::Reset => return,
        };
        if passed.is_err() || what == What::End {
            return;
        }
    }
}
