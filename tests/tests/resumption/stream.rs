//! Sessions of streams: when they get into the cache, and what a deadline says about hooks.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tls_core::{ClientConfig, Phase, ServerConfig, Side};
use tls_tests::pair::{self, NAME, name};
use tls_tests::script::{Script, ScriptedIo};
use tls_tokio::{Error, HandshakeFailure, MemorySessionCache, TlsAcceptor, TlsConnector, TlsStream};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::{Instant, timeout};

use crate::hooks::{Keys, Store};
use crate::{Bag, How, client, server};

type Stream = TlsStream<DuplexStream>;
type Failure = HandshakeFailure<DuplexStream>;

/// A handshake over this much room each way, with this limit.
async fn handshake(
    client: &ClientConfig,
    server: &ServerConfig,
    room: usize,
    limit: Duration,
) -> (Result<Stream, Failure>, Result<Stream, Failure>) {
    let (ours, theirs) = duplex(room);
    let connector = TlsConnector::new(client.clone()).handshake_timeout(Some(limit));
    let acceptor = TlsAcceptor::new(server.clone()).handshake_timeout(Some(limit));
    tokio::join!(connector.connect(name(NAME), ours), acceptor.accept(theirs))
}

async fn established(client: &ClientConfig, server: &ServerConfig) -> (Stream, Stream) {
    let (client, server) = handshake(client, server, 1 << 16, Duration::from_secs(10)).await;
    (client.unwrap(), server.unwrap())
}

/// A greeting of the server, which comes behind its tickets.
async fn greet(client: &mut (impl AsyncReadExt + Unpin), server: &mut (impl AsyncWriteExt + Unpin)) {
    server.write_all(b"hello").await.unwrap();
    let mut hello = [0; 5];
    client.read_exact(&mut hello).await.unwrap();
    assert_eq!(&hello, b"hello");
}

#[tokio::test]
async fn what_a_stream_reads_gets_into_the_cache_and_an_ambiguous_close_changes_nothing() {
    let (bag, server) = (Bag::new(), server());
    let client = client(&bag);
    for round in 0..3 {
        let (mut ours, mut theirs) = established(&client, &server).await;
        assert_eq!(ours.info().is_resumed(), round > 0);
        greet(&mut ours, &mut theirs).await;
        assert_eq!(bag.len(), 2 + round);
        drop(theirs);
        let error = ours.read_u8().await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof);
        assert_eq!(bag.len(), 2 + round);
    }
    assert_eq!(bag.removals.load(Relaxed), 0);
}

#[tokio::test]
async fn tickets_that_come_just_before_the_end_are_kept() {
    let (bag, server) = (Bag::new(), server());
    let client = client(&bag);
    let (mut ours, theirs) = established(&client, &server).await;
    drop(theirs);
    ours.read_u8().await.unwrap_err();
    assert_eq!(bag.len(), 2);

    let (mut ours, mut theirs) = established(&client, &server).await;
    assert!(ours.info().is_resumed());
    let limit = Duration::from_secs(5);
    tokio::join!(ours.graceful_shutdown(limit), theirs.graceful_shutdown(limit));
    assert_eq!(bag.len(), 3);
}

#[tokio::test]
async fn the_read_half_keeps_sessions() {
    let (bag, server) = (Bag::new(), server());
    let client = client(&bag);
    let (ours, mut theirs) = established(&client, &server).await;
    let (mut read, _write) = ours.into_split();
    greet(&mut read, &mut theirs).await;
    assert_eq!(bag.len(), 2);
    let (ours, _theirs) = established(&client, &server).await;
    assert!(ours.info().is_resumed());
}

#[tokio::test]
async fn a_session_that_takes_time_to_be_put_away_is_put_away_by_later_reads() {
    for splits in [false, true] {
        let (bag, server) = (Bag::answering(How::Later), server());
        let client = client(&bag);
        let (mut ours, mut theirs) = established(&client, &server).await;
        if splits {
            let (mut read, _write) = ours.into_split();
            for _ in 0..4 {
                greet(&mut read, &mut theirs).await;
            }
        } else {
            for _ in 0..4 {
                greet(&mut ours, &mut theirs).await;
            }
        }
        assert_eq!(bag.len(), 2);
    }
    // One that never has done with it holds nothing up, and is dropped with the stream.
    let (bag, server) = (Bag::new(), server());
    let client = client(&bag);
    let (mut ours, mut theirs) = established(&client, &server).await;
    bag.answering.set(How::Never);
    for _ in 0..4 {
        greet(&mut ours, &mut theirs).await;
    }
    assert!(!bag.answering.dropped.load(Relaxed));
    drop(ours);
    assert!(bag.answering.dropped.load(Relaxed));
    assert_eq!(bag.len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_64_tasks_with_one_cache_no_two_use_the_same_ticket() {
    let cache = Arc::new(MemorySessionCache::new(16));
    let client = pair::client().session_cache(cache.clone()).build().unwrap();
    let store = Store::new();
    let server = pair::server().session_store(store.clone()).build().unwrap();
    let connect = |client: ClientConfig, server: ServerConfig| async move {
        let (ours, theirs) = duplex(1 << 16);
        let (first_flight, to_server) = tapped(ours);
        let (connector, acceptor) = (TlsConnector::new(client), TlsAcceptor::new(server));
        let (ours, theirs) = tokio::join!(connector.connect(name(NAME), to_server), acceptor.accept(theirs));
        let (mut ours, mut theirs) = (ours.unwrap(), theirs.unwrap());
        greet(&mut ours, &mut theirs).await;
        (ours.info().is_resumed(), first_flight())
    };
    for _ in 0..4 {
        connect(client.clone(), server.clone()).await;
    }
    let tasks: Vec<_> = (0..64)
        .map(|_| tokio::spawn(connect(client.clone(), server.clone())))
        .collect();
    let (mut resumed, mut tickets) = (0, Vec::new());
    for task in tasks {
        let (is_resumed, hello) = task.await.unwrap();
        resumed += usize::from(is_resumed);
        let hello = tls_tests::hello::Hello::parse(&hello);
        if crate::offers_psk(&hello) {
            tickets.push(crate::identity(&hello));
        }
    }
    // The store gives each session out once, so that a ticket that was used twice would be refused once.
    assert_eq!(resumed, tickets.len());
    assert!(resumed > 4, "{resumed} were resumed");
    let different: HashSet<_> = tickets.iter().collect();
    assert_eq!(different.len(), tickets.len());
}

/// A transport, and what its owner has written first.
fn tapped(io: DuplexStream) -> (impl Fn() -> Vec<u8>, ScriptedIo<DuplexStream>) {
    let io = ScriptedIo::new(io, Script::new());
    let tape = io.tape();
    let first_record = move || {
        let written = tape.written();
        let end = 5 + usize::from(u16::from_be_bytes([written[3], written[4]]));
        written[..end].to_vec()
    };
    (first_record, io)
}

fn phase(result: Result<Stream, Failure>) -> (Phase, Side) {
    match result.expect_err("it cannot finish").into_parts().0 {
        Error::Timeout(timed_out) => (timed_out.phase, timed_out.side),
        other => panic!("{other}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_never_answers_ends_at_the_deadline_which_names_it() {
    let limit = Duration::from_secs(7);
    let (store, bag) = (Store::new(), Bag::new());
    let server = pair::server().session_store(store.clone()).build().unwrap();
    let client = client(&bag);
    let (mut ours, mut theirs) = established(&client, &server).await;
    greet(&mut ours, &mut theirs).await;
    store.answering.set(How::Never);
    let started = Instant::now();
    let (_, refused) = handshake(&client, &server, 1 << 16, limit).await;
    assert_eq!(phase(refused), (Phase::Hook("ServerSessionStore"), Side::Server));
    assert_eq!(started.elapsed().as_secs(), 7);
    assert!(store.answering.dropped.load(Relaxed));

    let keys = Keys::new();
    keys.answering.set(How::Never);
    let server = pair::server().ticket_keys(keys.clone()).build().unwrap();
    let (_, refused) = handshake(&client, &server, 1 << 16, limit).await;
    assert_eq!(phase(refused), (Phase::Hook("TicketKeys"), Side::Server));
    assert!(keys.answering.dropped.load(Relaxed));

    bag.answering.set(How::Never);
    let (refused, _) = handshake(&client, &server, 1 << 16, limit).await;
    assert_eq!(phase(refused), (Phase::Hook("ClientSessionCache"), Side::Client));
    assert!(bag.answering.dropped.load(Relaxed));
}

#[tokio::test(start_paused = true)]
async fn tickets_that_the_client_does_not_read_hold_nobody_up() {
    let bag = Bag::new();
    let client = client(&bag);
    let server = pair::server().tickets(255).build().unwrap();
    let limit = Duration::from_secs(7);
    let (ours, theirs) = handshake(&client, &server, 128, limit).await;
    let (mut ours, mut theirs) = (ours.unwrap(), theirs.unwrap());
    // The client writes before it reads, more than there is room for.
    let data = [7; 5000];
    let mut got = [0; 5000];
    let write = async {
        ours.write_all(&data).await?;
        ours.flush().await
    };
    let both = async { tokio::join!(write, theirs.read_exact(&mut got)) };
    let (written, read) = timeout(limit, both).await.expect("no deadlock");
    written.unwrap();
    read.unwrap();
    assert_eq!(got, data);
    timeout(limit, greet_slowly(&mut ours, &mut theirs))
        .await
        .expect("no deadlock");
    assert!(bag.len() >= 8);
}

async fn greet_slowly(ours: &mut Stream, theirs: &mut Stream) {
    let mut hello = [0; 5];
    let (written, read) = tokio::join!(
        async {
            theirs.write_all(b"hello").await?;
            theirs.flush().await
        },
        ours.read_exact(&mut hello)
    );
    written.unwrap();
    read.unwrap();
}

#[tokio::test]
async fn a_client_that_is_gone_before_its_tickets_has_still_been_heard() {
    let bag = Bag::new();
    let client = client(&bag);
    let (ours, theirs) = duplex(1 << 16);
    let says_goodbye = async {
        let mut ours = TlsConnector::new(client).connect(name(NAME), ours).await.unwrap();
        ours.write_all(b"goodbye").await.unwrap();
        ours.shutdown().await.unwrap();
        drop(ours);
    };
    let server = pair::server().ticket_keys(slow_keys()).build().unwrap();
    let accepts = async {
        let accepted = TlsAcceptor::new(server).accept(theirs).await;
        let mut goodbye = Vec::new();
        accepted.unwrap().read_to_end(&mut goodbye).await.unwrap();
        assert_eq!(goodbye, b"goodbye");
    };
    tokio::join!(says_goodbye, accepts);
}

/// Keys that the client has gone before they come.
fn slow_keys() -> Arc<Keys> {
    let keys = Keys::new();
    keys.answering.set(How::Later);
    keys
}
