//! A client and a server in memory: their handshake in chunks of any size, then data both ways.

use std::fmt;
use std::sync::OnceLock;

use tls_core::{
    AlertDescription, CertifiedKey, ClientConfig, ClientConfigBuilder, Connection, ConnectionContext, Driver,
    Error, ErrorKind, Progress, ProtocolVersion, ReadEvent, RootStore, ServerConfig, ServerConfigBuilder,
    ServerName, Side,
};

use crate::pki::{Authority, Identity, KeyType, Leaf};

/// Rounds without a byte that are driven before a handshake counts as waiting: hooks may answer in one of them.
const IDLE_ROUNDS: usize = 12;

/// The name that the identities here are for.
pub const NAME: &str = "server.test";

/// The authority that [`roots`] trusts.
pub fn authority() -> &'static Authority {
    static AUTHORITY: OnceLock<Authority> = OnceLock::new();
    AUTHORITY.get_or_init(Authority::new)
}

/// The root of [`authority`].
#[must_use]
pub fn roots() -> RootStore {
    let mut roots = RootStore::empty();
    roots.add_der(&authority().root_der()).expect("the root is good");
    roots
}

/// A good leaf for [`NAME`] with its intermediate.
#[must_use]
pub fn identity(key_type: KeyType) -> Identity {
    authority().leaf(key_type, &[NAME])
}

/// An identity as servers take it.
#[must_use]
pub fn certified(identity: &Identity) -> CertifiedKey {
    CertifiedKey::from_der(identity.chain(), &identity.key()).expect("chain and key are good")
}

/// A good leaf for these names, as servers take it.
#[must_use]
pub fn certified_for(key_type: KeyType, names: &[&str]) -> CertifiedKey {
    certified(&authority().leaf(key_type, names))
}

/// A server with a P-256 leaf for [`NAME`].
pub fn server() -> ServerConfigBuilder {
    static CERTIFIED: OnceLock<CertifiedKey> = OnceLock::new();
    let certified = CERTIFIED.get_or_init(|| certified(&identity(KeyType::P256)));
    ServerConfig::builder().certificate(certified.clone())
}

/// A server that presents this leaf of [`authority`].
pub fn server_with(leaf: &Leaf) -> ServerConfigBuilder {
    ServerConfig::builder().certificate(certified(&authority().issue(leaf)))
}

/// A client that trusts [`authority`].
pub fn client() -> ClientConfigBuilder {
    ClientConfig::builder().roots(roots())
}

/// A server's name or address.
#[must_use]
pub fn name(name: &str) -> ServerName<'static> {
    ServerName::try_from(name).expect("a good name").to_owned()
}

type Mutation<'a> = Box<dyn FnMut(Side, usize, &mut Vec<u8>) + 'a>;

/// Two drivers and the wire between them.
pub struct Pair<'a> {
    client: Driver,
    server: Driver,
    chunk: usize,
    mutation: Option<Mutation<'a>>,
}

impl<'a> Pair<'a> {
    /// A client that asks for [`NAME`], and a server.
    #[must_use]
    pub fn new(client: &ClientConfig, server: &ServerConfig) -> Self {
        Self::of(Driver::client(client, name(NAME)), Driver::server(server))
    }

    /// The same for another name.
    #[must_use]
    pub fn for_name(client: &ClientConfig, server: &ServerConfig, wanted: &str) -> Self {
        Self::of(Driver::client(client, name(wanted)), Driver::server(server))
    }

    /// With what hooks are told of the connection on each side.
    #[must_use]
    pub fn with_contexts(
        client: (&ClientConfig, ConnectionContext),
        server: (&ServerConfig, ConnectionContext),
    ) -> Self {
        Self::of(
            Driver::client_with(client.0, name(NAME), client.1),
            Driver::server_with(server.0, server.1),
        )
    }

    /// Of these two.
    #[must_use]
    pub fn of(client: Driver, server: Driver) -> Self {
        Self {
            client,
            server,
            chunk: usize::MAX,
            mutation: None,
        }
    }

    /// Delivers so many bytes at a time.
    #[must_use]
    pub fn in_chunks_of(mut self, chunk: usize) -> Self {
        self.chunk = chunk;
        self
    }

    /// Shows each flight (its sender, its number counted from 0 per sender) before it is delivered, to be changed.
    #[must_use]
    pub fn mutated(mut self, mutation: impl FnMut(Side, usize, &mut Vec<u8>) + 'a) -> Self {
        self.mutation = Some(Box::new(mutation));
        self
    }

    /// Drives both until neither moves any more.
    #[must_use]
    pub fn run(mut self) -> Outcome {
        let (mut client, mut server) = (End::Waiting, End::Waiting);
        let mut flights: Vec<Flight> = Vec::new();
        let mut idle = 0;
        while idle < IDLE_ROUNDS {
            step(&mut self.client, &mut client);
            step(&mut self.server, &mut server);
            let mut moved = false;
            for sender in [Side::Client, Side::Server] {
                let (from, to, end) = match sender {
                    Side::Client => (&mut self.client, &mut self.server, &mut server),
                    Side::Server => (&mut self.server, &mut self.client, &mut client),
                };
                let sent = from.transmit();
                if sent.is_empty() {
                    continue;
                }
                moved = true;
                let mut delivered = sent.clone();
                if let Some(mutation) = &mut self.mutation {
                    let number = flights.iter().filter(|flight| flight.sender == sender).count();
                    mutation(sender, number, &mut delivered);
                }
                for piece in delivered.chunks(self.chunk.min(delivered.len()).max(1)) {
                    to.receive(piece);
                    step(to, end);
                }
                flights.push(Flight { sender, bytes: sent });
            }
            idle = if moved { 0 } else { idle + 1 };
        }
        Outcome {
            client: client.finish(self.client),
            server: server.finish(self.server),
            flights,
            chunk: self.chunk,
        }
    }
}

/// What one side sent in one go, as sent (before any change).
#[derive(Clone, Debug)]
pub struct Flight {
    /// Who sent it.
    pub sender: Side,
    /// The bytes.
    pub bytes: Vec<u8>,
}

enum End {
    Waiting,
    Done,
    Failed(Error),
}

impl End {
    fn finish(self, driver: Driver) -> Became {
        match self {
            Self::Waiting => Became::Waiting(driver),
            Self::Done => Became::Done(Box::new(driver.into_connection().expect("it is done"))),
            Self::Failed(error) => Became::Failed(error),
        }
    }
}

fn step(driver: &mut Driver, end: &mut End) {
    if matches!(end, End::Waiting) {
        *end = match driver.advance() {
            Ok(Progress::Done) => End::Done,
            Ok(_) => End::Waiting,
            Err(error) => End::Failed(error),
        };
    }
}

/// What became of one side.
pub enum Became {
    /// It would go on if something came.
    Waiting(Driver),
    /// It is established.
    Done(Box<Connection>),
    /// It gave up.
    Failed(Error),
}

impl fmt::Debug for Became {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Waiting(_) => f.write_str("waiting"),
            Self::Done(_) => f.write_str("done"),
            Self::Failed(error) => write!(f, "failed: {error}"),
        }
    }
}

/// What became of a handshake.
#[derive(Debug)]
pub struct Outcome {
    /// The client.
    pub client: Became,
    /// The server.
    pub server: Became,
    /// All that was sent.
    pub flights: Vec<Flight>,
    chunk: usize,
}

impl Outcome {
    /// Both connections.
    ///
    /// # Panics
    /// If not both are established.
    #[must_use]
    pub fn established(self) -> Ends {
        match (self.client, self.server) {
            (Became::Done(client), Became::Done(server)) => Ends {
                client: *client,
                server: *server,
                chunk: self.chunk,
            },
            (client, server) => panic!("client {client:?}, server {server:?}"),
        }
    }

    /// The error of the side that refused the other, which must have learned of it by this alert.
    ///
    /// # Panics
    /// If it was otherwise.
    #[must_use]
    pub fn refused_by(self, side: Side, alert: AlertDescription) -> Error {
        let (refuser, other) = match side {
            Side::Client => (self.client, self.server),
            Side::Server => (self.server, self.client),
        };
        let Became::Failed(error) = refuser else {
            panic!("the {side:?} did not refuse: {refuser:?}, the other: {other:?}")
        };
        assert_eq!(error.alert(), Some(alert), "{error}");
        assert_eq!(error.side(), Some(side), "{error}");
        let received = match other {
            Became::Failed(received) => received,
            Became::Done(mut connection) => connection
                .reader
                .process()
                .expect_err("an alert is waiting to be read"),
            Became::Waiting(_) => panic!("the other did not learn of it: {error}"),
        };
        assert!(
            matches!(received.kind(), ErrorKind::AlertReceived(got) if *got == alert),
            "{received}, after {error}"
        );
        error
    }
}

/// Two established connections.
pub struct Ends {
    /// The client's.
    pub client: Connection,
    /// The server's.
    pub server: Connection,
    chunk: usize,
}

impl Ends {
    /// Other chunks from here on.
    #[must_use]
    pub fn in_chunks_of(mut self, chunk: usize) -> Self {
        self.chunk = chunk;
        self
    }

    /// Sends data one way, and checks that it arrives as it was sent.
    ///
    /// # Panics
    /// If it does not.
    pub fn send(&mut self, sender: Side, data: &[u8]) {
        let (from, to) = match sender {
            Side::Client => (&mut self.client, &mut self.server),
            Side::Server => (&mut self.server, &mut self.client),
        };
        let mut received = Vec::new();
        let mut rest = data;
        while !rest.is_empty() || !from.writer.pending().is_empty() {
            let taken = from.writer.write(rest).expect("data can be written");
            rest = &rest[taken..];
            let event = transfer(from, to, self.chunk, &mut received).expect("data can be read");
            assert_eq!(event, ReadEvent::NeedMore);
        }
        assert_eq!(received.len(), data.len());
        assert!(received == data, "the data changed on its way");
    }

    /// Moves what is pending each way, without expecting data.
    ///
    /// # Panics
    /// If either side cannot read it, or data comes.
    pub fn settle(&mut self) {
        let (mut from, mut to) = (&mut self.client, &mut self.server);
        for _ in 0..4 {
            from.writer.apply_control().expect("control can be applied");
            let mut data = Vec::new();
            transfer(from, to, self.chunk, &mut data).expect("it can be read");
            assert!(data.is_empty());
            std::mem::swap(&mut from, &mut to);
        }
    }

    /// Closes both ways; each must see the other's close_notify. The server's comes by itself in TLS 1.2, and only
    /// there (RFC 5246 7.2.1).
    ///
    /// # Panics
    /// If it does not.
    pub fn close(mut self) {
        let is_tls12 = self.client.negotiated().version() == ProtocolVersion::TLS12;
        self.client.writer.close_notify().expect("it can be closed");
        for closed_before in [true, is_tls12] {
            self.client
                .writer
                .apply_control()
                .expect("control can be applied");
            assert_eq!(self.client.writer.is_closed(), closed_before);
            self.client.writer.close_notify().expect("it can be closed");
            let event = transfer(&mut self.client, &mut self.server, self.chunk, &mut Vec::new());
            assert_eq!(event.expect("close_notify can be read"), ReadEvent::Closed);
            std::mem::swap(&mut self.client, &mut self.server);
        }
    }

    /// Checks that both sides agree: what was negotiated, what is exported, and that data flows both ways.
    ///
    /// # Panics
    /// If they do not.
    pub fn check(&mut self, data: &[u8]) {
        self.check_agreement();
        self.send(Side::Client, data);
        self.send(Side::Server, data);
    }

    /// As [`check_agreement`].
    ///
    /// # Panics
    /// If they do not agree.
    pub fn check_agreement(&self) {
        check_agreement(&self.client, &self.server);
    }
}

/// Checks that both sides say the same of what was negotiated, and export the same.
///
/// # Panics
/// If they do not.
pub fn check_agreement(of_client: &Connection, of_server: &Connection) {
    let (client, server) = (of_client.negotiated(), of_server.negotiated());
    assert_eq!(client.version(), server.version());
    assert_eq!(client.cipher_suite(), server.cipher_suite());
    assert_eq!(client.group(), server.group());
    assert_eq!(client.signature_scheme(), server.signature_scheme());
    assert_eq!(client.peer_signature_scheme(), client.signature_scheme());
    let client_signed = !server.is_resumed() && server.peer_chain().is_some();
    assert_eq!(server.peer_signature_scheme().is_some(), client_signed);
    assert_eq!(client.alpn(), server.alpn());
    assert_eq!(client.server_name(), server.server_name());
    assert_eq!(client.had_hello_retry_request(), server.had_hello_retry_request());
    let export = |connection: &Connection, label: &[u8], context| {
        let mut out = [0; 42];
        connection
            .export_keying_material(&mut out, label, context)
            .expect("it can be exported");
        out
    };
    let label = b"EXPORTER-test";
    let exported = export(of_client, label, Some(b"context"));
    assert_eq!(exported, export(of_server, label, Some(b"context")));
    assert_ne!(exported, export(of_server, label, None));
    let [absent, empty] = [None, Some(&b""[..])].map(|context| {
        let exported = export(of_client, label, context);
        assert_eq!(exported, export(of_server, label, context));
        exported
    });
    // RFC 5705 4, and section 7.5 of TLS 1.3.
    assert_eq!(absent == empty, client.version() == ProtocolVersion::TLS13);
    assert_ne!(exported, export(of_client, b"EXPORTER-other", Some(b"context")));
}

/// Moves what `from` has pending, in chunks, and collects the data that comes out.
///
/// # Errors
/// What reading gives.
pub fn transfer(
    from: &mut Connection,
    to: &mut Connection,
    chunk: usize,
    data: &mut Vec<u8>,
) -> Result<ReadEvent, Error> {
    let bytes = from.writer.pending().to_vec();
    from.writer.sent(bytes.len());
    deliver(to, &bytes, chunk, data)
}

/// Gives these bytes to a connection, in chunks, and collects the data that comes out.
///
/// # Errors
/// What reading gives.
pub fn deliver(
    to: &mut Connection,
    bytes: &[u8],
    chunk: usize,
    data: &mut Vec<u8>,
) -> Result<ReadEvent, Error> {
    let mut rest = bytes;
    loop {
        let event = loop {
            let event = to.reader.process()?;
            if event != ReadEvent::Data {
                break event;
            }
            data.extend_from_slice(to.reader.data());
            to.reader.consume(to.reader.data().len());
        };
        if rest.is_empty() {
            return Ok(event);
        }
        let space = to.reader.space();
        let n = rest.len().min(space.len()).min(chunk);
        space[..n].copy_from_slice(&rest[..n]);
        to.reader.filled(n);
        rest = &rest[n..];
    }
}
