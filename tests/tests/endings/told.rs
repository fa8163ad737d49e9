//! How the end of a stream is told: one event each.

use super::*;
use tls_tests::both_versions;
use tls_tests::ear::{Ear, Said};
use tls_tokio::EofPolicy;
use tracing::Level;

both_versions!(
    async
    an_end_in_order_is_told_with_the_bytes_of_both_directions,
    an_end_that_nobody_waited_for_is_told_as_ours_alone,
    an_end_of_the_transport_is_told_as_what_it_was,
    an_alert_is_told_with_its_name_and_not_as_a_goodbye,
    a_peer_that_does_not_take_our_goodbye_is_told_to_be_slow,
    a_stream_dropped_open_tells_whether_its_goodbye_left,
    an_abort_and_a_panic_are_told_as_such,
    halves_tell_their_end_once_both_are_gone,
    of_several_things_that_happened_the_worst_is_told,
);

/// The one event, which is said of this side, with these facts.
#[track_caller]
fn check(ear: &Ear, role: Role, how: &str, alert: Option<&str>, goodbyes: [bool; 2], bytes: [usize; 2]) {
    let ended = ear.events_named("a TLS stream ended");
    let [said] = &ended[..] else { panic!("{ended:#?}") };
    assert_eq!(
        (said.target.as_str(), said.level),
        ("tls_tokio::stream", Level::DEBUG)
    );
    let mut fields = said.fields.clone();
    let [handshake] = &ear.spans_named("tls_handshake")[..] else {
        panic!("{ear:?}")
    };
    assert_eq!(
        fields.remove("connection").as_deref(),
        handshake.field("connection")
    );
    assert!(fields.remove("duration").unwrap().ends_with('s'));
    let [bytes_in, bytes_out] = bytes.map(|bytes| bytes.to_string());
    let [sent, received] = goodbyes.map(|goodbye| goodbye.to_string());
    let mut expected = vec![
        ("bytes_in", bytes_in.as_str()),
        ("bytes_out", &bytes_out),
        ("close_notify_received", &received),
        ("close_notify_sent", &sent),
        ("how", how),
        ("server_name", "localhost"),
        ("side", if role.is_client() { "client" } else { "server" }),
    ];
    expected.extend(alert.map(|alert| ("alert", alert)));
    expected.sort_unstable();
    let fields: Vec<_> = fields
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    assert_eq!(fields, expected, "{role:?}");
}

/// Nothing was told of an end.
fn silent(ear: &Ear) -> bool {
    let ended: Vec<Said> = ear.events_named("a TLS stream ended");
    ended.is_empty()
}

async fn an_end_in_order_is_told_with_the_bytes_of_both_directions(version: ProtocolVersion) {
    for role in Role::both(version) {
        let ear = Ear::default();
        let _listening = ear.listen();
        let (mut ours, _, mut peer) = established(role, version, Script::new()).await;
        ours.write_all(b"a question").await.unwrap();
        ours.flush().await.unwrap();
        peer.send(b"an answer").await;
        ours.read_exact(&mut [0; 2]).await.unwrap();
        // The same by the other way to read.
        let lent = tokio::io::AsyncBufReadExt::fill_buf(&mut ours)
            .await
            .unwrap()
            .len();
        assert_eq!(lent, 7);
        tokio::io::AsyncBufReadExt::consume(&mut ours, lent);
        peer.close_notify().await;
        ours.graceful_shutdown(SECOND).await;
        assert!(silent(&ear), "it is there until it is dropped");
        drop(ours);
        check(&ear, role, "clean", None, [true, true], [9, 10]);
    }
}

async fn an_end_that_nobody_waited_for_is_told_as_ours_alone(version: ProtocolVersion) {
    for role in Role::both(version) {
        let ear = Ear::default();
        let _listening = ear.listen();
        let (mut ours, _, _peer) = established(role, version, Script::new()).await;
        ours.shutdown().await.unwrap();
        drop(ours);
        check(&ear, role, "closed", None, [true, false], [0, 0]);
    }
}

async fn an_end_of_the_transport_is_told_as_what_it_was(version: ProtocolVersion) {
    for role in Role::both(version) {
        let (read, _) = handshake_bytes(role, version).await;
        for (script, accepts, how) in [
            (Script::new().eof_after(read), false, "truncated"),
            (Script::new().eof_after(read), true, "without_close_notify"),
            (
                Script::new().read_error_after(read, Io::ConnectionReset),
                true,
                "reset",
            ),
            (
                Script::new().read_error_after(read, Io::TimedOut),
                true,
                "timed_out",
            ),
            (Script::new().read_error_after(read, Io::Other), true, "failed"),
        ] {
            let ear = Ear::default();
            let _listening = ear.listen();
            let (mut ours, _, _peer) = established(role, version, script).await;
            if accepts {
                ours.set_eof_policy(EofPolicy::AcceptAtRecordBoundary);
            }
            assert_eq!(read_all(&mut ours).await.1.is_ok(), how == "without_close_notify");
            ours.shutdown().await.unwrap();
            drop(ours);
            check(&ear, role, how, None, [true, false], [0, 0]);
        }
    }
}

async fn an_alert_is_told_with_its_name_and_not_as_a_goodbye(version: ProtocolVersion) {
    for role in Role::both(version) {
        for shuts_down in [true, false] {
            let ear = Ear::default();
            let listening = ear.listen();
            let (mut ours, _, mut peer) = established(role, version, Script::new()).await;
            peer.alert(AlertDescription::ACCESS_DENIED).await;
            read_all(&mut ours).await.1.unwrap_err();
            if shuts_down {
                let _ = ours.shutdown().await;
            }
            drop(ours);
            let alert = Some("access_denied");
            check(&ear, role, "alert_received", alert, [false, false], [0, 0]);
            drop(listening);

            let ear = Ear::default();
            let _listening = ear.listen();
            let (mut ours, _, mut peer) = established(role, version, Script::new()).await;
            peer.io.write_all(&[23, 3, 3, 0, 40]).await.unwrap();
            peer.io.write_all(&[1; 40]).await.unwrap();
            read_all(&mut ours).await.1.unwrap_err();
            if shuts_down {
                let _ = ours.shutdown().await;
            }
            drop(ours);
            let alert = Some("bad_record_mac");
            check(&ear, role, "alert_sent", alert, [false, false], [0, 0]);
        }
    }
}

async fn a_peer_that_does_not_take_our_goodbye_is_told_to_be_slow(version: ProtocolVersion) {
    for role in Role::both(version) {
        let (_, written) = handshake_bytes(role, version).await;
        // The limit of the shutdown, and that of the graceful one, which is shorter.
        for limit in [60 * SECOND, SECOND] {
            let ear = Ear::default();
            let _listening = ear.listen();
            let script = Script::new().write_stall_after(written + 3);
            let (mut ours, _, _peer) = established(role, version, script).await;
            ours.graceful_shutdown(limit).await;
            drop(ours);
            check(&ear, role, "timed_out", None, [false, false], [0, 0]);
        }
    }
}

async fn a_stream_dropped_open_tells_whether_its_goodbye_left(version: ProtocolVersion) {
    for role in Role::both(version) {
        let (_, written) = handshake_bytes(role, version).await;
        for (script, left) in [
            (Script::new(), true),
            (Script::new().write_stall_after(written + 3), false),
        ] {
            let ear = Ear::default();
            let _listening = ear.listen();
            let (ours, _, _peer) = established(role, version, script).await;
            drop(ours);
            check(&ear, role, "dropped_open", None, [left, false], [0, 0]);
        }
    }
}

async fn an_abort_and_a_panic_are_told_as_such(version: ProtocolVersion) {
    for role in Role::both(version) {
        let ear = Ear::default();
        let listening = ear.listen();
        let (ours, _, _peer) = established(role, version, Script::new()).await;
        ours.abort();
        check(&ear, role, "aborted", None, [false, false], [0, 0]);
        drop(listening);

        let ear = Ear::default();
        let _listening = ear.listen();
        let (ours, _, _peer) = established(role, version, Script::new()).await;
        let panicking = tokio::spawn(async move {
            let _ours = ours;
            panic!("a test's own");
        });
        panicking.await.unwrap_err();
        check(&ear, role, "panicked", None, [false, false], [0, 0]);
    }
}

async fn halves_tell_their_end_once_both_are_gone(version: ProtocolVersion) {
    for role in Role::both(version) {
        for read_first in [true, false] {
            let ear = Ear::default();
            let _listening = ear.listen();
            let (ours, _, mut peer) = established(role, version, Script::new()).await;
            let (mut read, mut write) = ours.into_split();
            write.write_all(b"a question").await.unwrap();
            write.flush().await.unwrap();
            peer.send(b"an answer").await;
            peer.close_notify().await;
            assert_eq!(read_all(&mut read).await.0, b"an answer");
            write.shutdown().await.unwrap();
            if read_first {
                drop(read);
                assert!(silent(&ear));
                drop(write);
            } else {
                drop(write);
                assert!(silent(&ear));
                drop(read);
            }
            check(&ear, role, "clean", None, [true, true], [9, 10]);
        }

        // Put together again they are a stream as before.
        let ear = Ear::default();
        let _listening = ear.listen();
        let (near, far) = duplex(4096);
        let (ours, _peer) = tokio::join!(role.handshake(near, None), Peer::new(role.other(), version, far));
        let (read, mut write) = ours.unwrap().into_split();
        write.write_all(b"a question").await.unwrap();
        let whole = TlsStream::<DuplexStream>::reunite(read, write).unwrap();
        assert!(silent(&ear));
        drop(whole);
        check(&ear, role, "dropped_open", None, [true, false], [0, 10]);
    }
}

async fn of_several_things_that_happened_the_worst_is_told(version: ProtocolVersion) {
    for role in Role::both(version) {
        let (read, _) = handshake_bytes(role, version).await;
        let ear = Ear::default();
        let _listening = ear.listen();
        let (mut ours, _, _peer) = established(role, version, Script::new().eof_after(read)).await;
        read_all(&mut ours).await.1.unwrap_err();
        // What was no loss in the end stays what it was when it was met.
        ours.mark_complete();
        read_all(&mut ours).await.1.unwrap();
        drop(ours);
        check(&ear, role, "truncated", None, [true, false], [0, 0]);
    }
}
