//! A server of TLS 1.3 that asks, and what clients may answer.

use std::sync::{Arc, LazyLock};

use super::server_tests::{Step, run_at};
use super::tests::certified;
use crate::alert::AlertDescription;
use crate::config::{ClientAuth, ServerConfig};
use crate::error::{ErrorKind, Side};
use crate::hooks::{AcceptAnyCertificate, CertifiedKey};
use crate::registry::ContentType;

type A = AlertDescription;

static KEY: LazyLock<CertifiedKey> = LazyLock::new(certified);
static OTHER: LazyLock<CertifiedKey> = LazyLock::new(certified);
static STAPLED: LazyLock<CertifiedKey> = LazyLock::new(|| certified().with_ocsp_response(vec![1, 2, 3]));

/// A Certificate without certificates.
const NOTHING: Step = Step::Message(&[11, 0, 0, 4, 0, 0, 0, 0]);

fn server(auth: fn(Arc<AcceptAnyCertificate>) -> ClientAuth) -> ServerConfig {
    let server = ServerConfig::builder().certificate(certified());
    let auth = auth(Arc::new(AcceptAnyCertificate));
    server.client_auth(auth).build().unwrap()
}

fn requesting() -> ServerConfig {
    server(|verifier| ClientAuth::requested(verifier))
}

fn requiring() -> ServerConfig {
    server(|verifier| ClientAuth::required(verifier))
}

#[test]
fn a_chain_and_its_proof_are_an_identity_and_nothing_is_none() {
    let proven = [
        Step::Certificate(&[], &KEY),
        Step::Verify(Side::Client, &KEY),
        Step::Finished,
    ];
    for (config, script, chain) in [
        (requesting(), &[NOTHING, Step::Finished][..], &[][..]),
        (requesting(), &proven, KEY.chain()),
        (requiring(), &proven, KEY.chain()),
    ] {
        let (server, client) = run_at(&config, script);
        let connection = server.expect("it ends").expect("it is good");
        assert_eq!(connection.negotiated().peer_certificates(), chain);
        assert!(client.is_none());
    }
}

#[test]
fn whatever_else_a_client_answers_is_refused() {
    let chain = Step::Certificate(&[], &KEY);
    let proof = Step::Verify(Side::Client, &KEY);
    // One byte that is no certificate, with an extension of this type.
    let with_extension = |of: u8| -> Step {
        let entry = [0, 0, 1, 0x30, 0, 4, 0, of, 0, 0];
        let message = [&[11, 0, 0, 14, 0, 0, 0, 10][..], &entry].concat();
        Step::Message(message.leak())
    };
    let cases: [(&[Step], AlertDescription); 13] = [
        (&[NOTHING, Step::Finished], A::CERTIFICATE_REQUIRED),
        (&[Step::Finished], A::UNEXPECTED_MESSAGE),
        (&[proof, Step::Finished], A::UNEXPECTED_MESSAGE),
        // Without the proof, with one too many, or with one of something else.
        (&[chain, Step::Finished], A::UNEXPECTED_MESSAGE),
        (&[chain, proof, proof, Step::Finished], A::UNEXPECTED_MESSAGE),
        (&[chain, chain, proof, Step::Finished], A::UNEXPECTED_MESSAGE),
        (
            &[chain, Step::Verify(Side::Client, &OTHER), Step::Finished],
            A::DECRYPT_ERROR,
        ),
        // What a server would sign: somebody hands on the signature that it got.
        (
            &[chain, Step::Verify(Side::Server, &KEY), Step::Finished],
            A::DECRYPT_ERROR,
        ),
        (
            &[Step::Certificate(&[1], &KEY), proof, Step::Finished],
            A::ILLEGAL_PARAMETER,
        ),
        // A staple that nobody asked for, an extension of elsewhere, one that nobody knows.
        (
            &[
                Step::Certificate(&[], &STAPLED),
                Step::Verify(Side::Client, &STAPLED),
                Step::Finished,
            ],
            A::UNSUPPORTED_EXTENSION,
        ),
        (&[with_extension(51)], A::ILLEGAL_PARAMETER),
        (&[with_extension(99)], A::UNSUPPORTED_EXTENSION),
        (
            &[Step::Record(ContentType::APPLICATION_DATA, b"too early")],
            A::UNEXPECTED_MESSAGE,
        ),
    ];
    let config = requiring();
    for (number, (script, alert)) in cases.into_iter().enumerate() {
        let (server, client) = run_at(&config, script);
        let error = server
            .and_then(Result::err)
            .unwrap_or_else(|| panic!("case {number} was not refused"));
        assert_eq!(error.alert(), Some(alert), "case {number}: {error}");
        let received = client.unwrap_or_else(|| panic!("case {number}: no alert"));
        assert!(
            matches!(received.kind(), ErrorKind::AlertReceived(got) if *got == alert),
            "case {number}: {received}"
        );
    }
    let (server, _) = run_at(&requesting(), &[NOTHING, proof, Step::Finished]);
    let error = server.and_then(Result::err).expect("there is nothing to prove");
    assert_eq!(error.alert(), Some(A::UNEXPECTED_MESSAGE), "{error}");
}
