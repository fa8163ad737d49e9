//! The client against a server that follows a script under the handshake keys, and the size of the futures.

use core::pin::pin;
use core::task::{Context, Poll, Waker};
use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex};

use rustls_pki_types::ServerName;

use super::keys::start_handshake_keys;
use super::{accept, connect};
use crate::alert::AlertDescription;
use crate::config::{ClientConfig, ClientConfigBuilder, Common, ServerConfig};
use crate::connection::Connection;
use crate::crypto::{key_exchange, suites};
use crate::error::{Error, ErrorKind, Side};
use crate::hooks::{CertifiedKey, ConnectionContext};
use crate::key_schedule::EarlySchedule;
use crate::key_schedule::TrafficSecret;
use crate::messages::certificate::{Certificate, CertificateRef};
use crate::messages::certificate_verify::CertificateVerify;
use crate::messages::client_hello::ClientHello;
use crate::messages::key_share::KeyShareEntry;
use crate::messages::server_hello::{ServerExtensions, ServerHello, ServerHelloMessage};
use crate::peer::{Link, Peer};
use crate::registry::{CipherSuite, ContentType, NamedGroup, ProtocolVersion, SignatureScheme};

type A = AlertDescription;

/// Bytes that a handshake may take while it waits, hooks and IO not counted: there is one per connection in progress.
const MAX_FUTURE: usize = 2048;

const ENCRYPTED_EXTENSIONS: u8 = 8;
const CERTIFICATE: u8 = 11;
const CERTIFICATE_REQUEST: u8 = 13;

#[derive(Clone, Default)]
pub(super) struct Pipe(Arc<Mutex<VecDeque<u8>>>);

impl Pipe {
    pub(super) fn push(&self, bytes: &[u8]) {
        self.0.lock().unwrap().extend(bytes);
    }
}

pub(super) struct Ends {
    incoming: Pipe,
    pub(super) outgoing: Pipe,
}

impl Link for Ends {
    fn poll_read(&mut self, _: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        match io::Read::read(&mut *self.incoming.0.lock().unwrap(), buf) {
            Ok(0) => Poll::Pending,
            result => Poll::Ready(result),
        }
    }

    fn poll_write(&mut self, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.outgoing.push(buf);
        Poll::Ready(Ok(buf.len()))
    }
}

pub(super) fn links() -> [Ends; 2] {
    let [one, other] = [Pipe::default(), Pipe::default()];
    [
        Ends {
            incoming: one.clone(),
            outgoing: other.clone(),
        },
        Ends {
            incoming: other,
            outgoing: one,
        },
    ]
}

pub(super) fn certified() -> CertifiedKey {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    let key = made.signing_key.serialize_pem();
    CertifiedKey::from_pem(made.cert.pem().as_bytes(), key.as_bytes()).unwrap()
}

fn client() -> ClientConfigBuilder {
    ClientConfig::builder()
        .groups([NamedGroup::X25519])
        .dangerously_accept_any_certificate()
}

fn size_if_send<F: Future + Send>(future: &F) -> usize {
    size_of_val(future)
}

#[test]
fn handshake_futures_are_send_and_small() {
    let server_config = ServerConfig::builder().certificate(certified()).build().unwrap();
    let client_config = client().build().unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let [mut at_client, mut at_server] = links();
    let mut peer = Peer::new(Side::Client, &mut at_client, ConnectionContext::new());
    let client = size_if_send(&connect(&mut peer, &client_config, &name));
    let mut peer = Peer::new(Side::Server, &mut at_server, ConnectionContext::new());
    let server = size_if_send(&accept(&mut peer, &server_config));
    assert!(
        client <= MAX_FUTURE && server <= MAX_FUTURE,
        "connect takes {client} bytes, accept {server}"
    );
}

/// What the server sends under the handshake keys.
#[derive(Clone)]
enum Step {
    /// This message: type and body.
    Message(u8, Vec<u8>),
    /// A good Certificate.
    Certificate,
    /// A CertificateVerify for this context string, saying this scheme.
    Verify(&'static str, SignatureScheme),
    /// A good Finished.
    Finished,
    /// A record of this type.
    Record(ContentType, &'static [u8]),
    /// A record of data without content.
    EmptyData,
}

use Step::Message;

const SERVER: &str = "server";
const P256: SignatureScheme = SignatureScheme::ECDSA_SECP256R1_SHA256;

fn good() -> Vec<Step> {
    vec![
        Message(ENCRYPTED_EXTENSIONS, vec![0, 0]),
        Step::Certificate,
        Step::Verify(SERVER, P256),
        Step::Finished,
    ]
}

/// The good flight with this in place of the step at `at`.
fn instead(at: usize, steps: &[Step]) -> Vec<Step> {
    let mut flight = good();
    flight.splice(at..=at, steps.iter().cloned());
    flight
}

/// EncryptedExtensions with this block.
fn extensions(block: &[u8]) -> Vec<Step> {
    instead(0, &[Message(ENCRYPTED_EXTENSIONS, vec16(block))])
}

fn vec16(content: &[u8]) -> Vec<u8> {
    [&(content.len() as u16).to_be_bytes()[..], content].concat()
}

/// A Certificate with this context and these entries, already encoded.
fn certificate(context: &[u8], entries: &[u8]) -> Vec<Step> {
    let mut body = vec![context.len() as u8];
    body.extend(context);
    body.extend([0]);
    body.extend(vec16(entries));
    instead(1, &[Message(CERTIFICATE, body)])
}

/// An entry with this block of extensions.
fn entry(certificate: &[u8], block: &[u8]) -> Vec<u8> {
    [&[0], &vec16(certificate)[..], &vec16(block)].concat()
}

/// Sends the script, and reads what the client answers: its certificates if `reads_certificate`, and its Finished.
async fn follow(
    peer: &mut Peer<'_>,
    script: &[Step],
    max_fragment: usize,
    reads_certificate: bool,
) -> Result<Option<usize>, Error> {
    let certified = certified();
    let hello = peer.read::<ClientHello>().await?;
    peer.input
        .set_change_cipher_spec(crate::record::ChangeCipherSpec::Drop);
    peer.output.set_max_fragment(max_fragment);
    let suite = suites::suite(CipherSuite::TLS_AES_128_GCM_SHA256).unwrap();
    peer.transcript.start(suite.hash);
    let theirs = &hello.extensions.key_shares.as_ref().unwrap()[0];
    let (key_exchange, secret) = key_exchange::respond(theirs.group, &theirs.key_exchange)?;
    let group = theirs.group;
    peer.send(&ServerHelloMessage::Hello(ServerHello {
        legacy_version: ProtocolVersion::TLS12,
        random: [7; 32],
        session_id: hello.session_id,
        cipher_suite: suite.id,
        extensions: ServerExtensions {
            supported_version: Some(ProtocolVersion::TLS13),
            key_share: Some(KeyShareEntry { group, key_exchange }),
            ..ServerExtensions::default()
        },
    }))?;
    let keys = start_handshake_keys(
        peer,
        &Common::default(),
        &hello.random,
        suite,
        group,
        EarlySchedule::without_psk(suite.hash),
        false,
        &secret,
    )?;
    for step in script {
        match step {
            Message(message_type, body) => {
                let mut message = vec![*message_type, 0];
                message.extend(vec16(body));
                peer.send_encoded(&message)?;
            }
            Step::Certificate => {
                let mut message = Vec::new();
                let chain = CertificateRef {
                    chain: certified.chain(),
                    ..CertificateRef::default()
                };
                chain.encode_message(&mut message);
                peer.send_encoded(&message)?;
            }
            Step::Verify(signer, scheme) => {
                let mut content = vec![b' '; 64];
                content.extend(format!("TLS 1.3, {signer} CertificateVerify\0").as_bytes());
                content.extend(peer.transcript.hash().as_bytes());
                let context = ConnectionContext::new();
                let answer = certified.key().sign(P256, &content, &context);
                let crate::hooks::Answer::Now(Ok(signature)) = answer else {
                    panic!("the key cannot sign")
                };
                peer.send(&CertificateVerify {
                    scheme: *scheme,
                    signature,
                })?;
            }
            Step::Finished => keys.send_finished(peer)?,
            Step::Record(content_type, content) => peer.output.queue(*content_type, content)?,
            Step::EmptyData => peer.output.queue_empty(ContentType::APPLICATION_DATA)?,
        }
    }
    peer.flush().await?;
    let secrets = keys.application_secrets(peer, &Common::default(), &hello.random);
    let key_and_iv = |secret: &TrafficSecret| secret.key_and_iv(suite.key_len());
    let mut certificates = None;
    if reads_certificate {
        let message = peer.read::<Certificate>().await?;
        certificates = Some(message.entries.len());
        if let Some(leaf) = message.entries.first() {
            let leaf = leaf.certificate.clone();
            let hash = peer.transcript.hash();
            let verify = peer.read::<CertificateVerify>().await?;
            super::signature::check_certificate_verify(Side::Client, &[P256], &leaf, &hash, &verify)?;
        }
    }
    keys.read_finished(peer).await?;
    peer.set_read_keys(suite, &key_and_iv(&secrets.client))?;
    Ok(certificates)
}

type Results = (Result<Connection, Error>, Result<Option<usize>, Error>);

fn run_with(config: &ClientConfig, script: &[Step], max_fragment: usize, reads_certificate: bool) -> Results {
    run_client(config, async |peer| {
        follow(peer, script, max_fragment, reads_certificate).await
    })
}

/// Runs a client against this server, until both have ended. The client sends its alert.
pub(super) fn run_client<T>(
    config: &ClientConfig,
    server: impl AsyncFnOnce(&mut Peer<'_>) -> Result<T, Error>,
) -> (Result<Connection, Error>, Result<T, Error>) {
    let name = ServerName::try_from("localhost").unwrap();
    let [mut at_client, mut at_server] = links();
    let mut peer = Peer::new(Side::Client, &mut at_client, ConnectionContext::new());
    let mut client = pin!(async {
        let result = connect(&mut peer, config, &name).await;
        if let Err(error) = &result {
            peer.send_alert(error).await.unwrap();
        }
        result
    });
    let mut peer = Peer::new(Side::Server, &mut at_server, ConnectionContext::new());
    let mut server = pin!(server(&mut peer));
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
    (
        client_result.expect("the client ends"),
        server_result.expect("the server ends"),
    )
}

fn run(script: &[Step]) -> Results {
    let config = client().alpn(["h2", "http/1.1"]).build().unwrap();
    run_with(&config, script, 16_384, false)
}

fn refused(number: usize, script: &[Step], alert: AlertDescription) {
    let (client, server) = run(script);
    let error = client
        .err()
        .unwrap_or_else(|| panic!("case {number} was accepted"));
    assert_eq!(error.alert(), Some(alert), "case {number}: {error}");
    let received = server.unwrap_err();
    assert!(
        matches!(received.kind(), ErrorKind::AlertReceived(got) if *got == alert),
        "case {number}: {received}"
    );
}

#[test]
fn a_good_flight_completes_however_it_is_split() {
    for max_fragment in [1, 2, 100, 16_384] {
        let config = client().build().unwrap();
        let (client, server) = run_with(&config, &good(), max_fragment, false);
        assert!(
            client.is_ok() && server.is_ok(),
            "{:?} {:?}",
            client.err(),
            server.err()
        );
    }
}

#[test]
fn encrypted_extensions_hold_answers_to_what_was_offered() {
    let accepted = [
        extensions(&[]),
        extensions(&[0, 0, 0, 0]),
        extensions(&[0, 16, 0, 5, 0, 3, 2, b'h', b'2']),
        // The groups that the server would have liked better.
        extensions(&[0, 10, 0, 4, 0, 2, 0, 29]),
    ];
    for script in accepted {
        let (client, server) = run(&script);
        assert!(client.is_ok() && server.is_ok(), "{:?}", client.err());
    }
    let cases = [
        (extensions(&[0x12, 0x34, 0, 0]), A::UNSUPPORTED_EXTENSION),
        // early_data, record_size_limit: not offered.
        (extensions(&[0, 42, 0, 0]), A::UNSUPPORTED_EXTENSION),
        (extensions(&[0, 28, 0, 2, 1, 0]), A::UNSUPPORTED_EXTENSION),
        // key_share, supported_versions, signature_algorithms: of other messages.
        (extensions(&[0, 51, 0, 0]), A::ILLEGAL_PARAMETER),
        (extensions(&[0, 43, 0, 2, 3, 4]), A::ILLEGAL_PARAMETER),
        (extensions(&[0, 13, 0, 4, 0, 2, 4, 3]), A::ILLEGAL_PARAMETER),
        (
            extensions(&[0, 16, 0, 5, 0, 3, 2, b'h', b'3']),
            A::ILLEGAL_PARAMETER,
        ),
        (
            extensions(&[0, 16, 0, 8, 0, 6, 2, b'h', b'2', 2, b'h', b'2']),
            A::DECODE_ERROR,
        ),
        (extensions(&[0, 0, 0, 1, 0]), A::DECODE_ERROR),
        (extensions(&[0, 0, 0, 0, 0, 0, 0, 0]), A::ILLEGAL_PARAMETER),
        (extensions(&[0, 0, 0]), A::DECODE_ERROR),
        (
            instead(0, &[Message(ENCRYPTED_EXTENSIONS, vec![0, 0, 0])]),
            A::DECODE_ERROR,
        ),
        (
            instead(0, &[Message(ENCRYPTED_EXTENSIONS, vec![])]),
            A::DECODE_ERROR,
        ),
    ];
    for (number, (script, alert)) in cases.iter().enumerate() {
        refused(number, script, *alert);
    }
}

#[test]
fn wrong_certificates_are_refused() {
    let leaf = certified().chain()[0].to_vec();
    let cases = [
        (certificate(&[], &[]), A::DECODE_ERROR),
        (certificate(&[1], &entry(&leaf, &[])), A::ILLEGAL_PARAMETER),
        (certificate(&[], &entry(&[], &[])), A::DECODE_ERROR),
        (
            certificate(&[], &entry(&leaf, &[0x12, 0x34, 0, 0])),
            A::UNSUPPORTED_EXTENSION,
        ),
        (
            certificate(&[], &entry(&leaf, &[0, 51, 0, 0])),
            A::ILLEGAL_PARAMETER,
        ),
        (
            certificate(&[], &entry(&leaf, &[0, 5, 0, 1, 2])),
            A::ILLEGAL_PARAMETER,
        ),
        (certificate(&[], &entry(&[0x30, 0], &[])), A::DECODE_ERROR),
        // Another leaf than the one whose key signs.
        (certificate(&[], &entry(&leaf, &[])), A::DECRYPT_ERROR),
    ];
    for (number, (script, alert)) in cases.iter().enumerate() {
        refused(number, script, *alert);
    }
}

#[test]
fn a_signature_must_be_by_the_server_over_this_handshake_with_an_offered_scheme() {
    let verify = |signer, scheme| instead(2, &[Step::Verify(signer, scheme)]);
    let garbage = |body: &[u8]| instead(2, &[Message(15, body.to_vec())]);
    let cases = [
        (verify("client", P256), A::DECRYPT_ERROR),
        (
            verify(SERVER, SignatureScheme::RSA_PKCS1_SHA256),
            A::ILLEGAL_PARAMETER,
        ),
        (verify(SERVER, SignatureScheme::ECDSA_SHA1), A::ILLEGAL_PARAMETER),
        (
            verify(SERVER, SignatureScheme::ECDSA_SECP384R1_SHA384),
            A::ILLEGAL_PARAMETER,
        ),
        (verify(SERVER, SignatureScheme::ED25519), A::ILLEGAL_PARAMETER),
        (garbage(&[4, 3, 0, 0]), A::DECRYPT_ERROR),
        (garbage(&[4, 3, 0, 4, 1, 2, 3, 4]), A::DECRYPT_ERROR),
        (garbage(&[4, 3, 0, 4, 1, 2, 3]), A::DECODE_ERROR),
    ];
    for (number, (script, alert)) in cases.iter().enumerate() {
        refused(number, script, *alert);
    }
}

#[test]
fn messages_out_of_their_order_are_refused() {
    let without = |at| instead(at, &[]);
    let before = |at: usize, step: Step| {
        let next = good()[at].clone();
        instead(at, &[step, next])
    };
    let update = Message(24, vec![0]);
    let ticket = Message(4, vec![0; 20]);
    let cases = [
        without(0),
        without(1),
        without(2),
        before(1, good()[0].clone()),
        before(2, Step::Certificate),
        before(3, Step::Verify(SERVER, P256)),
        before(1, update.clone()),
        before(3, update.clone()),
        before(3, ticket),
        before(0, Message(0, vec![])),
        before(0, Message(2, vec![])),
        before(1, Message(99, vec![])),
        // Data before the Finished, be it empty.
        before(1, Step::Record(ContentType::APPLICATION_DATA, b"data")),
        before(3, Step::Record(ContentType::APPLICATION_DATA, b"data")),
        before(1, Step::EmptyData),
        before(0, Step::EmptyData),
        before(3, Step::Record(ContentType::CHANGE_CIPHER_SPEC, &[1])),
        // Bytes that run across the change of keys.
        [good(), vec![update]].concat(),
    ];
    for (number, script) in cases.iter().enumerate() {
        refused(number, script, A::UNEXPECTED_MESSAGE);
    }
}

#[test]
fn a_finished_that_does_not_fit_is_refused() {
    for length in [1, 31, 32, 33, 48] {
        refused(
            length,
            &instead(3, &[Message(20, vec![7; length])]),
            A::DECRYPT_ERROR,
        );
    }
    refused(0, &instead(3, &[Message(20, Vec::new())]), A::DECODE_ERROR);
}

/// A CertificateRequest with this context and block of extensions.
fn request(context: &[u8], block: &[u8]) -> Vec<Step> {
    let body = [&[context.len() as u8], context, &vec16(block)].concat();
    instead(1, &[Message(CERTIFICATE_REQUEST, body), Step::Certificate])
}

const ASKS_FOR_P256: [u8; 8] = [0, 13, 0, 4, 0, 2, 4, 3];

#[test]
fn a_client_answers_a_request_with_its_certificate_or_with_an_empty_one() {
    let without = client().build().unwrap();
    let with = client().certificate(certified()).build().unwrap();
    let for_rsa = [0, 13, 0, 4, 0, 2, 8, 4];
    for (config, block, sent) in [
        (&without, ASKS_FOR_P256, 0),
        (&with, ASKS_FOR_P256, 1),
        (&with, for_rsa, 0),
    ] {
        let (client, server) = run_with(config, &request(&[], &block), 16_384, true);
        assert!(client.is_ok(), "{:?}", client.err());
        assert_eq!(server.unwrap(), Some(sent));
    }
}

#[test]
fn wrong_certificate_requests_are_refused() {
    let twice = [request(&[], &ASKS_FOR_P256), good()].concat();
    let cases = [
        (request(&[1], &ASKS_FOR_P256), A::ILLEGAL_PARAMETER),
        (request(&[], &[]), A::MISSING_EXTENSION),
        (request(&[], &[0, 13, 0, 2, 0, 0]), A::DECODE_ERROR),
        (
            request(&[], &[&ASKS_FOR_P256[..], &[0, 51, 0, 0]].concat()),
            A::ILLEGAL_PARAMETER,
        ),
        (
            [&twice[..2], &request(&[], &ASKS_FOR_P256)[1..]].concat(),
            A::UNEXPECTED_MESSAGE,
        ),
    ];
    for (number, (script, alert)) in cases.iter().enumerate() {
        refused(number, script, *alert);
    }
}
