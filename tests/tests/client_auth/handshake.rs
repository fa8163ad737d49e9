//! Who gets in, and under what name.

use super::*;
use tls_core::{Driver, Progress};
use tls_tests::both_versions;

both_versions!(
    a_server_learns_who_its_client_is_if_it_asks,
    a_required_certificate_that_is_missing_is_an_alert,
    every_kind_of_key_proves_itself,
    a_certificate_is_presented_in_chunks_of_any_size,
    a_verifier_may_answer_later,
    a_verifier_that_refuses_now_or_later_ends_the_handshake,
    another_configuration_asks_for_certificates_by_name,
);

fn asking(version: ProtocolVersion) -> [ServerConfig; 3] {
    [
        server(version),
        server(version).client_auth(ClientAuth::requested(web_pki())),
        server(version).client_auth(ClientAuth::required(web_pki())),
    ]
    .map(|builder| builder.build().unwrap())
}

fn a_server_learns_who_its_client_is_if_it_asks(version: ProtocolVersion) {
    let identity = issue(&good());
    let [silent, requesting, requiring] = asking(version);
    for (server, presented, known) in [
        (&silent, None, None),
        (&silent, Some(&identity), None),
        (&requesting, None, None),
        (&requesting, Some(&identity), Some(&identity)),
        (&requiring, Some(&identity), Some(&identity)),
    ] {
        assert!(!meet(&client(version, presented), server, known));
    }
}

fn a_required_certificate_that_is_missing_is_an_alert(version: ProtocolVersion) {
    let [_, _, requiring] = asking(version);
    let outcome = Pair::new(&client(version, None), &requiring).run();
    let error = outcome.refused_by(
        Side::Server,
        match version {
            ProtocolVersion::TLS13 => A::CERTIFICATE_REQUIRED,
            _ => A::HANDSHAKE_FAILURE,
        },
    );
    assert!(
        error.to_string().contains("the client presented no certificate"),
        "{error}"
    );
}

fn every_kind_of_key_proves_itself(version: ProtocolVersion) {
    for key_type in KeyType::ALL {
        let identity = issue(&Leaf::new(key_type, &["client.test"]).client());
        assert!(!meet(
            &client(version, Some(&identity)),
            &requiring(version),
            Some(&identity)
        ));
    }
}

fn a_certificate_is_presented_in_chunks_of_any_size(version: ProtocolVersion) {
    let identity = issue(&good());
    for chunk in [1, 7, 100] {
        let outcome = Pair::new(&client(version, Some(&identity)), &requiring(version)).in_chunks_of(chunk);
        let mut ends = outcome.run().established();
        ends.check(b"data");
        check_identity(&ends, Some(&identity));
    }
}

fn a_verifier_may_answer_later(version: ProtocolVersion) {
    let (identity, verifier) = (issue(&good()), Told::to(How::AcceptLater));
    let server = server(version).client_auth(ClientAuth::required(verifier.clone()));
    assert!(!meet(
        &client(version, Some(&identity)),
        &server.build().unwrap(),
        Some(&identity)
    ));
    assert_eq!(verifier.asked(), 1);
}

fn a_verifier_that_refuses_now_or_later_ends_the_handshake(version: ProtocolVersion) {
    for how in [How::Refuse, How::RefuseLater] {
        let server = server(version).client_auth(ClientAuth::requested(Told::to(how)));
        let client = client(version, Some(&issue(&good())));
        let outcome = Pair::new(&client, &server.build().unwrap()).run();
        let error = outcome.refused_by(Side::Server, A::ACCESS_DENIED);
        assert!(error.to_string().contains("not this client"), "{error}");
    }
}

/// A selector that gives everybody this configuration.
#[derive(Debug)]
struct Always(ServerConfig);

impl tls_core::ConfigSelector for Always {
    fn select<'a>(
        &'a self,
        _: &'a tls_core::ClientHello,
        _: &'a ConnectionContext,
    ) -> Answer<'a, Result<ServerConfig, tls_core::HookError>> {
        Answer::Now(Ok(self.0.clone()))
    }
}

fn another_configuration_asks_for_certificates_by_name(version: ProtocolVersion) {
    let identity = issue(&good());
    let (silent, asking) = (server(version).build().unwrap(), requiring(version));
    let selecting = |base: ServerConfigBuilder, chosen: &ServerConfig| {
        let base = base.config_selector(Arc::new(Always(chosen.clone())));
        base.build().unwrap()
    };
    let client = client(version, Some(&identity));
    assert!(!meet(
        &client,
        &selecting(server(version), &asking),
        Some(&identity)
    ));
    let base = server(version).client_roots(roots());
    assert!(!meet(&client, &selecting(base, &silent), None));
}

#[test]
fn a_client_of_tls13_is_not_established_before_it_said_who_it_is() {
    let identity = issue(&good());
    let config = client(ProtocolVersion::TLS13, Some(&identity));
    let mut server = Driver::server(&requiring(ProtocolVersion::TLS13));
    let mut client = Driver::client(&config, name(NAME));
    for _ in 0..3 {
        client.advance().unwrap();
        server.receive(&client.transmit());
        if server.advance().unwrap() == Progress::Done {
            break;
        }
        client.receive(&server.transmit());
    }
    let connection = server.into_connection().expect("it is done");
    assert_eq!(connection.negotiated().peer_certificates(), identity.chain());
}
