//! The two halves of a stream: what reading gives rise to, closing from either, and putting them together again.

use super::*;
use tls_core::KeyUpdateRequest;
use tls_tests::both_versions;
use tls_tests::sides::{establish, records};
use tls_tokio::{EofPolicy, ReadHalf, Shutdown, SplitTransport, WriteHalf};
use tokio::net::{TcpListener, TcpStream, UnixStream};

both_versions!(
    async
    a_waiting_write_half_sends_the_alert_of_its_reader,
    either_half_can_close,
    halves_that_are_put_together_are_the_stream_they_were,
    halves_of_two_streams_are_given_back,
    a_read_half_has_the_policies_of_the_stream,
    a_stuck_peer_does_not_hold_a_write_after_the_reader_failed,
);

type Read = ReadHalf<tokio::io::ReadHalf<DuplexStream>>;
type Write = WriteHalf<tokio::io::WriteHalf<DuplexStream>>;

async fn split(role: Role, version: ProtocolVersion) -> (Read, Write, Peer) {
    let (near, far) = duplex(4096);
    let (ours, peer) = tokio::join!(role.handshake(near, None), Peer::new(role.other(), version, far));
    let (read, write) = ours.unwrap().into_split();
    (read, write, peer)
}

#[tokio::test(start_paused = true)]
async fn a_waiting_write_half_answers_key_updates() {
    let version = ProtocolVersion::TLS13;
    for role in Role::both(version) {
        let (mut read, mut write, mut peer) = split(role, version).await;
        let reading = tokio::spawn(async move { read.read(&mut [0; 9]).await });
        let answering = tokio::spawn(async move { write.send_answers().await });
        for _ in 0..3 {
            let requested = KeyUpdateRequest::UPDATE_REQUESTED;
            peer.connection.writer.request_key_update(requested).unwrap();
            peer.push().await;
            let mut answer = [0; 64];
            let count = timeout(SOON, peer.io.read(&mut answer))
                .await
                .expect("an answer")
                .unwrap();
            assert_eq!(records(&answer[..count])[0].length, 5 + 1 + 16, "{role:?}");
            peer.connection.reader.space()[..count].copy_from_slice(&answer[..count]);
            peer.connection.reader.filled(count);
            peer.connection.reader.process().unwrap();
        }
        assert!(!answering.is_finished());
        peer.close_notify().await;
        assert_eq!(reading.await.unwrap().unwrap(), 0);
        answering.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn in_tls12_a_waiting_write_half_answers_the_goodbye_at_once() {
    let version = ProtocolVersion::TLS12;
    for role in Role::both(version) {
        let (mut read, mut write, mut peer) = split(role, version).await;
        let reading = tokio::spawn(async move { read.read(&mut [0; 9]).await });
        let answering = tokio::spawn(async move {
            write.send_answers().await.unwrap();
            write
        });
        tokio::time::sleep(SECOND).await;
        peer.close_notify().await;
        let mut write = timeout(SOON, answering).await.expect("it is closed").unwrap();
        assert_eq!(write.write(b"more").await.unwrap_err().kind(), Io::BrokenPipe);
        assert_eq!(reading.await.unwrap().unwrap(), 0);
        drop(write);
        assert_eq!(peer.seen().await, (vec![], Seen::Goodbye), "{role:?}");
    }
}

async fn a_waiting_write_half_sends_the_alert_of_its_reader(version: ProtocolVersion) {
    for role in Role::both(version) {
        let (mut read, mut write, mut peer) = split(role, version).await;
        let answering = tokio::spawn(async move { write.send_answers().await });
        tokio::time::sleep(SECOND).await;
        assert!(!answering.is_finished(), "nothing to answer yet");
        peer.io.write_all(&[23, 3, 3, 0, 40]).await.unwrap();
        peer.io.write_all(&[1; 40]).await.unwrap();
        read.read(&mut [0; 9]).await.unwrap_err();
        timeout(SOON, answering)
            .await
            .expect("it is closed")
            .unwrap()
            .unwrap();
        let seen = peer.seen().await;
        assert_eq!(
            seen,
            (vec![], Seen::Alert(AlertDescription::BAD_RECORD_MAC)),
            "{role:?}"
        );
    }
}

async fn either_half_can_close(version: ProtocolVersion) {
    for role in Role::both(version) {
        // The reader, while the writer waits; then the writer is told.
        let (read, mut write, mut peer) = split(role, version).await;
        let answering = tokio::spawn(async move {
            let answered = write.send_answers().await;
            (answered, write)
        });
        tokio::time::sleep(SECOND).await;
        read.request_close();
        let (answered, mut write) = timeout(SOON, answering).await.expect("it is closed").unwrap();
        answered.unwrap();
        assert_eq!(write.write(b"more").await.unwrap_err().kind(), Io::BrokenPipe);
        write.shutdown().await.unwrap();
        assert_eq!(peer.seen().await, (vec![], Seen::Goodbye), "{role:?}");

        // The reader, while the writer is idle: at the next write.
        let (read, mut write, mut peer) = split(role, version).await;
        read.request_close();
        assert_eq!(write.write(b"more").await.unwrap_err().kind(), Io::BrokenPipe);
        drop(write);
        assert_eq!(peer.seen().await, (vec![], Seen::Goodbye), "{role:?}");

        // The writer; the reader goes on.
        let (mut read, mut write, mut peer) = split(role, version).await;
        write.shutdown().await.unwrap();
        assert_eq!(peer.seen().await, (vec![], Seen::Goodbye), "{role:?}");
        if version == ProtocolVersion::TLS13 {
            peer.send(b"an answer").await;
        } else {
            peer.connection.writer.apply_control().unwrap();
        }
        peer.close_notify().await;
        let (data, end) = read_all(&mut read).await;
        end.unwrap();
        assert_eq!(data.is_empty(), version == ProtocolVersion::TLS12);
    }
}

/// Splits and reunites a stream on this transport, and closes it with its peer.
async fn reunited<IO>(version: ProtocolVersion, near: IO, far: IO)
where
    IO: SplitTransport + AsyncRead + AsyncWrite + Unpin + Send,
{
    let (mut ours, mut peer) = establish(version, near, far).await;
    let export = |tls: &TlsStream<IO>| {
        let mut out = [0; 16];
        tls.export_keying_material(&mut out, b"EXPORTER-test", None)
            .unwrap();
        out
    };
    let (exported, info) = (export(&ours), ours.info());
    say(&mut peer, b"more than is read").await.unwrap();
    let mut data = [0; 4];
    ours.read_exact(&mut data).await.unwrap();
    for _ in 0..3 {
        let (read, mut write) = ours.into_split();
        say(&mut write, b"x").await.unwrap();
        ours = TlsStream::reunite(read, write).expect("halves of one stream");
    }
    assert_eq!(export(&ours), exported);
    assert_eq!(ours.info().handshake_time(), info.handshake_time());
    let mut rest = [0; 13];
    ours.read_exact(&mut rest).await.unwrap();
    assert_eq!(&rest, b" than is read");
    let mut got = [0; 3];
    peer.read_exact(&mut got).await.unwrap();
    let (ours, peer) = tokio::join!(ours.graceful_shutdown(SECOND), peer.graceful_shutdown(SECOND));
    assert!(
        matches!((&ours, &peer), (Shutdown::Clean, Shutdown::Clean)),
        "{ours:?} {peer:?}"
    );
}

async fn halves_that_are_put_together_are_the_stream_they_were(version: ProtocolVersion) {
    let (near, far) = duplex(4096);
    reunited(version, near, far).await;
}

#[tokio::test]
async fn halves_of_sockets_can_be_put_together() {
    for version in tls_tests::versions::VERSIONS {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (near, far) = tokio::join!(TcpStream::connect(address), listener.accept());
        reunited(version, near.unwrap(), far.unwrap().0).await;
        let (near, far) = UnixStream::pair().unwrap();
        reunited(version, near, far).await;
    }
}

async fn halves_of_two_streams_are_given_back(version: ProtocolVersion) {
    let role = Role::client(version);
    let (read, write, mut peer) = split(role, version).await;
    let (other_read, other_write, _other_peer) = split(role, version).await;
    assert!(read.is_of(&write) && !read.is_of(&other_write));
    let error = TlsStream::<DuplexStream>::reunite(read, other_write).unwrap_err();
    assert!(error.to_string().contains("different streams"), "{error}");
    // They still work, each with its own.
    let mut tls = TlsStream::<DuplexStream>::reunite(error.read, write).expect("halves of one stream");
    TlsStream::<DuplexStream>::reunite(other_read, error.write).expect("halves of one stream");
    say(&mut tls, b"data").await.unwrap();
    drop(tls);
    assert_eq!(peer.seen().await, (b"data".to_vec(), Seen::Goodbye));
}

async fn a_read_half_has_the_policies_of_the_stream(version: ProtocolVersion) {
    for role in Role::both(version) {
        for how in 0..4 {
            let (mut read, _write, mut peer) = split(role, version).await;
            peer.send(b"data").await;
            if how == 3 {
                peer.io.write_all(&[23, 3, 3]).await.unwrap();
            }
            peer.eof().await;
            match how {
                0 => {}
                1 => read.mark_complete(),
                _ => read.set_eof_policy(EofPolicy::AcceptAtRecordBoundary),
            }
            let (data, end) = read_all(&mut read).await;
            assert_eq!(data, b"data");
            match how {
                1 | 2 => end.unwrap(),
                _ => assert_eq!(end.unwrap_err().kind(), Io::UnexpectedEof),
            }
        }
    }
}

async fn a_stuck_peer_does_not_hold_a_write_after_the_reader_failed(version: ProtocolVersion) {
    for role in Role::both(version) {
        let (mut read, mut write, mut peer) = split(role, version).await;
        let writing = tokio::spawn(async move { write.write_all(&[7; 1 << 20]).await });
        let reading = tokio::spawn(async move { read.read(&mut [0; 9]).await });
        tokio::time::sleep(SECOND).await;
        assert!(!writing.is_finished(), "the peer takes nothing");
        peer.io.write_all(&[23, 3, 3, 0, 40]).await.unwrap();
        peer.io.write_all(&[1; 40]).await.unwrap();
        let written = timeout(SOON, writing).await.expect("it waits no more").unwrap();
        assert_eq!(written.unwrap_err().kind(), Io::BrokenPipe, "{role:?}");
        reading.await.unwrap().unwrap_err();
    }
}
