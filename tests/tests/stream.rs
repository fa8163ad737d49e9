//! An established stream: every way to read gives the same data, writes are gathered, both directions can be busy at
//! once without a wakeup lost, and a stream never keeps a thread to itself.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::large_futures,
    reason = "tests"
)]

use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use tls_core::ProtocolVersion;
use tls_tests::both_versions;
use tls_tests::script::{Script, ScriptedIo, Tape};
use tls_tests::sides::{Role, establish, records, scripted};
use tls_tests::versions::VERSIONS;
use tls_tokio::TlsStream;
use tokio::io::{
    AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufStream, DuplexStream, ReadBuf,
    duplex,
};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Barrier;
use tokio::time::timeout;

both_versions!(
    async reads_of_every_small_size_give_what_lending_gives,
    lending_and_reading_can_be_mixed,
    a_read_into_no_space_is_not_an_end,
    vectored_writes_are_gathered_into_full_records,
    both_directions_are_busy_through_a_small_pipe_and_one_lock,
    a_pipe_of_one_byte_carries_both_directions,
    halves_of_a_pipe_work_apart,
    a_reader_sends_on_what_the_writer_left_behind,
    a_reader_that_fails_tells_the_peer_why,
    a_stream_with_much_buffered_yields_to_others,
);

mod real {
    use super::*;
    both_versions!(real async halves_of_a_tcp_stream_work_apart);
}

const MINUTE: Duration = Duration::from_secs(60);

/// An application record's bytes around its data: header, tag, and type or explicit nonce.
fn overhead(version: ProtocolVersion) -> usize {
    match version {
        ProtocolVersion::TLS13 => 5 + 1 + 16,
        _ => 5 + 8 + 16,
    }
}

async fn pair(
    version: ProtocolVersion,
    capacity: usize,
) -> (TlsStream<DuplexStream>, TlsStream<DuplexStream>) {
    let (a, b) = duplex(capacity);
    establish(version, a, b).await
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i * 31 % 251) as u8).collect()
}

/// Records of many sizes, and the data in them.
async fn some_records<IO: AsyncRead + AsyncWrite + Unpin>(server: &mut TlsStream<IO>) -> Vec<u8> {
    let mut all = Vec::new();
    for length in (1..40).chain([100, 1, 1, 500]) {
        let data = pattern(length);
        server.write_all(&data).await.unwrap();
        all.extend_from_slice(&data);
    }
    server.shutdown().await.unwrap();
    all
}

/// Reads all with a buffer of this size, of which this much is initialised.
async fn read_with<IO>(tls: &mut TlsStream<IO>, size: usize, initialised: usize) -> Vec<u8>
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    let mut all = Vec::new();
    loop {
        let mut space = vec![MaybeUninit::uninit(); size];
        let mut buf = ReadBuf::uninit(&mut space);
        buf.initialize_unfilled_to(initialised);
        std::future::poll_fn(|cx| Pin::new(&mut *tls).poll_read(cx, &mut buf))
            .await
            .unwrap();
        if buf.filled().is_empty() {
            return all;
        }
        all.extend_from_slice(buf.filled());
    }
}

async fn reads_of_every_small_size_give_what_lending_gives(version: ProtocolVersion) {
    for size in (1..48).chain([200, 4096]) {
        for initialised in [0, size / 2, size] {
            let (mut client, mut server) = pair(version, 64 * 1024).await;
            let expected = some_records(&mut server).await;
            let got = read_with(&mut client, size, initialised).await;
            assert!(got == expected, "buffer of {size}, {initialised} initialised");
        }
    }
    // Lent: as much as there is, or piece by piece.
    for piece in [1, 2, 7, usize::MAX] {
        let (mut client, mut server) = pair(version, 64 * 1024).await;
        let expected = some_records(&mut server).await;
        let mut got = Vec::new();
        loop {
            let lent = client.fill_buf().await.unwrap();
            if lent.is_empty() {
                break;
            }
            let count = lent.len().min(piece);
            got.extend_from_slice(&lent[..count]);
            client.consume(count);
        }
        assert!(got == expected, "pieces of {piece}");
    }
}

async fn lending_and_reading_can_be_mixed(version: ProtocolVersion) {
    let (mut client, mut server) = pair(version, 64 * 1024).await;
    server
        .write_all(b"GET / HTTP/1.1\r\nHost: here\r\n\r\nand the body")
        .await
        .unwrap();
    server.shutdown().await.unwrap();
    let mut line = String::new();
    client.read_line(&mut line).await.unwrap();
    client.read_line(&mut line).await.unwrap();
    assert_eq!(line, "GET / HTTP/1.1\r\nHost: here\r\n");
    let mut rest = String::new();
    client.read_to_string(&mut rest).await.unwrap();
    assert_eq!(rest, "\r\nand the body");
}

async fn a_read_into_no_space_is_not_an_end(version: ProtocolVersion) {
    let (mut client, _server) = pair(version, 1024).await;
    // Nothing has come: any other read would wait.
    assert_eq!(client.read(&mut []).await.unwrap(), 0);
}

/// The lengths of data in the records that were written since `before`.
fn contents(version: ProtocolVersion, tape: &Tape, before: usize) -> Vec<usize> {
    records(&tape.written()[before..])
        .iter()
        .map(|record| record.length + 5 - overhead(version))
        .collect()
}

async fn vectored_writes_are_gathered_into_full_records(version: ProtocolVersion) {
    let (io, peer) = scripted(Script::new());
    let tape = io.tape();
    let (mut client, mut server) = establish(version, io, peer).await;
    assert!(client.is_write_vectored());
    let before = tape.written().len();

    let parts = [&pattern(10)[..], &[], &pattern(3000), b"x", &pattern(20)];
    let slices = parts.map(IoSlice::new);
    assert_eq!(client.write_vectored(&slices).await.unwrap(), 3031);
    assert_eq!(contents(version, &tape, before), [3031]);

    // 200 slices of 200 bytes: two full records and the rest.
    let before = tape.written().len();
    let many = pattern(200);
    let slices: Vec<_> = (0..200).map(|_| IoSlice::new(&many)).collect();
    assert_eq!(client.write_vectored(&slices).await.unwrap(), 40_000);
    assert_eq!(contents(version, &tape, before), [16_384, 16_384, 7_232]);

    client.shutdown().await.unwrap();
    let mut got = Vec::new();
    server.read_to_end(&mut got).await.unwrap();
    assert!(got == [parts.concat(), many.repeat(200)].concat());
}

/// What goes in both directions at once. Nobody closes before all of it is there: in TLS 1.2 that would end the other
/// direction too (RFC 5246 7.2.1).
struct Exchange {
    data: Vec<u8>,
    all_there: Barrier,
}

impl Exchange {
    fn of(data: Vec<u8>) -> Arc<Self> {
        let all_there = Barrier::new(4);
        Arc::new(Self { data, all_there })
    }
}

/// Writes this much, in pieces, and closes.
async fn send<W: AsyncWrite + Unpin>(mut writer: W, exchange: Arc<Exchange>) {
    for piece in exchange.data.chunks(10_007) {
        writer.write_all(piece).await.unwrap();
    }
    writer.flush().await.unwrap();
    exchange.all_there.wait().await;
    writer.shutdown().await.unwrap();
}

async fn receive<R: AsyncRead + Unpin>(mut reader: R, exchange: Arc<Exchange>) {
    let mut got = vec![0; exchange.data.len()];
    reader.read_exact(&mut got).await.unwrap();
    assert!(got == exchange.data, "it changed on its way");
    exchange.all_there.wait().await;
    assert_eq!(reader.read(&mut got).await.unwrap(), 0);
}

/// Runs four tasks: both directions on both sides.
async fn all_four(tasks: [Pin<Box<dyn Future<Output = ()> + Send>>; 4]) {
    let tasks = tasks.map(tokio::spawn);
    for task in tasks {
        timeout(MINUTE, task).await.expect("a wakeup was lost").unwrap();
    }
}

async fn both_directions_are_busy_through_a_small_pipe_and_one_lock(version: ProtocolVersion) {
    for capacity in [50, 1000, 70_000] {
        let (client, server) = pair(version, capacity).await;
        let data = Exchange::of(pattern(if capacity == 50 { 200_000 } else { 1_100_000 }));
        let [(cr, cw), (sr, sw)] = [client, server].map(tokio::io::split);
        let copy = || Arc::clone(&data);
        all_four([
            Box::pin(send(cw, copy())),
            Box::pin(send(sw, copy())),
            Box::pin(receive(cr, copy())),
            Box::pin(receive(sr, copy())),
        ])
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn both_directions_are_busy_on_several_threads() {
    for version in VERSIONS {
        let (client, server) = pair(version, 3000).await;
        let data = Exchange::of(pattern(1_100_000));
        let [(cr, cw), (sr, sw)] = [client, server].map(tokio::io::split);
        let copy = || Arc::clone(&data);
        all_four([
            Box::pin(send(cw, copy())),
            Box::pin(send(sw, copy())),
            Box::pin(receive(cr, copy())),
            Box::pin(receive(sr, copy())),
        ])
        .await;
    }
}

async fn a_pipe_of_one_byte_carries_both_directions(version: ProtocolVersion) {
    let (client, server) = pair(version, 1).await;
    let data = Exchange::of(pattern(5_000));
    let [(cr, cw), (sr, sw)] = [client, server].map(tokio::io::split);
    let copy = || Arc::clone(&data);
    all_four([
        Box::pin(send(cw, copy())),
        Box::pin(send(sw, copy())),
        Box::pin(receive(cr, copy())),
        Box::pin(receive(sr, copy())),
    ])
    .await;
}

async fn halves_of_a_pipe_work_apart(version: ProtocolVersion) {
    let (client, server) = pair(version, 1000).await;
    let data = Exchange::of(pattern(300_000));
    let [(cr, cw), (sr, sw)] = [client, server].map(TlsStream::into_split);
    assert_eq!(cr.info().cipher_suite(), sw.info().cipher_suite());
    let copy = || Arc::clone(&data);
    all_four([
        Box::pin(send(cw, copy())),
        Box::pin(send(sw, copy())),
        Box::pin(receive(cr, copy())),
        Box::pin(receive(sr, copy())),
    ])
    .await;
}

async fn tcp_pair(version: ProtocolVersion) -> (TlsStream<TcpStream>, TlsStream<TcpStream>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (client, server) = tokio::join!(TcpStream::connect(address), listener.accept());
    establish(version, client.unwrap(), server.unwrap().0).await
}

async fn halves_of_a_tcp_stream_work_apart(version: ProtocolVersion) {
    let (client, server) = tcp_pair(version).await;
    let data = Exchange::of(pattern(2_000_000));
    let [(cr, cw), (sr, sw)] = [client, server].map(TlsStream::into_split);
    let copy = || Arc::clone(&data);
    all_four([
        Box::pin(send(cw, copy())),
        Box::pin(send(sw, copy())),
        Box::pin(receive(cr, copy())),
        Box::pin(receive(sr, copy())),
    ])
    .await;
}

async fn a_reader_sends_on_what_the_writer_left_behind(version: ProtocolVersion) {
    // The writer believes that all is done, and only reads from then on.
    let (mut client, mut server) = pair(version, 100).await;
    let ask = async {
        client.write_all(&[9; 5000]).await.unwrap();
        let mut answer = [0; 2];
        client.read_exact(&mut answer).await.unwrap();
        answer
    };
    let answer = async {
        let mut question = vec![0; 5000];
        server.read_exact(&mut question).await.unwrap();
        server.write_all(b"ok").await.unwrap();
        server.flush().await.unwrap();
    };
    let (answer, ()) = timeout(MINUTE, async { tokio::join!(ask, answer) })
        .await
        .expect("stuck");
    assert_eq!(&answer, b"ok");
}

#[tokio::test(start_paused = true)]
async fn keys_are_updated_while_both_directions_are_busy() {
    let version = ProtocolVersion::TLS13;
    async fn busy<W: AsyncWrite + Unpin>(
        mut writer: W,
        exchange: Arc<Exchange>,
        update: impl Fn(&mut W) -> std::io::Result<()>,
    ) {
        for piece in exchange.data.chunks(10_007) {
            update(&mut writer).unwrap();
            writer.write_all(piece).await.unwrap();
        }
        writer.flush().await.unwrap();
        exchange.all_there.wait().await;
        writer.shutdown().await.unwrap();
    }
    let (client, server) = pair(version, 5000).await;
    let data = Exchange::of(pattern(300_000));
    let [(cr, cw), (sr, sw)] = [client, server].map(TlsStream::into_split);
    let copy = || Arc::clone(&data);
    all_four([
        Box::pin(busy(cw, copy(), tls_tokio::WriteHalf::request_key_update)),
        Box::pin(busy(sw, copy(), tls_tokio::WriteHalf::request_key_update)),
        Box::pin(receive(cr, copy())),
        Box::pin(receive(sr, copy())),
    ])
    .await;
}

#[tokio::test(start_paused = true)]
async fn somebody_who_only_reads_answers_a_key_update() {
    let version = ProtocolVersion::TLS13;
    let (io, peer) = scripted(Script::new());
    let tape = io.tape();
    let (mut client, mut server) = establish(version, io, peer).await;
    let before = tape.written().len();
    server.request_key_update().unwrap();
    server.write_all(b"data").await.unwrap();
    let mut data = [0; 4];
    client.read_exact(&mut data).await.unwrap();
    // The answer (5 bytes of message) is on its way, under the key that it ends.
    assert_eq!(contents(version, &tape, before), [5]);
    client.write_all(b"under the new key").await.unwrap();
    let mut got = [0; 17];
    server.read_exact(&mut got).await.unwrap();
    assert_eq!(&got, b"under the new key");
}

#[tokio::test(start_paused = true)]
async fn somebody_who_only_reads_answers_through_a_transport_that_buffers_too() {
    let version = ProtocolVersion::TLS13;
    let (io, peer) = scripted(Script::new());
    let tape = io.tape();
    let (mut client, mut server) = establish(version, BufStream::new(io), peer).await;
    let before = tape.written().len();
    server.request_key_update().unwrap();
    server.write_all(b"data").await.unwrap();
    client.read_exact(&mut [0; 4]).await.unwrap();
    assert_eq!(contents(version, &tape, before), [5]);
}

async fn a_reader_that_fails_tells_the_peer_why(version: ProtocolVersion) {
    // Whole: the alert leaves with the read that found the fault.
    let ((mut client, tape, before), _raw) = with_rubbish(version).await;
    let error = client.read(&mut [0; 9]).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidData);
    assert_eq!(contents(version, &tape, before), [2]);
    assert_eq!(
        client.write(b"x").await.unwrap_err().kind(),
        std::io::ErrorKind::BrokenPipe
    );

    // In halves: with the next write, though that is refused.
    let ((client, tape, before), _raw) = with_rubbish(version).await;
    let (mut read, mut write) = client.into_split();
    read.read(&mut [0; 9]).await.unwrap_err();
    assert_eq!(
        write.write(b"x").await.unwrap_err().kind(),
        std::io::ErrorKind::BrokenPipe
    );
    assert_eq!(contents(version, &tape, before), [2]);
}

/// A client that is sent a record that cannot be decrypted, its recording and how long that is, and the other end.
async fn with_rubbish(
    version: ProtocolVersion,
) -> (
    (TlsStream<ScriptedIo<DuplexStream>>, Arc<Tape>, usize),
    DuplexStream,
) {
    let (io, mut peer) = scripted(Script::new());
    let tape = io.tape();
    let limit = Some(MINUTE);
    let (client, server) = tokio::join!(
        Role::client(version).handshake(io, limit),
        Role::server(version).handshake(&mut peer, limit)
    );
    server.unwrap().abort();
    peer.write_all(&[23, 3, 3, 0, 40]).await.unwrap();
    peer.write_all(&[1; 40]).await.unwrap();
    let before = tape.written().len();
    ((client.unwrap(), tape, before), peer)
}

async fn a_stream_with_much_buffered_yields_to_others(version: ProtocolVersion) {
    for lend in [false, true] {
        let (mut client, mut server) = pair(version, 64 * 1024).await;
        for _ in 0..2000 {
            server.write_all(b"x").await.unwrap();
        }
        server.flush().await.unwrap();
        let turns = Arc::new(AtomicUsize::new(0));
        let others = Arc::clone(&turns);
        let other = tokio::spawn(async move {
            loop {
                others.fetch_add(1, Relaxed);
                tokio::task::yield_now().await;
            }
        });
        let reading = tokio::spawn(async move {
            for _ in 0..2000 {
                if lend {
                    assert_eq!(client.fill_buf().await.unwrap(), b"x");
                    client.consume(1);
                } else {
                    assert_eq!(client.read_u8().await.unwrap(), b'x');
                }
            }
        });
        reading.await.unwrap();
        other.abort();
        let turns = turns.load(Relaxed);
        assert!(turns > 2000 / 200, "others had {turns} turns (lending: {lend})");
    }
}

/// An answer that had to wait for room goes with the flush that makes it, and not only with the next data.
#[tokio::test(start_paused = true)]
async fn a_flush_sends_the_answer_to_a_key_update_that_had_to_wait() {
    // The first write fills the pipe, the second stays behind whole; both fit into the pipe in one go.
    const MUCH: usize = 60_000;
    let (a, b) = duplex(62_000);
    let b = ScriptedIo::new(b, Script::new());
    let tape = b.tape();
    let (mut client, mut server) = establish(ProtocolVersion::TLS13, a, b).await;
    let data = pattern(2 * MUCH);
    for part in data.chunks(MUCH) {
        assert_eq!(server.write(part).await.unwrap(), MUCH);
    }
    client.request_key_update().unwrap();
    client.flush().await.unwrap();
    // It reads the request, and has too much pending to answer.
    assert!(timeout(MINUTE, server.read_u8()).await.is_err());

    let mut got = vec![0; MUCH];
    client.read_exact(&mut got).await.unwrap();
    server.flush().await.unwrap();
    assert_eq!(got, data[..MUCH]);
    let last = records(&tape.written()).pop().unwrap();
    assert_eq!(last.length, 5 + 1 + 16, "KeyUpdate, content type, tag");
}
