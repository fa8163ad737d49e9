//! Streams and halves that are dropped open say goodbye, as far as that takes no waiting.

use super::*;
use tls_tests::both_versions;
use tls_tests::sides::records;
use tls_tokio::Shutdown;
use tokio::io::{BufWriter, ReadHalf, WriteHalf};

both_versions!(
    async
    a_stream_dropped_open_says_goodbye_behind_its_data,
    a_dropped_write_half_says_goodbye_and_its_reader_goes_on,
    a_drop_never_waits_and_sends_nothing_out_of_order,
    a_stream_in_a_buffered_transport_is_flushed_by_its_drop,
    what_is_over_is_not_said_again_by_a_drop,
    an_aborted_stream_says_nothing,
    a_panic_says_nothing,
);

async fn a_stream_dropped_open_says_goodbye_behind_its_data(version: ProtocolVersion) {
    for role in Role::both(version) {
        let (mut ours, tape, mut peer) = established(role, version, Script::new()).await;
        ours.write_all(b"last words").await.unwrap();
        drop(ours);
        assert!(tape.counts().is_dropped());
        assert_eq!(
            peer.seen().await,
            (b"last words".to_vec(), Seen::Goodbye),
            "{role:?}"
        );

        // What reading gave rise to goes too: in TLS 1.3 the answer to a KeyUpdate.
        let (mut ours, tape, mut peer) = established(role, version, Script::new()).await;
        let before = tape.written().len();
        if version == ProtocolVersion::TLS13 {
            ours.request_key_update().unwrap();
        }
        drop(ours);
        let count = if version == ProtocolVersion::TLS13 { 2 } else { 1 };
        assert_eq!(records(&tape.written()[before..]).len(), count);
        assert_eq!(peer.seen().await, (vec![], Seen::Goodbye), "{role:?}");
    }
}

async fn a_dropped_write_half_says_goodbye_and_its_reader_goes_on(version: ProtocolVersion) {
    for role in Role::both(version) {
        let (near, far) = duplex(4096);
        let (ours, mut peer) =
            tokio::join!(role.handshake(near, None), Peer::new(role.other(), version, far));
        let (mut read, mut write) = ours.unwrap().into_split();
        write.write_all(b"last words").await.unwrap();
        drop(write);
        // The pipe is not shut down by a half of it that is dropped, but by the goodbye.
        assert_eq!(
            peer.seen().await,
            (b"last words".to_vec(), Seen::Goodbye),
            "{role:?}"
        );
        // In TLS 1.2 both directions end together.
        let is_13 = version == ProtocolVersion::TLS13;
        if is_13 {
            peer.send(b"an answer").await;
        } else {
            peer.connection.writer.apply_control().unwrap();
        }
        peer.close_notify().await;
        let (data, end) = read_all(&mut read).await;
        end.unwrap();
        assert_eq!(data.is_empty(), !is_13);
    }
}

async fn a_drop_never_waits_and_sends_nothing_out_of_order(version: ProtocolVersion) {
    for role in Role::both(version) {
        let (_, written) = handshake_bytes(role, version).await;
        // Within the data, between the records, within the close_notify, and behind it.
        for taken in 0..90 {
            let script = Script::new().write_stall_after(written + taken);
            let (mut ours, _, mut peer) = established(role, version, script).await;
            ours.write_all(b"one ").await.unwrap();
            ours.write_all(b"two").await.unwrap();
            drop(ours);
            let (data, seen) = peer.seen().await;
            let overhead = if version == ProtocolVersion::TLS12 { 29 } else { 22 };
            let (one, two, end) = (4 + overhead, 7 + 2 * overhead, 9 + 3 * overhead);
            let expected: &[u8] = match taken {
                taken if taken < one => b"",
                taken if taken < two => b"one ",
                _ => b"one two",
            };
            assert_eq!(data, expected, "{role:?}, {taken} bytes taken");
            let goodbye = if taken < end { Seen::Cut } else { Seen::Goodbye };
            assert_eq!(seen, goodbye, "{role:?}, {taken} bytes taken");
        }
    }
}

async fn a_stream_in_a_buffered_transport_is_flushed_by_its_drop(version: ProtocolVersion) {
    for role in Role::both(version) {
        let (near, far) = duplex(4096);
        let near = BufWriter::new(near);
        let (ours, mut peer) =
            tokio::join!(role.handshake(near, None), Peer::new(role.other(), version, far));
        let mut ours = ours.unwrap();
        ours.write_all(b"last words").await.unwrap();
        drop(ours);
        assert_eq!(
            peer.seen().await,
            (b"last words".to_vec(), Seen::Goodbye),
            "{role:?}"
        );
    }
}

async fn what_is_over_is_not_said_again_by_a_drop(version: ProtocolVersion) {
    for role in Role::both(version) {
        for how in 0..3 {
            let (mut ours, tape, mut peer) = established(role, version, Script::new()).await;
            match how {
                0 => ours.shutdown().await.unwrap(),
                1 => {
                    peer.close_notify().await;
                    assert!(matches!(ours.graceful_shutdown(SECOND).await, Shutdown::Clean));
                }
                _ => {
                    peer.alert(AlertDescription::ACCESS_DENIED).await;
                    read_all(&mut ours).await.1.unwrap_err();
                }
            }
            let before = tape.written().len();
            drop(ours);
            assert_eq!(tape.written().len(), before, "{role:?} {how}");
        }
    }
}

async fn an_aborted_stream_says_nothing(version: ProtocolVersion) {
    for role in Role::both(version) {
        let (ours, tape, mut peer) = established(role, version, Script::new()).await;
        let before = tape.written().len();
        ours.abort();
        assert!(tape.counts().is_dropped());
        assert_eq!(tape.written().len(), before);
        assert_eq!(peer.seen().await, (vec![], Seen::Cut), "{role:?}");

        let (near, far) = duplex(4096);
        let (ours, mut peer) =
            tokio::join!(role.handshake(near, None), Peer::new(role.other(), version, far));
        let (read, write) = ours.unwrap().into_split();
        write.abort();
        drop(read);
        assert_eq!(peer.seen().await, (vec![], Seen::Cut), "{role:?}");
    }
}

async fn a_panic_says_nothing(version: ProtocolVersion) {
    for role in Role::both(version) {
        let (mut ours, _, mut peer) = established(role, version, Script::new()).await;
        let task = tokio::spawn(async move {
            ours.write_all(b"half of what").await.unwrap();
            panic!("as the test wants it");
        });
        assert!(task.await.unwrap_err().is_panic());
        // The peer must not take it for the whole.
        assert_eq!(
            peer.seen().await,
            (b"half of what".to_vec(), Seen::Cut),
            "{role:?}"
        );
    }
}

/// The halves that Tokio makes keep the stream until both are gone.
#[tokio::test(start_paused = true)]
async fn halves_of_tokio_say_goodbye_when_both_are_dropped() {
    let version = ProtocolVersion::TLS13;
    let (ours, tape, mut peer) = established(Role::client(version), version, Script::new()).await;
    let before = tape.written().len();
    let (read, write): (ReadHalf<_>, WriteHalf<_>) = tokio::io::split(ours);
    drop(write);
    assert_eq!(tape.written().len(), before);
    drop(read);
    assert_eq!(peer.seen().await, (vec![], Seen::Goodbye));
}
