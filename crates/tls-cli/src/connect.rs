//! `tls connect`: open a connection, show it, and join it with stdin and stdout.

use core::time::Duration;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use serde_json::{Map, Value, json};
use tls_tokio::{
    CertificateDer, ClientConfig, MemorySessionCache, RootStore, ServerName, Shutdown, TlsConnector,
    TlsStream,
};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::timeout_at;

use crate::args::{ConnectArguments, Limit, Target};
use crate::certificate::Description;
use crate::console;
use crate::describe::{Facts, Milliseconds, milliseconds};
use crate::failure::Failure;
use crate::join;
use crate::setup;
use crate::starttls;

/// Where nobody sends or reads data (with `--json`, and before reconnecting) the peer gets this long to close.
const CLOSE_LIMIT: Duration = Duration::from_secs(2);

/// An established connection and what it took.
struct Connected {
    stream: TlsStream<TcpStream>,
    address: SocketAddr,
    tcp_time: Duration,
    /// How long the plain text before the handshake took.
    starttls_time: Option<Duration>,
    early_data: EarlyBytes,
}

/// How many bytes there were to send early, and how many the server accepted.
#[derive(Clone, Copy)]
struct EarlyBytes {
    offered: usize,
    accepted: usize,
}

pub(crate) async fn run(arguments: ConnectArguments) -> Result<(), Failure> {
    let connector =
        TlsConnector::new(configuration(&arguments).await?).handshake_timeout(arguments.timeout.0);
    let early_data = match &arguments.early_data {
        Some(file) => setup::read_file(file)?,
        None => Vec::new(),
    };
    // There is no session yet that would allow early data.
    let mut connected = establish(&arguments, &connector, &[]).await?;
    let mut handshakes = Vec::new();
    for _ in 0..arguments.resume.unwrap_or(0) {
        handshakes.push(Past::of(&connected));
        // Tickets of TLS 1.3 come after the handshake: waiting for the peer's close is waiting for them too.
        connected.stream.graceful_shutdown(CLOSE_LIMIT).await;
        connected = establish(&arguments, &connector, &early_data).await?;
    }
    handshakes.push(Past::of(&connected));
    if arguments.json {
        let closed = connected.stream.graceful_shutdown(CLOSE_LIMIT).await;
        let mut members = describe_json(&connected, &arguments, &closed);
        if arguments.resume.is_some() {
            let each = handshakes.iter().map(|past| json!(past.json()));
            members.insert("handshakes".to_owned(), each.collect());
        }
        console::print(format_args!("{}", Value::from(members)));
        return Ok(());
    }
    if arguments.resume.is_some() {
        show_handshakes(&handshakes);
    }
    show(&connected, &arguments);
    join::with_stdio(connected.stream, arguments.close_timeout.0).await
}

/// A handshake that is over.
struct Past {
    facts: Facts,
    early_data: EarlyBytes,
}

impl Past {
    fn of(connected: &Connected) -> Self {
        Self {
            facts: facts(&connected.stream),
            early_data: connected.early_data,
        }
    }

    fn json(&self) -> Map<String, Value> {
        let mut members = self.facts.json();
        members.insert(
            "early_data_accepted_bytes".to_owned(),
            json!(self.early_data.accepted),
        );
        members
    }
}

fn facts(stream: &TlsStream<TcpStream>) -> Facts {
    let info = stream.info();
    Facts::of(&info, info.handshake_time())
}

/// Which handshakes were resumed, how long each took, and what became of early data.
fn show_handshakes(handshakes: &[Past]) {
    for (number, Past { facts, early_data }) in handshakes.iter().enumerate() {
        let kind = if facts.resumed { "resumed" } else { "full" };
        let time = Milliseconds(facts.handshake);
        let early = match early_data.offered {
            0 => String::new(),
            offered => format!(
                ", {} of {offered} bytes of early data accepted",
                early_data.accepted
            ),
        };
        console::say(format_args!(
            "handshake {number}: {kind:<7} {time} {}{early}",
            facts.version
        ));
    }
    let resumed = handshakes.iter().filter(|past| past.facts.resumed).count();
    let tried = handshakes.len().saturating_sub(1);
    console::say(format_args!("{resumed} of {tried} reconnections were resumed"));
}

/// Connects, and sends early data; what of it the server has not seen follows as ordinary data.
async fn establish(
    arguments: &ConnectArguments,
    connector: &TlsConnector,
    early_data: &[u8],
) -> Result<Connected, Failure> {
    let Target { host, port } = &arguments.target;
    let name = arguments.name.as_ref().unwrap_or(host);
    let name = ServerName::try_from(name.as_str())
        .map_err(|_| Failure::new(format!("{name:?} is neither a DNS name nor an IP address")))?
        .to_owned();
    let started = Instant::now();
    let deadline = Deadline::after(arguments.timeout);
    let mut tcp = deadline
        .meet(TcpStream::connect((host.as_str(), *port)))
        .await
        .map_err(|error| Failure::new(format!("cannot connect to {host} port {port}: {error}")))?;
    let tcp_time = started.elapsed();
    let address = tcp
        .peer_addr()
        .map_err(|error| Failure::new(format!("lost the connection to {host} port {port}: {error}")))?;
    // Only a matter of latency.
    let _ = tcp.set_nodelay(true);
    let starttls_time = match arguments.starttls {
        None => None,
        Some(protocol) => {
            let started = Instant::now();
            let own_address = tcp.local_addr().map(|own| own.ip());
            let negotiated =
                deadline.meet(async { Ok(starttls::negotiate(protocol, &mut tcp, own_address?).await) });
            let negotiated = negotiated.await.unwrap_or_else(|error| Err(error.into()));
            negotiated.map_err(|error| {
                Failure::new(format!("no TLS with {address} by {}: {error}", protocol.name()))
            })?;
            Some(started.elapsed())
        }
    };
    let (mut stream, rest) = connector
        .connect_early(name, tcp, early_data)
        .await
        .map_err(|failure| Failure::new(format!("no TLS with {address}: {failure}")))?;
    Deadline::after(arguments.timeout)
        .meet(stream.write_all(rest))
        .await
        .map_err(|error| Failure::new(format!("cannot send to {address}: {error}")))?;
    Ok(Connected {
        stream,
        address,
        tcp_time,
        starttls_time,
        early_data: EarlyBytes {
            offered: early_data.len(),
            accepted: early_data.len().saturating_sub(rest.len()),
        },
    })
}

/// When something must be done, if ever.
#[derive(Clone, Copy)]
struct Deadline {
    limit: Duration,
    at: Option<tokio::time::Instant>,
}

impl Deadline {
    fn after(limit: Limit) -> Self {
        let limit = limit.0.unwrap_or(Duration::MAX);
        // So far away that there is none.
        let at = tokio::time::Instant::now().checked_add(limit);
        Self { limit, at }
    }

    async fn meet<T>(self, attempt: impl Future<Output = io::Result<T>>) -> io::Result<T> {
        let Self { limit, at } = self;
        match at {
            None => attempt.await,
            Some(at) => timeout_at(at, attempt).await.unwrap_or_else(|_| {
                Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    format!("no answer within {limit:?}"),
                ))
            }),
        }
    }
}

async fn configuration(arguments: &ConnectArguments) -> Result<ClientConfig, Failure> {
    let builder = ClientConfig::builder();
    let builder = if arguments.insecure {
        console::say(format_args!(
            "the server's certificate is NOT checked (--insecure)"
        ));
        builder.dangerously_accept_any_certificate()
    } else {
        builder.roots(roots(arguments).await?)
    };
    let builder = arguments
        .protocol
        .client(builder)
        .alpn(setup::protocols(arguments.alpn.clone(), &[]));
    let builder = match setup::certificate(arguments.cert.as_deref(), arguments.key.as_deref())? {
        Some(certificate) => builder.certificate(certificate),
        None => builder,
    };
    let builder = match setup::key_log()? {
        Some(key_log) => builder.key_log(key_log),
        None => builder,
    };
    let builder = match arguments.resume {
        // There is one server only.
        Some(_) => builder.session_cache(Arc::new(MemorySessionCache::new(1))),
        None => builder,
    };
    builder.build().map_err(|error| Failure::new(error.to_string()))
}

async fn roots(arguments: &ConnectArguments) -> Result<RootStore, Failure> {
    if let Some(path) = &arguments.ca {
        return setup::roots(path);
    }
    // Reads a hundred files and more.
    let native = tokio::task::spawn_blocking(RootStore::native).await;
    let native =
        native.map_err(|error| Failure::new(format!("cannot load the platform's roots: {error}")))?;
    Ok(native.unwrap_or_else(|error| {
        console::say(format_args!("{error}; using Mozilla's as of this build"));
        RootStore::bundled()
    }))
}

/// Everything about the connection, on stderr: stdout belongs to its data.
fn show(connected: &Connected, arguments: &ConnectArguments) {
    let Target { host, port } = &arguments.target;
    let row = |label: &str, value: &str| console::say(format_args!("  {label:<21} {value}"));
    console::say(format_args!("connected to {host} port {port}"));
    row("address", &connected.address.to_string());
    row("TCP connect", &Milliseconds(connected.tcp_time).to_string());
    if let (Some(protocol), Some(time)) = (arguments.starttls, connected.starttls_time) {
        row(
            "STARTTLS",
            &format!("{}, {}", protocol.name(), Milliseconds(time)),
        );
    }
    let info = connected.stream.info();
    for (label, value) in facts(&connected.stream).rows() {
        row(label, &value);
    }
    for (place, certificate) in info.peer_certificates().iter().enumerate() {
        match Description::of(certificate) {
            Some(description) => {
                console::say(format_args!("certificate {place}"));
                for (label, value) in description.lines() {
                    row(label, &value);
                }
            }
            None => console::say(format_args!("certificate {place} cannot be parsed")),
        }
    }
}

fn describe_json(
    connected: &Connected,
    arguments: &ConnectArguments,
    closed: &Shutdown,
) -> Map<String, Value> {
    let info = connected.stream.info();
    let mut members = Past::of(connected).json();
    let certificate = |der: &CertificateDer<'_>| Description::of(der).map(|description| description.json());
    let chain: Vec<_> = info.peer_certificates().iter().map(certificate).collect();
    members.insert("host".to_owned(), json!(arguments.target.host));
    members.insert("port".to_owned(), json!(arguments.target.port));
    members.insert("address".to_owned(), json!(connected.address.to_string()));
    members.insert("tcp_connect_ms".to_owned(), milliseconds(connected.tcp_time));
    members.insert(
        "starttls".to_owned(),
        json!(arguments.starttls.map(starttls::Protocol::name)),
    );
    members.insert(
        "starttls_ms".to_owned(),
        json!(connected.starttls_time.map(milliseconds)),
    );
    members.insert("certificate_checked".to_owned(), json!(!arguments.insecure));
    members.insert("chain".to_owned(), json!(chain));
    members.insert("closed".to_owned(), json!(closed_word(closed)));
    members
}

/// How the connection ended, as a word for programs.
fn closed_word(closed: &Shutdown) -> &'static str {
    match closed {
        Shutdown::Clean => "close_notify",
        Shutdown::PeerStillSending { .. } => "peer_still_sending",
        Shutdown::Truncated => "truncated",
        Shutdown::TimedOut => "timed_out",
        Shutdown::Reset => "reset",
        _ => "failed",
    }
}
