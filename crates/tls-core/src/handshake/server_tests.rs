//! The server against a client that follows a script under the handshake keys.

use core::pin::pin;
use core::task::{Context, Poll, Waker};

use super::accept;
use super::keys::start_handshake_keys;
use super::signature::send_certificate_verify;
use super::tests::{Pipe, certified, links};
use crate::alert::AlertDescription;
use crate::config::{Common, ServerConfig};
use crate::connection::Connection;
use crate::crypto::key_exchange::KeyExchange;
use crate::crypto::suites;
use crate::error::{Error, ErrorKind, Phase, Side};
use crate::hooks::{CertifiedKey, ConnectionContext};
use crate::key_schedule::EarlySchedule;
use crate::messages::certificate::{Certificate, CertificateRef};
use crate::messages::certificate_request::CertificateRequest;
use crate::messages::certificate_verify::CertificateVerify;
use crate::messages::client_extensions::ClientExtensions;
use crate::messages::client_hello::{ClientHello, Compression};
use crate::messages::encrypted_extensions::EncryptedExtensions;
use crate::messages::key_share::KeyShareEntry;
use crate::messages::server_hello::ServerHelloMessage;
use crate::messages::short_bytes::SessionId;
use crate::peer::Peer;
use crate::record::ChangeCipherSpec;
use crate::registry::{
    CipherSuite, ContentType, HandshakeType, NamedGroup, ProtocolVersion, SignatureScheme,
};

type A = AlertDescription;

/// What the client sends after the server's flight.
#[derive(Clone, Copy)]
pub(super) enum Step {
    Record(ContentType, &'static [u8]),
    EmptyData,
    Finished,
    /// A handshake message that counts, with its header.
    Message(&'static [u8]),
    /// A chain, or the like of one.
    Certificate(&'static [u8], &'static CertifiedKey),
    /// A CertificateVerify by this key, as if this side signed.
    Verify(Side, &'static CertifiedKey),
    /// A record without protection.
    Plain(ContentType, &'static [u8]),
    /// Goes on under the keys of the data, with some of it.
    Data(&'static [u8]),
}

fn hello(share: (NamedGroup, Vec<u8>)) -> ClientHello {
    let (group, key_exchange) = share;
    ClientHello {
        legacy_version: ProtocolVersion::TLS12,
        random: [9; 32],
        session_id: SessionId::EMPTY,
        cipher_suites: vec![CipherSuite::TLS_AES_256_GCM_SHA384],
        compression: Compression::OnlyNull,
        extensions: ClientExtensions {
            supported_groups: Some(vec![group]),
            signature_algorithms: Some(vec![SignatureScheme::ECDSA_SECP256R1_SHA256]),
            supported_versions: Some(vec![ProtocolVersion::TLS13]),
            key_shares: Some(vec![KeyShareEntry { group, key_exchange }]),
            ..ClientExtensions::default()
        },
        raw: Vec::new(),
    }
}

/// Sends the script; gives what the server answered: an alert, if any.
async fn follow(peer: &mut Peer<'_>, wire: &Pipe, script: &[Step]) -> Result<(), Error> {
    let key_exchange = KeyExchange::start(&[NamedGroup::X25519])?;
    let hello = hello(key_exchange.shares()?.swap_remove(0));
    peer.send(&hello)?;
    peer.input.set_change_cipher_spec(ChangeCipherSpec::Drop);
    let (answer, bytes) = peer.read_unhashed::<ServerHelloMessage>().await?;
    let ServerHelloMessage::Hello(answer) = answer else {
        panic!("a retry")
    };
    let suite = suites::suite(answer.cipher_suite).unwrap();
    peer.transcript.start(suite.hash);
    peer.transcript.add(&bytes);
    let share = answer.extensions.key_share.unwrap();
    let secret = key_exchange.complete(share.group, &share.key_exchange)?;
    let common = Common::default();
    let keys = start_handshake_keys(
        peer,
        &common,
        &hello.random,
        suite,
        share.group,
        EarlySchedule::without_psk(suite.hash),
        false,
        &secret,
    )?;
    peer.read::<EncryptedExtensions>().await?;
    if peer.peek(HandshakeType::CERTIFICATE).await? == HandshakeType::CERTIFICATE_REQUEST {
        peer.read::<CertificateRequest>().await?;
    }
    peer.read::<Certificate>().await?;
    peer.read::<CertificateVerify>().await?;
    keys.read_finished(peer).await?;
    let secrets = keys.application_secrets(peer, &common, &hello.random);
    peer.set_read_keys(suite, &secrets.server.key_and_iv(suite.key_len()))?;
    for step in script {
        match *step {
            Step::Record(content_type, content) => peer.output.queue(content_type, content)?,
            Step::EmptyData => peer.output.queue_empty(ContentType::APPLICATION_DATA)?,
            Step::Finished => keys.send_finished(peer)?,
            Step::Message(message) => peer.send_encoded(message)?,
            Step::Certificate(context, certified) => {
                let mut message = Vec::new();
                let (chain, ocsp, scts) = (certified.chain(), certified.ocsp_response(), None);
                CertificateRef {
                    context,
                    chain,
                    ocsp,
                    scts,
                }
                .encode_message(&mut message);
                peer.send_encoded(&message)?;
            }
            Step::Verify(signer, certified) => {
                let scheme = SignatureScheme::ECDSA_SECP256R1_SHA256;
                send_certificate_verify(peer, signer, certified, scheme).await?;
            }
            Step::Plain(content_type, content) => {
                peer.flush().await?;
                let header = [content_type.0, 3, 3, 0, content.len() as u8];
                wire.push(&header);
                wire.push(content);
            }
            Step::Data(data) => {
                peer.set_write_keys(suite, &secrets.client.key_and_iv(suite.key_len()))?;
                peer.output.queue(ContentType::APPLICATION_DATA, data)?;
            }
        }
    }
    peer.flush().await?;
    peer.peek(HandshakeType::NEW_SESSION_TICKET).await.map(|_| ())
}

/// The server's result, and the client's error (an alert), if it got one.
fn run(script: &[Step]) -> (Option<Result<Connection, Error>>, Option<Error>) {
    let config = ServerConfig::builder().certificate(certified()).build().unwrap();
    run_at(&config, script)
}

/// The same at this server.
pub(super) fn run_at(
    config: &ServerConfig,
    script: &[Step],
) -> (Option<Result<Connection, Error>>, Option<Error>) {
    let [mut at_client, mut at_server] = links();
    let wire = at_client.outgoing.clone();
    let mut peer = Peer::new(Side::Client, &mut at_client, ConnectionContext::new());
    let mut client = pin!(follow(&mut peer, &wire, script));
    let mut peer = Peer::new(Side::Server, &mut at_server, ConnectionContext::new());
    let mut server = pin!(async {
        let result = accept(&mut peer, config).await;
        if let Err(error) = &result {
            peer.send_alert(error).await.unwrap();
        }
        result
    });
    let (mut client_result, mut server_result) = (None, None);
    let mut cx = Context::from_waker(Waker::noop());
    for _ in 0..10 {
        if client_result.is_none()
            && let Poll::Ready(result) = client.as_mut().poll(&mut cx)
        {
            client_result = Some(result);
        }
        if server_result.is_none()
            && let Poll::Ready(result) = server.as_mut().poll(&mut cx)
        {
            server_result = Some(result);
        }
    }
    (server_result, client_result.and_then(Result::err))
}

#[test]
fn a_good_finished_ends_the_handshake() {
    let warning = Step::Record(ContentType::ALERT, &[1, 90]);
    let dummy = Step::Plain(ContentType::CHANGE_CIPHER_SPEC, &[1]);
    for script in [
        &[Step::Finished][..],
        &[Step::Finished, Step::Data(b"data")],
        &[warning, Step::Finished],
        &[dummy, Step::Finished],
    ] {
        let (server, client) = run(script);
        assert!(
            matches!(server, Some(Ok(_))),
            "{:?}",
            server.and_then(Result::err)
        );
        assert!(client.is_none());
    }
}

#[test]
fn whatever_else_comes_before_the_finished_is_refused() {
    const HANDSHAKE: ContentType = ContentType::HANDSHAKE;
    const DATA: ContentType = ContentType::APPLICATION_DATA;
    let bad = |length: usize| -> &'static [u8] {
        let mut message = vec![20, 0, 0, length as u8];
        message.resize(4 + length, 7);
        message.leak()
    };
    let cases: [(&[Step], AlertDescription); 14] = [
        (&[Step::Record(HANDSHAKE, bad(48))], A::DECRYPT_ERROR),
        (&[Step::Record(HANDSHAKE, bad(32))], A::DECRYPT_ERROR),
        (&[Step::Record(HANDSHAKE, bad(0))], A::DECODE_ERROR),
        // Certificate, EndOfEarlyData, KeyUpdate: nobody asked for them.
        (
            &[Step::Record(HANDSHAKE, &[11, 0, 0, 4, 0, 0, 0, 0])],
            A::UNEXPECTED_MESSAGE,
        ),
        (
            &[Step::Record(HANDSHAKE, &[5, 0, 0, 0]), Step::Finished],
            A::UNEXPECTED_MESSAGE,
        ),
        (
            &[Step::Record(HANDSHAKE, &[24, 0, 0, 1, 0]), Step::Finished],
            A::UNEXPECTED_MESSAGE,
        ),
        (
            &[Step::Record(DATA, b"too early"), Step::Finished],
            A::UNEXPECTED_MESSAGE,
        ),
        (&[Step::EmptyData, Step::Finished], A::UNEXPECTED_MESSAGE),
        // A message behind the Finished, under the same keys.
        (
            &[Step::Finished, Step::Record(HANDSHAKE, &[24, 0, 0, 1, 0])],
            A::UNEXPECTED_MESSAGE,
        ),
        (
            &[Step::Finished, Step::Record(HANDSHAKE, &[24])],
            A::UNEXPECTED_MESSAGE,
        ),
        (
            &[
                Step::Record(ContentType::CHANGE_CIPHER_SPEC, &[1]),
                Step::Finished,
            ],
            A::UNEXPECTED_MESSAGE,
        ),
        (&[Step::Plain(HANDSHAKE, &[20, 0, 0, 0])], A::BAD_RECORD_MAC),
        (&[Step::Plain(DATA, b"not sealed")], A::BAD_RECORD_MAC),
        (&[Step::Data(b"without Finished")], A::BAD_RECORD_MAC),
    ];
    for (number, (script, alert)) in cases.into_iter().enumerate() {
        let (server, client) = run(script);
        let error = server
            .and_then(Result::err)
            .unwrap_or_else(|| panic!("case {number} was not refused"));
        assert_eq!(error.alert(), Some(alert), "case {number}: {error}");
        assert_eq!(error.phase(), Some(Phase::Reading(HandshakeType::FINISHED)));
        let received = client.unwrap_or_else(|| panic!("case {number}: no alert"));
        assert!(
            matches!(received.kind(), ErrorKind::AlertReceived(got) if *got == alert),
            "case {number}: {received}"
        );
    }
}

#[test]
fn an_alert_of_a_client_without_keys_is_understood() {
    let (server, _) = run(&[Step::Plain(ContentType::ALERT, &[2, 47])]);
    let error = server.and_then(Result::err).unwrap();
    assert!(
        matches!(error.kind(), ErrorKind::AlertReceived(A::ILLEGAL_PARAMETER)),
        "{error}"
    );
}
