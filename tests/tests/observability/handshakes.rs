//! The span of a handshake, with what it came to.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use tls_core::{AlertDescription, MemoryReplayGuard};
use tls_tests::both_versions;
use tls_tests::ear::{Ear, Said};
use tls_tests::versions::Only;
use tls_tokio::MemorySessionCache;
use tracing::Level;

use super::*;

both_versions!(
    async
    a_handshake_is_one_span_on_each_side_with_what_was_agreed,
    a_resumed_handshake_says_so,
    a_handshake_that_fails_says_why_and_which_alert_was_sent_or_received,
    a_handshake_that_takes_too_long_or_is_dropped_says_so,
    a_connection_that_is_refused_or_passed_on_says_so,
    what_happens_in_a_handshake_happens_in_its_span,
    nothing_is_made_for_those_who_listen_to_what_is_out_of_the_ordinary,
);

/// The spans of the handshakes so far: each was entered, and is closed.
fn handshakes(ear: &Ear) -> Vec<Said> {
    let spans = ear.spans_named("tls_handshake");
    for span in &spans {
        assert_eq!(
            (span.target.as_str(), span.level),
            ("tls_tokio::handshake", Level::DEBUG)
        );
        assert!(
            span.entered > 0 && span.closed && span.parent.is_none(),
            "{span:?}"
        );
    }
    spans
}

/// Of a client and the server it spoke with.
fn pair(ear: &Ear) -> [Said; 2] {
    let mut spans = handshakes(ear);
    let server = spans.pop().unwrap();
    let client = spans.pop().unwrap();
    assert!(spans.is_empty(), "{spans:?}");
    assert_ne!(client.field("connection"), server.field("connection"));
    [client, server]
}

/// Checks that these are all fields, but for the number of the connection and the time, which are there too.
#[track_caller]
fn check(said: &Said, fields: &[(&str, &str)]) {
    let mut rest = said.fields.clone();
    let number = rest.remove("connection").unwrap();
    assert!(number.parse::<u64>().unwrap() > 0);
    let elapsed = rest.remove("elapsed").unwrap();
    assert!(elapsed.ends_with('s'), "{elapsed}");
    let expected: BTreeMap<_, _> = fields
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    assert_eq!(rest, expected);
}

const fn suite(version: ProtocolVersion) -> (&'static str, &'static str) {
    match version {
        ProtocolVersion::TLS12 => ("TLSv1.2", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"),
        _ => ("TLSv1.3", "TLS_AES_128_GCM_SHA256"),
    }
}

async fn a_handshake_is_one_span_on_each_side_with_what_was_agreed(version: ProtocolVersion) {
    let ear = Ear::default();
    let _listening = ear.listen();
    let (client, server) = established(&sides::connector(version), &sides::acceptor()).await;
    let sent =
        [client.get_ref().tape(), server.get_ref().tape()].map(|tape| tape.written().len().to_string());
    let (version, cipher_suite) = suite(version);
    let spans = pair(&ear);
    let read_by_client = spans[0].field("bytes_in").unwrap();
    // The client has not read the tickets of TLS 1.3, which come behind the handshake.
    assert!(read_by_client.parse::<usize>().unwrap() > 500, "{read_by_client}");
    for (span, side, peer, bytes_in, bytes_out) in [
        (
            &spans[0],
            "client",
            "192.0.2.1:443",
            read_by_client,
            sent[0].as_str(),
        ),
        (&spans[1], "server", "192.0.2.2:50000", &sent[0], &sent[1]),
    ] {
        check(
            span,
            &[
                ("side", side),
                ("peer", peer),
                ("server_name", "localhost"),
                ("version", version),
                ("cipher_suite", cipher_suite),
                ("group", "x25519"),
                ("resumed", "false"),
                ("early_data", "none"),
                ("outcome", "established"),
                ("bytes_in", bytes_in),
                ("bytes_out", bytes_out),
            ],
        );
    }
    let finished = ear.events_named("handshake finished");
    let mut parents: Vec<_> = finished.iter().map(|event| event.parent).collect();
    parents.sort_unstable();
    assert_eq!(parents, [Some(0), Some(1)]);
    assert!(ear.events_named("handshake failed").is_empty());
}

async fn a_resumed_handshake_says_so(version: ProtocolVersion) {
    let (connector, acceptor) = (remembering(version), sides::acceptor());
    let (mut client, mut server) = established(&connector, &acceptor).await;
    greet(&mut client, &mut server).await;
    let ear = Ear::default();
    let _listening = ear.listen();
    established(&connector, &acceptor).await;
    for span in pair(&ear) {
        assert_eq!(span.field("resumed"), Some("true"));
        assert_eq!(span.field("outcome"), Some("established"));
        // TLS 1.2 has no key exchange then, and so no group (RFC 5246 7.3).
        let group = (version == ProtocolVersion::TLS13).then_some("x25519");
        assert_eq!(span.field("group"), group);
        assert_eq!(span.field("version"), Some(suite(version).0));
    }
}

#[tokio::test]
async fn early_data_is_said_to_be_accepted_or_rejected() {
    let version = ProtocolVersion::TLS13;
    let cache = Arc::new(MemorySessionCache::default());
    let client = sides::client_builder().only(version).session_cache(cache);
    let connector = TlsConnector::new(client.build().unwrap());
    let guard = Arc::new(MemoryReplayGuard::default().with_new_keys());
    let server = sides::server_builder().max_early_data(100).replay_guard(guard);
    let acceptor = TlsAcceptor::new(server.build().unwrap());
    let (mut client, mut server) = established(&connector, &acceptor).await;
    greet(&mut client, &mut server).await;
    for takes in [true, false] {
        let ear = Ear::default();
        let _listening = ear.listen();
        let (ours, theirs) = ends();
        tokio::join!(
            async {
                connector
                    .connect_early(server_name(), ours, b"early")
                    .await
                    .unwrap()
            },
            async {
                match takes {
                    true => acceptor
                        .accept_early(theirs)
                        .await
                        .unwrap()
                        .finish()
                        .await
                        .unwrap(),
                    false => acceptor.accept(theirs).await.unwrap(),
                }
            }
        );
        let expected = if takes { "accepted" } else { "rejected" };
        let [client, server] = pair(&ear);
        assert_eq!(client.field("early_data"), Some(expected));
        assert_eq!(server.field("early_data"), Some(expected));
        // They said nothing of where the other is.
        assert_eq!((client.field("peer"), server.field("peer")), (None, None));
    }
}

async fn a_handshake_that_fails_says_why_and_which_alert_was_sent_or_received(version: ProtocolVersion) {
    let ear = Ear::default();
    let _listening = ear.listen();
    let (client, server) = meet(&distrustful(version), &sides::acceptor()).await;
    let (client, server) = (client.expect_err("refused"), server.expect_err("refused"));
    let ja4 = server.client_hello().unwrap().ja4();
    let errors = [client.to_string(), server.to_string()];
    let sent = [client, server].map(|failure| failure.into_parts().1.tape().counts().bytes_out().to_string());
    let spans = pair(&ear);
    let alerts = ["alert_sent", "alert_received"];
    for (number, (side, peer)) in [("client", "192.0.2.1:443"), ("server", "192.0.2.2:50000")]
        .into_iter()
        .enumerate()
    {
        check(
            &spans[number],
            &[
                ("side", side),
                ("peer", peer),
                ("server_name", "localhost"),
                (alerts[number], "unknown_ca"),
                ("outcome", "failed"),
                ("error", &errors[number]),
                ("bytes_in", &sent[1 - number]),
                ("bytes_out", &sent[number]),
            ],
        );
    }
    let events = ear.events_named("handshake failed");
    assert_eq!(events.len(), 2, "{events:?}");
    for (number, event) in events.iter().enumerate() {
        assert_eq!(event.parent, Some(number));
        assert_eq!(event.field("error"), Some(errors[number].as_str()));
    }
    // The client has read no ClientHello.
    assert_eq!(
        (events[0].field("ja4"), events[0].field("server_name")),
        (None, None)
    );
    assert_eq!(events[1].field("ja4"), Some(ja4.as_str()));
    assert_eq!(events[1].field("server_name"), Some("localhost"));
}

async fn a_handshake_that_takes_too_long_or_is_dropped_says_so(version: ProtocolVersion) {
    for role in sides::Role::both(version) {
        for limit in [Some(SECOND), None] {
            let ear = Ear::default();
            let _listening = ear.listen();
            let (ours, _theirs) = ends();
            let tape = ours.tape();
            if limit.is_some() {
                role.handshake(ours, limit).await.expect_err("nobody answers");
            } else {
                let mut handshake = pin!(role.handshake(ours, limit));
                poll_fn(|cx| {
                    assert!(handshake.as_mut().poll(cx).is_pending());
                    Poll::Ready(())
                })
                .await;
            }
            let [span] = &handshakes(&ear)[..] else {
                panic!("{ear:?}")
            };
            let outcome = if limit.is_some() { "timed_out" } else { "dropped" };
            assert_eq!(span.field("outcome"), Some(outcome));
            let elapsed = if limit.is_some() { "1s" } else { "0ns" };
            assert_eq!(span.field("elapsed"), Some(elapsed));
            let (bytes_out, awaited) = if role.is_client() {
                (tape.written().len(), "ServerHello")
            } else {
                (0, "ClientHello")
            };
            assert_eq!(span.field("bytes_out"), Some(bytes_out.to_string().as_str()));
            if limit.is_some() {
                let error = span.field("error").unwrap();
                assert!(error.contains(awaited), "{error}");
            } else {
                assert_eq!(span.field("error"), Some("the handshake was dropped half way"));
                let dropped = ear.events_named("handshake dropped");
                assert_eq!(dropped.len(), 1);
                assert!(
                    dropped[0].field("phase").unwrap().contains(awaited),
                    "{dropped:?}"
                );
            }
            assert_eq!(
                (span.field("alert_sent"), span.field("alert_received")),
                (None, None)
            );
        }
    }
}

async fn a_connection_that_is_refused_or_passed_on_says_so(version: ProtocolVersion) {
    for refuses in [true, false] {
        let ear = Ear::default();
        let _listening = ear.listen();
        let (ours, theirs) = ends();
        let server = async {
            let acceptor = sides::acceptor();
            let pending = acceptor.read_client_hello(theirs).await.unwrap();
            if refuses {
                pending.refuse(AlertDescription::UNRECOGNIZED_NAME).await;
            } else {
                drop(pending.into_parts());
            }
        };
        let connector = sides::connector(version);
        let (client, ()) = tokio::join!(connector.connect(server_name(), ours), server);
        client.expect_err("refused, or cut");
        let [client, server] = pair(&ear);
        assert_eq!(client.field("outcome"), Some("failed"));
        assert_eq!(server.field("server_name"), Some("localhost"));
        let alert = refuses.then_some("unrecognized_name");
        assert_eq!(
            (client.field("alert_received"), server.field("alert_sent")),
            (alert, alert)
        );
        assert_eq!(
            server.field("outcome"),
            Some(if refuses { "failed" } else { "passed_on" })
        );
        assert_eq!(
            ear.events_named("handshake passed on").len(),
            usize::from(!refuses)
        );
    }
}

async fn what_happens_in_a_handshake_happens_in_its_span(version: ProtocolVersion) {
    /// Says something when it is asked.
    #[derive(Debug)]
    struct Talker;

    impl tls_core::ConfigSelector for Talker {
        fn select<'a>(
            &'a self,
            _: &'a tls_core::ClientHello,
            _: &'a ConnectionContext,
        ) -> tls_core::Answer<'a, Result<tls_core::ServerConfig, tls_core::HookError>> {
            tracing::info!("a hook was asked");
            tls_core::Answer::Now(Ok(sides::server_builder().build().unwrap()))
        }
    }

    let ear = Ear::default();
    let _listening = ear.listen();
    let server = tls_core::ServerConfig::builder()
        .config_selector(Arc::new(Talker))
        .build();
    established(&sides::connector(version), &TlsAcceptor::new(server.unwrap())).await;
    let [said] = &ear.events_named("a hook was asked")[..] else {
        panic!("{ear:?}")
    };
    assert_eq!(ear.spans()[said.parent.unwrap()].field("side"), Some("server"));
    // It answered at once: there was nothing to wait for.
    assert!(ear.spans_named("hook").is_empty());
}

async fn nothing_is_made_for_those_who_listen_to_what_is_out_of_the_ordinary(version: ProtocolVersion) {
    let ear = Ear::at(Level::INFO);
    let _listening = ear.listen();
    drop(established(&sides::connector(version), &sides::acceptor()).await);
    drop(meet(&distrustful(version), &sides::acceptor()).await);
    assert_eq!((ear.spans().len(), ear.events().len()), (0, 0), "{ear:?}");
}
