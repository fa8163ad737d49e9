//! Early data (0-RTT) and 0.5-RTT data between our own two sides.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::large_futures,
    reason = "tests"
)]

mod forged;
mod limits;
mod memory;
mod replay;
mod stream;
mod transports;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use rustls_pki_types::UnixTime;
use tls_core::{
    ClientConfig, ClientConfigBuilder, Connection, ConnectionContext, Driver, EarlyConnection, EarlyData,
    Error, MemoryReplayGuard, Progress, ReadEvent, ServerConfig, ServerConfigBuilder,
};
use tls_tests::pair::{self, NAME, Pair, name};
use tls_tokio::MemorySessionCache;

/// Bytes of early data that [`server`] allows.
const LIMIT: u32 = 1000;

/// A clock that tests set, in milliseconds.
#[derive(Clone, Debug)]
struct Time(Arc<AtomicU64>);

impl Time {
    fn now() -> Self {
        let now = UnixTime::now().as_secs();
        Self(Arc::new(AtomicU64::new(now)))
    }

    fn clock(&self) -> impl Fn() -> UnixTime + Send + Sync + 'static {
        let time = Arc::clone(&self.0);
        move || UnixTime::since_unix_epoch(Duration::from_secs(time.load(Relaxed)))
    }

    fn pass(&self, seconds: u64) {
        self.0.fetch_add(seconds, Relaxed);
    }
}

/// A client that keeps its sessions.
fn client() -> ClientConfigBuilder {
    pair::client().session_cache(Arc::new(MemorySessionCache::default()))
}

/// A server whose tickets allow early data.
fn server() -> ServerConfigBuilder {
    let guard = Arc::new(MemoryReplayGuard::default().with_new_keys());
    pair::server().max_early_data(LIMIT).replay_guard(guard)
}

/// Makes a first connection, so that the client has sessions.
fn meet(client: &ClientConfig, server: &ServerConfig) {
    let mut ends = Pair::new(client, server).run().established();
    keep_sessions(client, &mut ends.client);
}

/// Puts the sessions that came into the client's cache, as a stream does.
fn keep_sessions(client: &ClientConfig, connection: &mut Connection) {
    assert_eq!(connection.reader.process().unwrap(), ReadEvent::NeedMore);
    let (cache, key) = (client.sessions().unwrap(), client.session_key(&name(NAME)));
    while let Some(session) = connection.reader.take_session() {
        match cache.put(&key, session, &ConnectionContext::new()) {
            tls_core::Answer::Now(put) => put.unwrap(),
            tls_core::Answer::Later(_) => panic!("it is in memory"),
        }
    }
}

/// A client that has sent this, and the flight it did that with.
fn early_client(client: &ClientConfig, data: &[u8]) -> (Driver, Vec<u8>) {
    let mut driver = Driver::client_early(client, name(NAME), data.to_vec(), ConnectionContext::new());
    assert_eq!(driver.advance().unwrap(), Progress::Waiting);
    let flight = driver.transmit();
    (driver, flight)
}

/// A server that takes early data, and has received this flight.
fn early_server(server: &ServerConfig, flight: &[u8]) -> Driver {
    let mut driver = Driver::server_early(server, ConnectionContext::new());
    driver.receive(flight);
    assert_eq!(driver.advance().unwrap(), Progress::Early);
    driver
}

/// Reads early data as far as it has come.
fn read(early: &mut EarlyConnection) -> Result<(Vec<u8>, ReadEvent), Error> {
    let mut data = Vec::new();
    loop {
        match early.process()? {
            ReadEvent::Data => {
                data.extend_from_slice(early.data());
                early.consume(early.data().len());
            }
            event => return Ok((data, event)),
        }
    }
}

/// What the server makes of early data: whether it accepts it.
fn is_accepted(server: &mut Driver) -> bool {
    match server.early().unwrap().negotiated().early_data() {
        EarlyData::Accepted => true,
        EarlyData::Rejected => false,
        other => panic!("{other:?}"),
    }
}

/// Lets both go on to the end; the server does not wait for its caller.
fn finish(mut client: Driver, mut server: Driver) -> (Connection, Connection) {
    server.resume();
    for _ in 0..8 {
        server.advance().unwrap();
        client.receive(&server.transmit());
        client.advance().unwrap();
        server.receive(&client.transmit());
    }
    (
        client.into_connection().unwrap(),
        server.into_connection().unwrap(),
    )
}

/// All data that has come.
fn received(connection: &mut Connection) -> Vec<u8> {
    let mut data = vec![0; 100_000];
    let length = connection.reader.read_into(&mut data);
    data.truncate(length);
    data
}

/// What is written at one end is read at the other, both ways, and both say the same of the early data.
fn check(client: &mut Connection, server: &mut Connection) {
    let one_way = |from: &mut Connection, to: &mut Connection| {
        assert_eq!(from.writer.write(b"after").unwrap(), 5);
        let mut data = Vec::new();
        pair::transfer(from, to, usize::MAX, &mut data).unwrap();
        assert_eq!(data, b"after");
    };
    one_way(client, server);
    one_way(server, client);
    assert_eq!(client.negotiated().early_data(), server.negotiated().early_data());
}
