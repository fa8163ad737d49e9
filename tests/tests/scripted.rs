//! Handshakes on transports that misbehave at every point: whatever happens, the handshake ends, its error says
//! where, and the transport is given back, or dropped with the future.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::large_futures,
    reason = "tests"
)]

use std::io::ErrorKind as Io;
use std::sync::Arc;
use std::time::Duration;

use tls_core::{ErrorKind, Phase, ProtocolVersion};
use tls_tests::both_versions;
use tls_tests::script::{Script, ScriptedIo, Tape, poll_times};
use tls_tests::sides::{Role, records, scripted};
use tls_tokio::{Error, HandshakeFailure, TlsStream};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::{Instant, timeout};

both_versions!(
    async a_handshake_succeeds_however_reads_and_writes_are_cut_and_delayed,
    any_single_read_or_write_may_be_pending,
    a_handshake_works_through_a_transport_of_one_byte,
    an_eof_at_any_byte_ends_the_handshake_and_names_what_was_awaited,
    a_read_error_at_any_byte_is_returned_with_what_was_awaited,
    a_write_error_at_any_byte_is_returned_and_says_that_it_was_one_of_writing,
    a_handshake_dropped_at_any_await_drops_its_transport_and_writes_no_more,
);

const LIMIT: Option<Duration> = Some(Duration::from_secs(10));

type Side<IO> = Result<TlsStream<IO>, HandshakeFailure<IO>>;
type Scripted = ScriptedIo<DuplexStream>;

/// One handshake with the script at this side; the other side is free of faults.
async fn both(role: Role, script: Script) -> (Side<Scripted>, Arc<Tape>, Side<DuplexStream>) {
    let (io, peer) = scripted(script);
    let tape = io.tape();
    let (subject, other) = tokio::join!(role.handshake(io, LIMIT), role.other().handshake(peer, LIMIT));
    (subject, tape, other)
}

/// The same where nothing is asked of the other side: it ends with the transport.
async fn one(role: Role, script: Script) -> (Side<Scripted>, Arc<Tape>) {
    let (io, peer) = scripted(script);
    let tape = io.tape();
    let other = tokio::spawn(async move { drop(role.other().handshake(peer, LIMIT).await) });
    let subject = role.handshake(io, LIMIT).await;
    other.abort();
    (subject, tape)
}

/// The bytes that a handshake without faults reads and writes on this side.
async fn wire(role: Role) -> (Vec<u8>, Vec<u8>) {
    let (subject, tape, _) = both(role, Script::new()).await;
    // Not dropped yet: that would be more to write.
    let _established = subject.unwrap();
    (tape.read(), tape.written())
}

/// The failure with the transport it must carry.
fn failed(subject: Side<Scripted>, what: &str) -> (tls_core::Error, Scripted) {
    match subject
        .err()
        .unwrap_or_else(|| panic!("{what}: no error"))
        .into_parts()
    {
        (Error::Tls(error), io) => (error, io),
        (other, _) => panic!("{what}: {other}"),
    }
}

async fn echo<A, B>(a: &mut TlsStream<A>, b: &mut TlsStream<B>)
where
    A: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    B: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let mut got = [0; 5];
    a.write_all(b"there").await.unwrap();
    a.flush().await.unwrap();
    b.read_exact(&mut got).await.unwrap();
    b.write_all(&got).await.unwrap();
    b.flush().await.unwrap();
    a.read_exact(&mut got).await.unwrap();
    assert_eq!(&got, b"there");
}

async fn a_handshake_succeeds_however_reads_and_writes_are_cut_and_delayed(version: ProtocolVersion) {
    let mut scripts = Vec::new();
    for chunk in [1, 2, 3, 7, 64] {
        scripts.push(Script::new().read_chunk(chunk));
        scripts.push(Script::new().write_chunk(chunk));
        scripts.push(
            Script::new()
                .pending_every(1)
                .read_chunk(chunk)
                .write_chunk(chunk),
        );
        scripts.push(
            Script::new()
                .pending_every(3)
                .read_chunk(chunk)
                .write_chunk(chunk),
        );
    }
    scripts.extend((0..20).map(Script::seeded));
    for script in scripts {
        for role in Role::both(version) {
            let (subject, _, other) = both(role, script.clone()).await;
            let what = format!("{role:?} {script:?}");
            let mut subject = subject.unwrap_or_else(|failure| panic!("{what}: {failure}"));
            let mut other = other.unwrap_or_else(|failure| panic!("{what}, other side: {failure}"));
            echo(&mut subject, &mut other).await;
            echo(&mut other, &mut subject).await;
        }
    }
}

async fn any_single_read_or_write_may_be_pending(version: ProtocolVersion) {
    for role in Role::both(version) {
        let (read, written) = wire(role).await;
        // In chunks, so that there are many calls.
        let calls = |bytes: usize| (bytes / 40 + 2) as u64;
        let chunked = || Script::new().read_chunk(40).write_chunk(40);
        let reads = (0..calls(read.len())).map(|call| chunked().pending_at_read(call));
        let writes = (0..calls(written.len())).map(|call| chunked().pending_at_write(call));
        for script in reads.chain(writes) {
            let (subject, tape, other) = both(role, script).await;
            let _established = (subject.unwrap(), other.unwrap());
            assert_eq!(
                (tape.read().len(), tape.written().len()),
                (read.len(), written.len())
            );
        }
    }
}

async fn a_handshake_works_through_a_transport_of_one_byte(version: ProtocolVersion) {
    let (a, b) = duplex(1);
    let (client, server) = tokio::join!(
        Role::client(version).handshake(a, LIMIT),
        Role::server(version).handshake(b, LIMIT)
    );
    let (mut client, mut server) = (client.unwrap(), server.unwrap());
    let talk = async {
        let mut got = [0; 5];
        server.read_exact(&mut got).await.unwrap();
        server.write_all(&got).await.unwrap();
        server.shutdown().await.unwrap();
    };
    let asked = async {
        client.write_all(b"there").await.unwrap();
        let mut got = Vec::new();
        client.read_to_end(&mut got).await.unwrap();
        got
    };
    assert_eq!(tokio::join!(talk, asked).1, b"there");
}

async fn an_eof_at_any_byte_ends_the_handshake_and_names_what_was_awaited(version: ProtocolVersion) {
    for role in Role::both(version) {
        let (read, _) = wire(role).await;
        for bytes in 0..read.len() {
            let what = format!("{role:?}, EOF after {bytes} bytes");
            let started = Instant::now();
            let (subject, tape) = one(role, Script::new().eof_after(bytes as u64)).await;
            let (error, io) = failed(subject, &what);
            assert!(matches!(error.kind(), ErrorKind::Truncated), "{what}: {error}");
            assert_eq!(
                error.phase(),
                Some(Phase::Reading(role.awaits(&read, bytes))),
                "{what}: {error}"
            );
            assert_eq!(started.elapsed(), Duration::ZERO, "{what}");
            assert!(tape.counts().is_shut_down(), "{what}");
            assert!(!tape.counts().is_dropped(), "{what}");
            drop(io);
            assert!(tape.counts().is_dropped(), "{what}");
        }
    }
}

async fn a_read_error_at_any_byte_is_returned_with_what_was_awaited(version: ProtocolVersion) {
    for role in Role::both(version) {
        let (read, _) = wire(role).await;
        for bytes in 0..read.len() {
            let what = format!("{role:?}, error after {bytes} bytes");
            let script = Script::new().read_error_after(bytes as u64, Io::ConnectionReset);
            let (error, _io) = failed(one(role, script).await.0, &what);
            assert!(
                matches!(error.kind(), ErrorKind::Link(error) if error.kind() == Io::ConnectionReset),
                "{what}: {error}"
            );
            assert_eq!(
                error.phase(),
                Some(Phase::Reading(role.awaits(&read, bytes))),
                "{what}: {error}"
            );
        }
    }
}

async fn a_write_error_at_any_byte_is_returned_and_says_that_it_was_one_of_writing(version: ProtocolVersion) {
    for role in Role::both(version) {
        let (_, written) = wire(role).await;
        for bytes in 0..written.len() {
            let what = format!("{role:?}, error after {bytes} bytes written");
            let script = Script::new().write_error_after(bytes as u64, Io::BrokenPipe);
            let (subject, tape) = one(role, script).await;
            let (error, _io) = failed(subject, &what);
            assert!(
                matches!(error.kind(), ErrorKind::Link(error) if error.kind() == Io::BrokenPipe),
                "{what}: {error}"
            );
            assert_eq!(error.phase(), Some(Phase::Writing), "{what}");
            assert_eq!(tape.written().len(), bytes, "{what}");
            assert!(tape.counts().is_shut_down(), "{what}");
        }
    }
}

async fn a_handshake_dropped_at_any_await_drops_its_transport_and_writes_no_more(version: ProtocolVersion) {
    for role in Role::both(version) {
        let (_, clean) = wire(role).await;
        let mut polls = 0;
        loop {
            let (io, peer) = scripted(Script::new().pending_every(1).read_chunk(20).write_chunk(20));
            let tape = io.tape();
            let other = tokio::spawn(role.other().handshake(peer, LIMIT));
            let done = poll_times(role.handshake(io, LIMIT), polls).await;
            if let Some(subject) = done {
                subject.unwrap();
                break;
            }
            assert!(tape.counts().is_dropped(), "{role:?} dropped after {polls} polls");
            assert!(
                !tape.counts().is_shut_down(),
                "{role:?} dropped after {polls} polls"
            );
            assert!(tape.written().len() <= clean.len());
            // No alert, nor anything else that is not of a handshake without faults.
            assert!(
                same_kinds(&tape.written(), &clean),
                "{role:?} dropped after {polls} polls wrote something else"
            );
            // The other side sees the end of the transport, or had finished.
            let ended = timeout(Duration::from_secs(11), other)
                .await
                .expect("the other side ends")
                .unwrap();
            if let Err(failure) = ended {
                assert!(
                    matches!(failure.error(), Error::Tls(_)),
                    "{role:?} after {polls} polls: {failure}"
                );
            }
            polls += 1;
        }
        assert!(polls > 40, "{role:?}: dropped at {polls} places only");
    }
}

/// Whether these bytes begin with the same record headers as those, as far as they go.
fn same_kinds(bytes: &[u8], clean: &[u8]) -> bool {
    let mut at = 0;
    records(clean).iter().all(|record| {
        let same = bytes.get(at).is_none_or(|kind| *kind == record.content_type);
        at += 5 + record.length;
        same
    })
}
