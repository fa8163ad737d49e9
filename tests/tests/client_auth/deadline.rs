//! A verifier of clients that never answers.

use super::*;
use tls_core::Phase;
use tls_tests::both_versions;
use tls_tokio::{Error, TlsAcceptor, TlsConnector};

both_versions!(
    async
    a_verifier_that_never_answers_is_named,
    a_verifier_that_never_answers_for_a_session_is_named,
);

/// A handshake that the server's verifier does not let end: at the deadline it is named.
async fn ends_at_the_deadline(client: ClientConfig, server: ServerConfig) {
    let (near, far) = tokio::io::duplex(64 * 1024);
    let connecting = tokio::spawn(async move {
        let connector = TlsConnector::new(client);
        drop(connector.connect(name(NAME), near).await);
    });
    let acceptor = TlsAcceptor::new(server).handshake_timeout(Some(Duration::from_secs(7)));
    let failure = acceptor.accept(far).await.expect_err("it cannot end");
    connecting.abort();
    let (error, _) = failure.into_parts();
    assert!(error.to_string().contains("PeerVerifier"), "{error}");
    assert!(
        matches!(&error, Error::Timeout(timeout) if timeout.phase == Phase::Hook("PeerVerifier")),
        "{error}"
    );
}

async fn a_verifier_that_never_answers_is_named(version: ProtocolVersion) {
    let server = server(version).client_auth(ClientAuth::requested(Told::to(How::Never)));
    let client = client(version, Some(&issue(&good())));
    ends_at_the_deadline(client, server.build().unwrap()).await;
}

async fn a_verifier_that_never_answers_for_a_session_is_named(version: ProtocolVersion) {
    let identity = issue(&good());
    let verifier = Told::to(How::Accept);
    let server = server(version).client_auth(ClientAuth::required(verifier.clone()));
    let server = server.build().unwrap();
    let client = client(version, Some(&identity));
    assert!(!meet(&client, &server, Some(&identity)));
    verifier.set(How::Never);
    ends_at_the_deadline(client, server).await;
    assert_eq!(verifier.asked(), 2, "for the session alone");
}
