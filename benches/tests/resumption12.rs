//! rustls as the peer where TLS 1.2 is resumed: its server renews the ticket in each resumed handshake.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::io::{Read, Write};
use std::sync::Arc;

use rustls::crypto::aws_lc_rs::Ticketer;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tls_core::{
    Answer, CertifiedKey, ClientConfig, ClientSession, ClientSessionCache as _, ConnectionContext, Driver,
    ProtocolVersion, RootStore, ServerConfig, ServerName,
};
use tls_tokio::{MemorySessionCache, MemorySessionStore};

const NAME: &str = "localhost";

struct Identity {
    chain: Vec<rustls::pki_types::CertificateDer<'static>>,
    key: Vec<u8>,
    pem: String,
    key_pem: String,
}

fn identity() -> Identity {
    let made = rcgen::generate_simple_self_signed(vec![NAME.into()]).unwrap();
    Identity {
        chain: vec![made.cert.der().clone()],
        key: made.signing_key.serialize_der(),
        pem: made.cert.pem(),
        key_pem: made.signing_key.serialize_pem(),
    }
}

fn name() -> ServerName<'static> {
    ServerName::try_from(NAME).unwrap()
}

/// Runs the handshake of ours with theirs to its end.
fn run(ours: &mut Driver, theirs: &mut rustls::Connection) {
    for _ in 0..6 {
        ours.advance().unwrap();
        let sent = ours.transmit();
        let mut rest = &sent[..];
        while !rest.is_empty() {
            theirs.read_tls(&mut rest as &mut dyn Read).unwrap();
            theirs.process_new_packets().unwrap();
        }
        let mut answer = Vec::new();
        while theirs.wants_write() {
            theirs.write_tls(&mut answer as &mut dyn Write).unwrap();
        }
        ours.receive(&answer);
    }
    ours.advance().unwrap();
    assert!(!theirs.is_handshaking());
}

#[test]
fn our_client_resumes_with_tickets_that_are_renewed_each_time() {
    let identity = identity();
    let mut server = rustls::ServerConfig::builder_with_protocol_versions(&[&rustls::version::TLS12])
        .with_no_client_auth()
        .with_single_cert(
            identity.chain.clone(),
            PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(identity.key.clone())),
        )
        .unwrap();
    server.ticketer = Ticketer::new().unwrap();
    let server = Arc::new(server);
    let cache = Arc::new(MemorySessionCache::new(1));
    let client = ClientConfig::builder()
        .roots(RootStore::from_pem(identity.pem.as_bytes()).unwrap())
        .session_cache(cache.clone())
        .build()
        .unwrap();
    let mut tickets: Vec<Vec<u8>> = Vec::new();
    for round in 0..4 {
        let mut ours = Driver::client(&client, name());
        let mut theirs = rustls::Connection::from(rustls::ServerConnection::new(server.clone()).unwrap());
        run(&mut ours, &mut theirs);
        let mut connection = ours.into_connection().unwrap();
        assert_eq!(connection.negotiated().version(), ProtocolVersion::TLS12);
        assert_eq!(connection.negotiated().is_resumed(), round > 0, "{round}");
        let session: ClientSession = connection.reader.take_session().expect("a ticket each time");
        assert!(session.peer_chain().is_some() && session.has_extended_main_secret());
        assert!(!tickets.iter().any(|before| before == session.ticket()));
        tickets.push(session.ticket().to_vec());
        let (key, context) = (client.session_key(&name()), ConnectionContext::new());
        assert!(matches!(cache.put(&key, session, &context), Answer::Now(Ok(()))));
    }
}

#[test]
fn a_client_of_rustls_resumes_at_our_server() {
    let identity = identity();
    let certified = CertifiedKey::from_pem(identity.pem.as_bytes(), identity.key_pem.as_bytes()).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(identity.chain[0].clone()).unwrap();
    for stateful in [false, true] {
        let builder = ServerConfig::builder().certificate(certified.clone());
        let builder = match stateful {
            true => builder.session_store(Arc::new(MemorySessionStore::new(10))),
            false => builder,
        };
        let server = builder.build().unwrap();
        let mut client = rustls::ClientConfig::builder_with_protocol_versions(&[&rustls::version::TLS12])
            .with_root_certificates(roots.clone())
            .with_no_client_auth();
        if stateful {
            client.resumption = client
                .resumption
                .tls12_resumption(rustls::client::Tls12Resumption::SessionIdOnly);
        }
        let client = Arc::new(client);
        for round in 0..4 {
            let mut ours = Driver::server(&server);
            let theirs = rustls::ClientConnection::new(client.clone(), name()).unwrap();
            let mut theirs = rustls::Connection::from(theirs);
            run(&mut ours, &mut theirs);
            let connection = ours.into_connection().unwrap();
            assert_eq!(
                connection.negotiated().is_resumed(),
                round > 0,
                "stateful: {stateful}, {round}"
            );
            let kind = theirs.handshake_kind().unwrap();
            assert_eq!(kind == rustls::HandshakeKind::Resumed, round > 0);
        }
    }
}
