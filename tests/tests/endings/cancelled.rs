//! Every method that says it is cancel safe, dropped at each await and gone on with.

use super::*;
use tls_tests::both_versions;
use tls_tests::script::poll_times;
use tls_tokio::Shutdown;

both_versions!(
    async
    reads_and_writes_dropped_at_any_await_lose_nothing,
    shutdowns_dropped_at_any_await_go_on_where_they_were,
    a_confirmation_dropped_at_any_await_loses_nothing,
    a_graceful_shutdown_that_was_cancelled_counts_on,
);

/// Slow at every call, in small pieces.
fn slow() -> Script {
    Script::new().pending_every(1).read_chunk(7).write_chunk(7)
}

async fn reads_and_writes_dropped_at_any_await_lose_nothing(version: ProtocolVersion) {
    for role in Role::both(version) {
        for polls in 0..40 {
            let (mut ours, _, mut peer) = established(role, version, slow()).await;
            peer.send(b"some data ").await;
            peer.send(b"and more").await;
            peer.close_notify().await;
            peer.eof().await;
            let mut got = Vec::new();
            let mut sent = Vec::new();
            let mut space = [0; 6];
            loop {
                // In TLS 1.2 the peer's goodbye ends writing too.
                if let Some(Ok(count)) = poll_times(ours.write(b"words "), polls).await {
                    sent.extend_from_slice(&b"words "[..count]);
                }
                let _ = poll_times(ours.flush(), polls).await;
                match poll_times(ours.read(&mut space), polls.max(1)).await {
                    Some(Ok(0)) => break,
                    Some(read) => got.extend_from_slice(&space[..read.unwrap()]),
                    None => {}
                }
            }
            assert_eq!(
                got, b"some data and more",
                "{role:?}, dropped after {polls} polls"
            );
            let end = ours.graceful_shutdown(SECOND).await;
            assert!(matches!(end, Shutdown::Clean), "{end:?}");
            assert_eq!(
                peer.seen().await,
                (sent, Seen::Goodbye),
                "{role:?}, after {polls} polls"
            );
        }
    }
}

async fn shutdowns_dropped_at_any_await_go_on_where_they_were(version: ProtocolVersion) {
    for role in Role::both(version) {
        for polls in 0..30 {
            for graceful in [false, true] {
                let (mut ours, _, mut peer) = established(role, version, slow()).await;
                assert_eq!(ours.write(b"last words").await.unwrap(), 10);
                if graceful {
                    let _ = poll_times(ours.graceful_shutdown(SECOND), polls).await;
                } else {
                    let _ = poll_times(ours.shutdown(), polls).await;
                }
                peer.close_notify().await;
                let end = ours.graceful_shutdown(SECOND).await;
                assert!(
                    matches!(end, Shutdown::Clean),
                    "{role:?}, after {polls} polls: {end:?}"
                );
                assert_eq!(peer.seen().await, (b"last words".to_vec(), Seen::Goodbye));
            }
        }
    }
}

async fn a_confirmation_dropped_at_any_await_loses_nothing(version: ProtocolVersion) {
    let role = Role::client(version);
    for polls in 0..60 {
        let (mut ours, _, mut peer) = established(role, version, slow()).await;
        peer.send(b"welcome").await;
        peer.close_notify().await;
        let _ = poll_times(ours.confirmed(), polls).await;
        ours.confirmed().await.unwrap();
        let (data, end) = read_all(&mut ours).await;
        end.unwrap();
        assert_eq!(data, b"welcome", "dropped after {polls} polls");
    }
}

async fn a_graceful_shutdown_that_was_cancelled_counts_on(version: ProtocolVersion) {
    for role in Role::both(version) {
        let (mut ours, _, mut peer) = established(role, version, Script::new()).await;
        peer.send(b"unread").await;
        assert!(poll_times(ours.graceful_shutdown(SECOND), 3).await.is_none());
        peer.send(b", more").await;
        assert!(poll_times(ours.graceful_shutdown(SECOND), 3).await.is_none());
        peer.close_notify().await;
        for _ in 0..2 {
            let end = ours.graceful_shutdown(SECOND).await;
            assert!(
                matches!(end, Shutdown::PeerStillSending { discarded: 12 }),
                "{role:?}: {end:?}"
            );
        }
    }
}

/// [`tls_tokio::WriteHalf::send_answers`], dropped at every await while KeyUpdates come.
#[tokio::test(start_paused = true)]
async fn answers_that_were_cancelled_are_sent_once() {
    let version = ProtocolVersion::TLS13;
    for polls in 0..10 {
        let (near, far) = duplex(4096);
        let role = Role::client(version);
        let (ours, mut peer) =
            tokio::join!(role.handshake(near, None), Peer::new(role.other(), version, far));
        let (mut read, mut write) = ours.unwrap().into_split();
        let requested = tls_core::KeyUpdateRequest::UPDATE_REQUESTED;
        peer.connection.writer.request_key_update(requested).unwrap();
        peer.push().await;
        peer.close_notify().await;
        assert_eq!(read.read(&mut [0; 9]).await.unwrap(), 0);
        for _ in 0..3 {
            assert!(poll_times(write.send_answers(), polls).await.is_none());
        }
        say(&mut write, b"data").await.unwrap();
        write.shutdown().await.unwrap();
        // The data is under the next key: the answer came before it, and once.
        assert_eq!(
            peer.seen().await,
            (b"data".to_vec(), Seen::Goodbye),
            "dropped after {polls} polls"
        );
    }
}

/// A server's stream before the handshake is over: the same holds for it.
#[tokio::test(start_paused = true)]
async fn early_reads_and_writes_dropped_at_any_await_lose_nothing() {
    let version = ProtocolVersion::TLS13;
    for polls in 0..20 {
        let (near, far) = duplex(64 * 1024);
        let client = tokio::spawn(async move {
            let mut tls = Role::client(version).handshake(far, None).await.unwrap();
            say(&mut tls, b"request").await.unwrap();
            let (data, end) = read_all(&mut tls).await;
            end.unwrap();
            data
        });
        let io = ScriptedIo::new(near, slow());
        let acceptor = tls_tests::sides::acceptor();
        let mut early = acceptor.accept_early(io).await.unwrap();
        let mut sent = Vec::new();
        for _ in 0..3 {
            // No early data was offered, so reading has an end at once.
            if let Some(read) = poll_times(early.read(&mut [0; 9]), polls).await {
                assert_eq!(read.unwrap(), 0);
            }
            if let Some(written) = poll_times(early.write(b"early "), polls).await {
                sent.extend_from_slice(&b"early "[..written.unwrap()]);
            }
            let _ = poll_times(early.flush(), polls).await;
        }
        let mut tls = early.finish().await.unwrap();
        let mut request = [0; 7];
        tls.read_exact(&mut request).await.unwrap();
        assert_eq!(&request, b"request");
        tls.write_all(b"late").await.unwrap();
        drop(tls.shutdown().await);
        sent.extend_from_slice(b"late");
        assert_eq!(client.await.unwrap(), sent, "dropped after {polls} polls");
    }
}
