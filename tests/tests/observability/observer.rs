//! What an observer is told, and in which order.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;

use tls_core::{AlertDescription, Phase, ServerConfig, Side};
use tls_tests::both_versions;
use tls_tests::sides::Role;
use tls_tokio::{EndKind, HandshakeFailed, HandshakeFinished, Observed, Observer, Reason, StreamEnd};

use super::*;

both_versions!(
    async
    each_side_is_told_of_a_connection_from_its_beginning_to_its_end,
    a_failed_handshake_is_told_with_its_error_and_alert,
    what_is_dropped_half_way_is_told_to_be,
    a_handshake_that_takes_too_long_is_told_with_what_it_waited_for,
    a_connection_that_is_passed_on_is_told_with_its_hello,
    observers_that_panic_disturb_nobody,
    the_observer_that_was_given_last_is_told,
);

/// How it ended, close_notify sent and received, bytes in and out.
type End = (EndKind, bool, bool, u64, u64);

/// Notes what it is told as lines, in order. Everything is formatted, so that this cannot fail either.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    lines: Mutex<Vec<String>>,
    connections: Mutex<Vec<u64>>,
    /// What was told of a stream last.
    end: Mutex<Option<End>>,
}

impl Notes {
    fn note(&self, connection: &Observed<'_>, line: String) {
        let mut connections = self.connections.lock().unwrap();
        if !connections.contains(&connection.id) {
            connections.push(connection.id);
        }
        assert!(format!("{connection:?}").contains("id: "));
        self.lines.lock().unwrap().push(line);
    }

    /// The lines so far, which are forgotten.
    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.lines.lock().unwrap())
    }

    fn connections(&self) -> usize {
        self.connections.lock().unwrap().len()
    }
}

fn name(connection: &Observed<'_>) -> String {
    connection.server_name.unwrap_or("nobody").to_owned()
}

impl Observer for Notes {
    fn handshake_started(&self, connection: &Observed<'_>) {
        let peer = connection.context.peer_address();
        let peer = peer.map_or_else(|| "nowhere".to_owned(), |peer| peer.to_string());
        self.note(
            connection,
            format!("{} started: {} {peer}", connection.side, name(connection)),
        );
    }

    fn phase_changed(&self, connection: &Observed<'_>, phase: Phase) {
        self.note(connection, format!("{phase}"));
    }

    fn handshake_finished(&self, connection: &Observed<'_>, finished: &HandshakeFinished<'_>) {
        assert!(
            finished.bytes_in > 100 && finished.bytes_out > 100,
            "{finished:?}"
        );
        assert_eq!(finished.elapsed, finished.info.handshake_time());
        let (version, resumed) = (finished.info.version(), finished.info.is_resumed());
        self.note(
            connection,
            format!("finished: {} {version} {resumed}", name(connection)),
        );
    }

    fn handshake_failed(&self, connection: &Observed<'_>, failed: &HandshakeFailed<'_>) {
        assert!(format!("{failed:?}").contains("bytes_in"));
        let alerts = (failed.alert_sent, failed.alert_received());
        let has_hello = failed.client_hello.is_some();
        let reason = failed.reason.name();
        let line = format!(
            "{reason}: {} {alerts:?} {has_hello} {}",
            name(connection),
            failed.phase
        );
        self.note(connection, line);
        if let Reason::Error(error) = failed.reason {
            assert_eq!(error.to_string(), failed.reason.to_string());
        }
    }

    fn stream_ended(&self, connection: &Observed<'_>, end: &StreamEnd<'_>) {
        *self.end.lock().unwrap() = Some((
            end.how,
            end.close_notify_sent,
            end.close_notify_received,
            end.bytes_in,
            end.bytes_out,
        ));
        let version = end.info.version();
        self.note(
            connection,
            format!("ended: {} {version} {}", name(connection), end.how.name()),
        );
    }
}

/// A client and a server, each with notes of its own.
fn observed(version: ProtocolVersion) -> ((TlsConnector, Arc<Notes>), (TlsAcceptor, Arc<Notes>)) {
    let (ours, theirs) = (Arc::new(Notes::default()), Arc::new(Notes::default()));
    let connector = sides::connector(version).observer(ours.clone());
    (
        (connector, ours),
        (sides::acceptor().observer(theirs.clone()), theirs),
    )
}

async fn each_side_is_told_of_a_connection_from_its_beginning_to_its_end(version: ProtocolVersion) {
    let ((connector, ours), (acceptor, theirs)) = observed(version);
    let (mut client, mut server) = established(&connector, &acceptor).await;
    let (client_waits, server_waits): (&[&str], &[&str]) = match version {
        ProtocolVersion::TLS12 => (
            &[
                "ServerHello",
                "Certificate",
                "ServerKeyExchange",
                "ServerHelloDone",
                "Finished",
            ],
            &["ClientHello", "ClientKeyExchange", "Finished"],
        ),
        _ => (
            &[
                "ServerHello",
                "EncryptedExtensions",
                "Certificate",
                "CertificateVerify",
                "Finished",
            ],
            &["ClientHello", "Finished"],
        ),
    };
    for (notes, started, waits) in [
        (&ours, "client started: localhost 192.0.2.1:443", client_waits),
        (&theirs, "server started: nobody 192.0.2.2:50000", server_waits),
    ] {
        let lines = notes.take();
        assert_eq!(lines[0], started);
        assert_eq!(
            lines[lines.len() - 1],
            format!("finished: localhost {version} false")
        );
        // What is between them are changes of phase, none of which says what was so before.
        let phases = &lines[1..lines.len() - 1];
        assert!(phases.windows(2).all(|two| two[0] != two[1]), "{phases:?}");
        assert!(phases.contains(&Phase::Writing.to_string()), "{phases:?}");
        let read: Vec<_> = phases
            .iter()
            .filter(|phase| **phase != Phase::Writing.to_string())
            .collect();
        let mut read: Vec<_> = read
            .iter()
            .map(|phase| phase.strip_prefix("waiting for ").unwrap())
            .collect();
        read.dedup();
        assert_eq!(read, waits);
    }
    greet(&mut client, &mut server).await;
    // The client shuts down in order, the server is dropped.
    client.shutdown().await.unwrap();
    drop(client);
    assert_eq!(server.read(&mut [0; 1]).await.unwrap(), 0);
    drop(server);
    assert_eq!(ours.take(), [format!("ended: localhost {version} closed")]);
    assert_eq!(
        *ours.end.lock().unwrap(),
        Some((EndKind::Closed, true, false, 5, 5))
    );
    assert_eq!(
        theirs.take(),
        [format!("ended: localhost {version} dropped_open")]
    );
    let end = theirs.end.lock().unwrap().unwrap();
    // The client is gone: nobody takes the server's.
    assert_eq!(end, (EndKind::DroppedOpen, false, true, 5, 5));
    assert_eq!((ours.connections(), theirs.connections()), (1, 1));
}

async fn a_failed_handshake_is_told_with_its_error_and_alert(version: ProtocolVersion) {
    let (_, (acceptor, theirs)) = observed(version);
    let ours = Arc::new(Notes::default());
    let connector = distrustful(version).observer(ours.clone());
    let (client, server) = meet(&connector, &acceptor).await;
    client.expect_err("refused");
    server.expect_err("refused");
    let (ours, theirs) = (ours.take(), theirs.take());
    assert_eq!(
        ours.last().unwrap(),
        "failed: localhost (Some(unknown_ca), None) false waiting for Certificate"
    );
    let awaited = match version {
        ProtocolVersion::TLS12 => "ClientKeyExchange",
        _ => "Finished",
    };
    assert_eq!(
        *theirs.last().unwrap(),
        format!("failed: localhost (None, Some(unknown_ca)) true waiting for {awaited}")
    );
    for lines in [ours, theirs] {
        assert_eq!(lines.iter().filter(|line| line.contains("started")).count(), 1);
        assert_eq!(lines.iter().filter(|line| line.starts_with("failed")).count(), 1);
    }
}

async fn what_is_dropped_half_way_is_told_to_be(version: ProtocolVersion) {
    for role in Role::both(version) {
        let ((connector, ours), (acceptor, theirs)) = observed(version);
        let notes = if role.is_client() { ours } else { theirs };
        let (near, far) = ends();
        {
            let mut handshake = pin!(async {
                match role.is_client() {
                    true => connector
                        .connect(server_name(), near)
                        .await
                        .map(drop)
                        .map_err(drop),
                    false => acceptor.accept(near).await.map(drop).map_err(drop),
                }
            });
            poll_fn(|cx| {
                assert!(handshake.as_mut().poll(cx).is_pending());
                Poll::Ready(())
            })
            .await;
            assert_eq!(
                notes
                    .lines
                    .lock()
                    .unwrap()
                    .iter()
                    .filter(|line| line.contains("dropped"))
                    .count(),
                0
            );
        }
        drop(far);
        let lines = notes.take();
        let last = lines.last().unwrap();
        let (name, awaited) = if role.is_client() {
            ("localhost", "ServerHello")
        } else {
            ("nobody", "ClientHello")
        };
        assert_eq!(
            *last,
            format!("dropped: {name} (None, None) false waiting for {awaited}")
        );
    }
}

async fn a_handshake_that_takes_too_long_is_told_with_what_it_waited_for(version: ProtocolVersion) {
    let ((connector, ours), _) = observed(version);
    let (near, _far) = ends();
    connector
        .handshake_timeout(Some(SECOND))
        .connect(server_name(), near)
        .await
        .expect_err("silence");
    let lines = ours.take();
    assert_eq!(
        lines.last().unwrap(),
        "timed_out: localhost (None, None) false waiting for ServerHello"
    );
}

async fn a_connection_that_is_passed_on_is_told_with_its_hello(version: ProtocolVersion) {
    let (_, (acceptor, theirs)) = observed(version);
    for (passes_on, expected) in [
        (
            true,
            "passed_on: localhost (None, None) true waiting for ClientHello",
        ),
        (
            false,
            "failed: localhost (Some(access_denied), None) true waiting for ClientHello",
        ),
    ] {
        let (near, far) = ends();
        let server = async {
            let pending = acceptor.read_client_hello(far).await.unwrap();
            if passes_on {
                drop(pending.into_parts());
            } else {
                pending.refuse(AlertDescription::ACCESS_DENIED).await;
            }
        };
        let connector = sides::connector(version);
        let (client, ()) = tokio::join!(connector.connect(server_name(), near), server);
        client.expect_err("refused, or cut");
        let lines = theirs.take();
        assert_eq!(
            lines[..2],
            ["server started: nobody nowhere", "waiting for ClientHello"]
        );
        assert!(
            lines
                .last()
                .unwrap()
                .starts_with(expected.split(" waiting").next().unwrap()),
            "{lines:?}"
        );
    }
}

async fn observers_that_panic_disturb_nobody(version: ProtocolVersion) {
    /// Does not like anything.
    #[derive(Debug)]
    struct Panics;

    impl Observer for Panics {
        fn handshake_started(&self, _: &Observed<'_>) {
            panic!("started")
        }
        fn phase_changed(&self, _: &Observed<'_>, _: Phase) {
            panic!("phase")
        }
        fn handshake_finished(&self, _: &Observed<'_>, _: &HandshakeFinished<'_>) {
            panic!("finished")
        }
        fn handshake_failed(&self, _: &Observed<'_>, _: &HandshakeFailed<'_>) {
            panic!("failed")
        }
        fn stream_ended(&self, _: &Observed<'_>, _: &StreamEnd<'_>) {
            panic!("ended")
        }
    }

    let ear = tls_tests::ear::Ear::default();
    let _listening = ear.listen();
    let connector = sides::connector(version).observer(Arc::new(Panics));
    let acceptor = sides::acceptor().observer(Arc::new(Panics));
    let (mut client, mut server) = established(&connector, &acceptor).await;
    greet(&mut client, &mut server).await;
    let before = ear.events_named("an observer of TLS connections panicked").len();
    assert!(before > 4, "{before}");
    drop((client, server));
    let events = ear.events_named("an observer of TLS connections panicked");
    assert_eq!(events.len(), before + 2);
    assert!(events.iter().all(|event| event.level == tracing::Level::ERROR));
    let (client, server) = meet(&distrustful(version).observer(Arc::new(Panics)), &acceptor).await;
    client.expect_err("refused");
    server.expect_err("refused");
}

async fn the_observer_that_was_given_last_is_told(version: ProtocolVersion) {
    let ((connector, first), _) = observed(version);
    let second = Arc::new(Notes::default());
    let connector = connector.observer(second.clone());
    drop(established(&connector, &sides::acceptor()).await);
    assert_eq!(first.take(), Vec::<String>::new());
    assert!(second.take().len() > 3);
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_is_waited_for_is_a_phase() {
    /// Answers after a second.
    #[derive(Debug)]
    struct Late;

    impl tls_core::ConfigSelector for Late {
        fn select<'a>(
            &'a self,
            _: &'a tls_core::ClientHello,
            _: &'a ConnectionContext,
        ) -> tls_core::Answer<'a, Result<ServerConfig, tls_core::HookError>> {
            tls_core::Answer::later(async {
                tokio::time::sleep(SECOND).await;
                Ok(sides::server_builder().build().unwrap())
            })
        }
    }

    let notes = Arc::new(Notes::default());
    let config = ServerConfig::builder()
        .config_selector(Arc::new(Late))
        .build()
        .unwrap();
    let acceptor = TlsAcceptor::new(config).observer(notes.clone());
    drop(established(&sides::connector(ProtocolVersion::TLS13), &acceptor).await);
    let lines = notes.take();
    let hook = Phase::Hook("ConfigSelector").to_string();
    let place = lines.iter().position(|line| *line == hook).unwrap();
    assert_eq!(lines[place - 1], "waiting for ClientHello");
    assert_eq!(lines[place + 1], "waiting for ClientHello");
    assert_eq!(
        lines[0].split(' ').next(),
        Some(Side::Server.to_string().as_str())
    );
}
