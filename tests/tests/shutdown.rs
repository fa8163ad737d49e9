//! The end of a connection: close_notify once and only after a handshake, never held up by a stuck peer, and an end
//! without it is an error after all data.
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

use tls_core::ProtocolVersion;
use tls_tests::both_versions;
use tls_tests::script::{Memory, Script, ScriptedIo, Tape, poll_times};
use tls_tests::sides::{Role, WireRecord, establish, records, scripted};
use tls_tokio::{Shutdown, TlsStream};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream};
use tokio::time::{Instant, timeout};

both_versions!(
    async without_a_handshake_no_close_notify_is_sent,
    close_notify_is_sent_exactly_once_however_often_shutdown_is_called,
    a_shutdown_dropped_at_any_await_can_be_taken_up_again,
    an_end_without_close_notify_is_an_error_after_all_data_at_each_byte,
    a_stuck_peer_holds_shutdown_no_longer_than_its_limit,
    a_stuck_peer_gets_the_end_of_the_transport_though_not_close_notify,
    a_cancelled_shutdown_does_not_start_its_time_again,
    a_write_error_in_shutdown_still_shuts_the_transport_down,
    a_write_error_in_shutdown_shuts_a_slow_transport_down_too,
    a_graceful_shutdown_of_both_sides_is_clean,
    a_graceful_shutdown_says_how_the_peer_ended,
    a_graceful_shutdown_always_shuts_the_transport_down,
    a_graceful_shutdown_reads_while_it_waits_to_write,
    a_peer_that_never_stops_sending_cannot_hold_a_graceful_shutdown,
    a_graceful_shutdown_dropped_at_any_await_goes_on_where_it_was,
);

type Scripted = ScriptedIo<DuplexStream>;

const SECOND: Duration = Duration::from_secs(1);

/// A close_notify: an alert (2 bytes) and the tag of the AEAD; in TLS 1.3 its type, in TLS 1.2 the explicit nonce.
fn protected_alert(version: ProtocolVersion) -> WireRecord {
    let (content_type, length) = match version {
        ProtocolVersion::TLS13 => (23, 2 + 1 + 16),
        _ => (21, 8 + 2 + 16),
    };
    WireRecord { content_type, length }
}

/// An established connection with the script on the client's side.
async fn pair(
    version: ProtocolVersion,
    script: Script,
) -> (TlsStream<Scripted>, Arc<Tape>, TlsStream<DuplexStream>) {
    let (io, peer) = scripted(script);
    let tape = io.tape();
    let (client, server) = establish(version, io, peer).await;
    (client, tape, server)
}

/// Bytes that a client reads and writes during a handshake.
async fn handshake_bytes(version: ProtocolVersion) -> (u64, u64) {
    let (_client, tape, _server) = pair(version, Script::new()).await;
    (tape.counts().bytes_in(), tape.counts().bytes_out())
}

/// What was written after the handshake.
async fn written_after_handshake(version: ProtocolVersion, tape: &Tape) -> Vec<WireRecord> {
    let (_, before) = handshake_bytes(version).await;
    records(&tape.written()[before as usize..])
}

async fn read_all<IO: AsyncRead + AsyncWrite + Unpin>(
    tls: &mut TlsStream<IO>,
) -> (Vec<u8>, std::io::Result<usize>) {
    let mut data = Vec::new();
    let end = tls.read_to_end(&mut data).await;
    (data, end)
}

async fn without_a_handshake_no_close_notify_is_sent(version: ProtocolVersion) {
    for role in Role::both(version) {
        // Failed by time.
        let io = ScriptedIo::new(Memory::then_silent([]), Script::new());
        let tape = io.tape();
        let failure = role.handshake(io, Some(SECOND)).await.expect_err("silence");
        failure.into_io().shutdown().await.unwrap();
        let hellos = if role.is_client() { 1 } else { 0 };
        assert_eq!(records(&tape.written()).len(), hellos, "{role:?}");
        assert!(tape.counts().is_shut_down());

        // Dropped.
        let io = ScriptedIo::new(Memory::then_silent([]), Script::new());
        let tape = io.tape();
        assert!(poll_times(role.handshake(io, None), 3).await.is_none());
        assert_eq!(records(&tape.written()).len(), hellos, "{role:?}");
        assert!(tape.counts().is_dropped());
    }
}

async fn close_notify_is_sent_exactly_once_however_often_shutdown_is_called(version: ProtocolVersion) {
    let (mut client, tape, mut server) = pair(version, Script::new()).await;
    for _ in 0..5 {
        client.shutdown().await.unwrap();
    }
    assert!(tape.counts().is_shut_down());
    client.flush().await.unwrap();
    assert!(matches!(read_all(&mut server).await, (data, Ok(0)) if data.is_empty()));
    server.shutdown().await.unwrap();
    assert!(matches!(client.graceful_shutdown(SECOND).await, Shutdown::Clean));
    client.shutdown().await.unwrap();
    assert_eq!(
        written_after_handshake(version, &tape).await,
        [protected_alert(version)]
    );
}

async fn a_shutdown_dropped_at_any_await_can_be_taken_up_again(version: ProtocolVersion) {
    for polls in 0..30 {
        let (mut client, tape, mut server) =
            pair(version, Script::new().pending_every(1).write_chunk(5)).await;
        assert_eq!(client.write(b"last words").await.unwrap(), 10);
        let _ = poll_times(client.shutdown(), polls).await;
        client.shutdown().await.unwrap();
        assert_eq!(read_all(&mut server).await.0, b"last words");
        let written = written_after_handshake(version, &tape).await;
        assert_eq!(written.len(), 2, "dropped after {polls} polls");
        assert_eq!(written[1], protected_alert(version));
    }
}

#[tokio::test(start_paused = true)]
async fn reading_goes_on_after_shutdown_and_writing_does_not() {
    // In TLS 1.2 both directions end together (RFC 5246 7.2.1).
    let version = ProtocolVersion::TLS13;
    let (mut client, tape, mut server) = pair(version, Script::new()).await;
    client.write_all(b"request").await.unwrap();
    client.shutdown().await.unwrap();
    assert_eq!(client.write(b"more").await.unwrap_err().kind(), Io::BrokenPipe);
    assert_eq!(
        client
            .write_vectored(&[std::io::IoSlice::new(b"more")])
            .await
            .unwrap_err()
            .kind(),
        Io::BrokenPipe
    );
    assert_eq!(client.request_key_update().unwrap_err().kind(), Io::BrokenPipe);

    let mut request = Vec::new();
    server.read_to_end(&mut request).await.unwrap();
    assert_eq!(request, b"request");
    // A KeyUpdate between does no harm, though it can no longer be answered.
    server.write_all(b"response, part one").await.unwrap();
    server.request_key_update().unwrap();
    server.write_all(b", part two").await.unwrap();
    server.shutdown().await.unwrap();
    let (response, end) = read_all(&mut client).await;
    assert_eq!(response, b"response, part one, part two");
    end.unwrap();
    // The end stays the end.
    assert_eq!(client.read(&mut [0; 9]).await.unwrap(), 0);
    assert_eq!(written_after_handshake(version, &tape).await.len(), 2);
}

async fn an_end_without_close_notify_is_an_error_after_all_data_at_each_byte(version: ProtocolVersion) {
    const PARTS: [&[u8]; 3] = [b"one", b"and two", b"and even three"];
    let overhead = 5 + protected_alert(version).length - 2;
    let (read, _) = handshake_bytes(version).await;
    let total: usize = PARTS.iter().map(|part| part.len() + overhead).sum();
    for cut in 0..=total + 5 + protected_alert(version).length {
        let (mut client, _, mut server) = pair(version, Script::new().eof_after(read + cut as u64)).await;
        for part in PARTS {
            server.write_all(part).await.unwrap();
            server.flush().await.unwrap();
        }
        server.shutdown().await.unwrap();

        let mut expected = Vec::new();
        let mut wire = 0;
        for part in PARTS {
            wire += part.len() + overhead;
            if wire <= cut {
                expected.extend_from_slice(part);
            }
        }
        let (data, end) = read_all(&mut client).await;
        assert_eq!(data, expected, "cut after {cut} bytes");
        if cut == total + 5 + protected_alert(version).length {
            end.unwrap();
            continue;
        }
        assert_eq!(
            end.unwrap_err().kind(),
            Io::UnexpectedEof,
            "cut after {cut} bytes"
        );
        let again = client.read(&mut [0; 9]).await.unwrap_err();
        assert_eq!(again.kind(), Io::UnexpectedEof, "cut after {cut} bytes");
        // Our side was not cut: it can still say goodbye.
        client.shutdown().await.unwrap();
        assert!(matches!(
            client.graceful_shutdown(SECOND).await,
            Shutdown::Truncated
        ));
    }
}

async fn a_stuck_peer_holds_shutdown_no_longer_than_its_limit(version: ProtocolVersion) {
    let (_, written) = handshake_bytes(version).await;
    for limit in [None, Some(SECOND), Some(Duration::from_secs(60))] {
        // It takes nothing, takes half of the close_notify, or takes all but the end of the transport.
        for script in [
            Script::new().write_stall_after(written),
            Script::new().write_stall_after(written + 7),
            Script::new().stall_shutdown(),
        ] {
            let (mut client, tape, _server) = pair(version, script.clone()).await;
            if let Some(limit) = limit {
                client.set_shutdown_timeout(limit);
            }
            let expected = limit.unwrap_or(Duration::from_secs(5));
            let started = Instant::now();
            let error = client.shutdown().await.unwrap_err();
            assert_eq!(error.kind(), Io::TimedOut, "{script:?}: {error}");
            assert_eq!(started.elapsed().as_secs(), expected.as_secs(), "{script:?}");
            assert!(client.write(b"x").await.is_err(), "{script:?}");

            // Its time is over: nobody waits for it again.
            let again = timeout(Duration::from_millis(10), client.shutdown()).await;
            assert_eq!(
                again.expect("it waited again").unwrap_err().kind(),
                Io::TimedOut,
                "{script:?}"
            );
            drop(client);
            assert!(tape.counts().is_dropped(), "{script:?}");
        }
    }
}

async fn a_stuck_peer_gets_the_end_of_the_transport_though_not_close_notify(version: ProtocolVersion) {
    let (_, written) = handshake_bytes(version).await;
    let (mut client, tape, mut server) = pair(version, Script::new().write_stall_after(written + 30)).await;
    client.write_all(&[7; 10_000]).await.unwrap();
    client.shutdown().await.unwrap_err();
    assert!(tape.counts().is_shut_down());
    // What was not sent is not an end.
    assert_eq!(
        read_all(&mut server).await.1.unwrap_err().kind(),
        Io::UnexpectedEof
    );
}

async fn a_cancelled_shutdown_does_not_start_its_time_again(version: ProtocolVersion) {
    let (_, written) = handshake_bytes(version).await;
    let (mut client, _, _server) = pair(version, Script::new().write_stall_after(written)).await;
    let started = Instant::now();
    for _ in 0..4 {
        assert!(timeout(SECOND, client.shutdown()).await.is_err());
    }
    assert_eq!(client.shutdown().await.unwrap_err().kind(), Io::TimedOut);
    assert_eq!(started.elapsed().as_secs(), 5);
}

async fn a_write_error_in_shutdown_still_shuts_the_transport_down(version: ProtocolVersion) {
    let (_, written) = handshake_bytes(version).await;
    let (mut client, tape, _server) = pair(
        version,
        Script::new().write_error_after(written, Io::ConnectionReset),
    )
    .await;
    assert_eq!(client.shutdown().await.unwrap_err().kind(), Io::ConnectionReset);
    assert!(tape.counts().is_shut_down());
}

async fn a_write_error_in_shutdown_shuts_a_slow_transport_down_too(version: ProtocolVersion) {
    let (_, written) = handshake_bytes(version).await;
    let script = Script::new()
        .write_error_after(written, Io::ConnectionReset)
        .pending_every(1);
    let (mut client, tape, mut server) = pair(version, script).await;
    assert_eq!(client.shutdown().await.unwrap_err().kind(), Io::ConnectionReset);
    assert!(tape.counts().is_shut_down());
    assert_eq!(
        read_all(&mut server).await.1.unwrap_err().kind(),
        Io::UnexpectedEof
    );

    // One that is never shut down holds nobody up, and the error is still the first one.
    let script = Script::new()
        .write_error_after(written, Io::ConnectionReset)
        .stall_shutdown();
    let (mut client, _, _server) = pair(version, script).await;
    let started = Instant::now();
    assert_eq!(client.shutdown().await.unwrap_err().kind(), Io::ConnectionReset);
    assert_eq!(started.elapsed().as_secs(), 5);
}

async fn a_graceful_shutdown_of_both_sides_is_clean(version: ProtocolVersion) {
    let (mut client, tape, mut server) = pair(version, Script::new().pending_every(2)).await;
    client.write_all(b"bye").await.unwrap();
    let serve = async {
        assert_eq!(read_all(&mut server).await.0, b"bye");
        server.graceful_shutdown(SECOND).await
    };
    let (client, server) = tokio::join!(client.graceful_shutdown(SECOND), serve);
    assert!(matches!(client, Shutdown::Clean), "{client:?}");
    assert!(matches!(server, Shutdown::Clean), "{server:?}");
    assert!(tape.counts().is_shut_down());
}

async fn a_graceful_shutdown_says_how_the_peer_ended(version: ProtocolVersion) {
    // Data that nobody read.
    let (mut client, _, mut server) = pair(version, Script::new()).await;
    server.write_all(&[1; 5000]).await.unwrap();
    server.shutdown().await.unwrap();
    let end = client.graceful_shutdown(SECOND).await;
    assert!(
        matches!(end, Shutdown::PeerStillSending { discarded: 5000 }),
        "{end:?}"
    );

    // The transport ended.
    let (read, written) = handshake_bytes(version).await;
    let (mut client, _, _server) = pair(version, Script::new().eof_after(read)).await;
    let end = client.graceful_shutdown(SECOND).await;
    assert!(matches!(end, Shutdown::Truncated), "{end:?}");

    // Silence.
    let (mut client, tape, _server) = pair(version, Script::new()).await;
    let started = Instant::now();
    let end = client.graceful_shutdown(SECOND).await;
    assert!(matches!(end, Shutdown::TimedOut), "{end:?}");
    assert_eq!(started.elapsed().as_secs(), 1);
    assert!(tape.counts().is_shut_down());

    // A reset, when reading and when writing.
    for script in [
        Script::new().read_error_after(read, Io::ConnectionReset),
        Script::new().write_error_after(written, Io::ConnectionReset),
    ] {
        let (mut client, _, _server) = pair(version, script).await;
        let end = client.graceful_shutdown(SECOND).await;
        assert!(matches!(end, Shutdown::Reset), "{end:?}");
    }
}

async fn a_graceful_shutdown_always_shuts_the_transport_down(version: ProtocolVersion) {
    let (_, written) = handshake_bytes(version).await;
    let (mut client, tape, _server) = pair(version, Script::new().write_stall_after(written)).await;
    let started = Instant::now();
    let end = client.graceful_shutdown(SECOND).await;
    assert!(matches!(end, Shutdown::TimedOut), "{end:?}");
    assert_eq!(started.elapsed().as_secs(), 1);
    assert!(tape.counts().is_shut_down());
}

async fn a_graceful_shutdown_reads_while_it_waits_to_write(version: ProtocolVersion) {
    // Both have more to send than the transport holds, and the peer reads only when it has sent all.
    let (client_io, server_io) = tokio::io::duplex(1024);
    let (mut client, mut server) = establish(version, client_io, server_io).await;
    let serve = tokio::spawn(async move {
        server.write_all(&[1; 20_000]).await.unwrap();
        server.flush().await.unwrap();
        let all = read_all(&mut server).await;
        server.shutdown().await.unwrap();
        all
    });
    assert_eq!(client.write(&[2; 20_000]).await.unwrap(), 20_000);
    let end = client.graceful_shutdown(SECOND).await;
    assert!(
        matches!(end, Shutdown::PeerStillSending { discarded: 20_000 }),
        "{end:?}"
    );
    let (data, end) = serve.await.unwrap();
    assert_eq!(data.len(), 20_000);
    end.unwrap();
}

async fn a_peer_that_never_stops_sending_cannot_hold_a_graceful_shutdown(version: ProtocolVersion) {
    let (mut client, _, mut server) = pair(version, Script::new()).await;
    let sending = tokio::spawn(async move { while server.write_all(&[1; 4096]).await.is_ok() {} });
    let end = client.graceful_shutdown(SECOND).await;
    let Shutdown::PeerStillSending { discarded } = end else {
        panic!("{end:?}")
    };
    assert!((1 << 20..2 << 20).contains(&discarded), "{discarded}");
    drop(client);
    sending.await.unwrap();
}

async fn a_graceful_shutdown_dropped_at_any_await_goes_on_where_it_was(version: ProtocolVersion) {
    for polls in 0..20 {
        let (mut client, tape, mut server) =
            pair(version, Script::new().pending_every(1).write_chunk(5)).await;
        let _ = poll_times(client.graceful_shutdown(SECOND), polls).await;
        let serve = async {
            let _ = read_all(&mut server).await;
            server.shutdown().await
        };
        let (end, served) = tokio::join!(client.graceful_shutdown(SECOND), serve);
        served.unwrap();
        assert!(matches!(end, Shutdown::Clean), "{polls}: {end:?}");
        assert_eq!(
            written_after_handshake(version, &tape).await,
            [protected_alert(version)],
            "{polls}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn in_tls12_a_close_is_answered_at_once_by_whoever_reads() {
    let version = ProtocolVersion::TLS12;
    for split in [false, true] {
        let (client, tape, mut server) = pair(version, Script::new()).await;
        server.write_all(b"last words").await.unwrap();
        server.shutdown().await.unwrap();
        let mut data = Vec::new();
        if split {
            // The half that writes learns of it when it is used.
            let (mut read, mut write) = tokio::io::split(client);
            read.read_to_end(&mut data).await.unwrap();
            assert_eq!(write.write(b"too late").await.unwrap_err().kind(), Io::BrokenPipe);
        } else {
            let mut client = client;
            client.read_to_end(&mut data).await.unwrap();
            assert_eq!(
                written_after_handshake(version, &tape).await,
                [protected_alert(version)]
            );
            assert_eq!(
                client.write(b"too late").await.unwrap_err().kind(),
                Io::BrokenPipe
            );
            client.shutdown().await.unwrap();
        }
        assert_eq!(data, b"last words");
        assert_eq!(
            written_after_handshake(version, &tape).await,
            [protected_alert(version)]
        );
        assert!(matches!(server.graceful_shutdown(SECOND).await, Shutdown::Clean));
    }
}
