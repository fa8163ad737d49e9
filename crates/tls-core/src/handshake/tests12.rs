//! The client of TLS 1.2 against a server that follows a script.

use std::sync::{Arc, Mutex};

use super::keys12::Keys12;
use super::tests::{certified, run_client};
use crate::alert::AlertDescription;
use crate::config::{ClientConfig, ClientConfigBuilder, Common};
use crate::connection::Connection;
use crate::crypto::key_exchange::KeyExchange;
use crate::crypto::random::HandshakeRandom;
use crate::crypto::suites;
use crate::crypto::verification::algorithms_for_tls12;
use crate::error::{CertificateError, Error, ErrorKind, HookError, Misbehaviour};
use crate::hooks::{
    Answer, CertificateQuery, CertificateResolver, CertifiedKey, ConnectionContext, NoSessions, PeerVerified,
    PeerVerifier, VerifyRequest,
};
use crate::key_schedule12::Randoms;
use crate::messages::certificate_verify::CertificateVerify;
use crate::messages::client_hello::ClientHello;
use crate::messages::server_hello::{ServerExtensions, ServerHello, ServerHelloMessage};
use crate::messages::short_bytes::SessionId;
use crate::messages::tls12::certificate::{Certificate, CertificateRef};
use crate::messages::tls12::certificate_request::{CertificateRequest, ECDSA_SIGN, RSA_SIGN};
use crate::messages::tls12::client_key_exchange::ClientKeyExchange;
use crate::messages::tls12::server_hello_done::ServerHelloDone;
use crate::messages::tls12::server_key_exchange::{EcdhParams, ServerKeyExchange};
use crate::peer::Peer;
use crate::registry::{CipherSuite, ContentType, NamedGroup, ProtocolVersion, SignatureScheme};
use crate::verify::verify_signature;

type A = AlertDescription;

const P256: SignatureScheme = SignatureScheme::ECDSA_SECP256R1_SHA256;

/// What the server does; a good handshake unless changed.
#[derive(Clone)]
struct Script {
    suite: CipherSuite,
    extensions: ServerExtensions,
    /// Certificates, but for the good one.
    chain: Option<Vec<Vec<u8>>>,
    /// The body of a CertificateStatus.
    status: Option<Vec<u8>>,
    group: NamedGroup,
    /// The public key, but for the good one.
    public: Option<Vec<u8>>,
    /// What it says it signs with.
    scheme: SignatureScheme,
    /// Flips a bit of the server's random in what is signed.
    signs_something_else: bool,
    request: Option<CertificateRequest>,
    /// A message right before the change_cipher_spec.
    last_word: &'static [u8],
    /// Follows the ServerHelloDone in its record.
    after_done: &'static [u8],
    /// A Finished with these bytes instead of the good one.
    finished: Option<&'static [u8]>,
}

impl Script {
    fn good() -> Self {
        Self {
            suite: CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
            extensions: ServerExtensions {
                extended_main_secret: true,
                renegotiation_info: Some(Vec::new()),
                ..ServerExtensions::default()
            },
            chain: None,
            status: None,
            group: NamedGroup::X25519,
            public: None,
            scheme: P256,
            signs_something_else: false,
            request: None,
            last_word: &[],
            after_done: &[],
            finished: None,
        }
    }

    fn asking(types: &[u8], schemes: &[SignatureScheme]) -> Self {
        Self {
            request: Some(CertificateRequest {
                certificate_types: types.to_vec(),
                signature_algorithms: schemes.to_vec(),
                certificate_authorities: Vec::new(),
            }),
            ..Self::good()
        }
    }
}

/// Follows the script, and says how many certificates the client sent, if it was asked for one.
async fn follow(peer: &mut Peer<'_>, script: &Script) -> Result<Option<usize>, Error> {
    let certified = certified();
    let hello = peer.read::<ClientHello>().await?;
    let suite = suites::suite(script.suite).unwrap();
    let random = HandshakeRandom::new()?.take::<32>()?;
    peer.send(&ServerHelloMessage::Hello(ServerHello {
        legacy_version: ProtocolVersion::TLS12,
        random,
        session_id: SessionId::EMPTY,
        cipher_suite: suite.id,
        extensions: script.extensions.clone(),
    }))?;
    send_chain(peer, script, &certified)?;
    if let Some(body) = &script.status {
        peer.send_encoded(&message(22, body))?;
    }

    let key_exchange = KeyExchange::start(&[script.group])?;
    let (group, public) = key_exchange.shares()?.swap_remove(0);
    let params = EcdhParams {
        group,
        public: script.public.clone().unwrap_or(public),
    };
    let mut signed = params.signed_content(&hello.random, &random);
    signed[32] ^= u8::from(script.signs_something_else);
    let context = ConnectionContext::new();
    let Answer::Now(Ok(signature)) = certified.key().sign(P256, &signed, &context) else {
        panic!("the key cannot sign")
    };
    peer.send(&ServerKeyExchange {
        params,
        scheme: script.scheme,
        signature,
    })?;
    if let Some(request) = &script.request {
        peer.send(request)?;
    }
    peer.send(&ServerHelloDone)?;
    peer.output.queue(ContentType::HANDSHAKE, script.after_done)?;

    let certificates = match script.request {
        Some(_) => Some(peer.read::<Certificate>().await?.chain),
        None => None,
    };
    let public = peer.read::<ClientKeyExchange>().await?.public;
    let premaster = key_exchange.complete(group, &public)?;
    let randoms = Randoms {
        client: hello.random,
        server: random,
    };
    let extended = script.extensions.extended_main_secret;
    let keys = Keys12::agree(peer, &Common::default(), suite, &premaster, randoms, extended)?;
    if let Some(leaf) = certificates.iter().flatten().next() {
        // All messages so far, from the ClientHello on (RFC 5246 7.4.8).
        let signed = peer.transcript.buffered().unwrap().to_vec();
        let CertificateVerify { scheme, signature } = peer.read().await?;
        verify_signature(leaf, scheme, algorithms_for_tls12(scheme), &signed, &signature)?;
    }
    peer.transcript.start(suite.hash);
    keys.read_finished(peer).await?;
    if !script.last_word.is_empty() {
        peer.send_encoded(script.last_word)?;
    }
    match script.finished {
        None => keys.send_finished(peer)?,
        Some(verify_data) => keys.send_as_finished(peer, verify_data)?,
    }
    peer.flush().await?;
    Ok(certificates.map(|chain| chain.len()))
}

fn send_chain(peer: &mut Peer<'_>, script: &Script, certified: &CertifiedKey) -> Result<(), Error> {
    let chain = match &script.chain {
        Some(chain) => chain.iter().cloned().map(Into::into).collect(),
        None => certified.chain().to_vec(),
    };
    let mut message = Vec::new();
    CertificateRef { chain: &chain }.encode_message(&mut message);
    peer.send_encoded(&message)
}

fn message(message_type: u8, body: &[u8]) -> Vec<u8> {
    let length = (body.len() as u32).to_be_bytes();
    [&[message_type], &length[1..], body].concat()
}

fn client() -> ClientConfigBuilder {
    ClientConfig::builder()
        .groups([NamedGroup::X25519, NamedGroup::SECP256R1])
        .dangerously_accept_any_certificate()
}

type Results = (Result<Connection, Error>, Result<Option<usize>, Error>);

fn run_with(config: ClientConfigBuilder, script: &Script) -> Results {
    run_client(&config.build().unwrap(), async |peer| follow(peer, script).await)
}

fn accepted(config: ClientConfigBuilder, script: &Script) -> (Connection, Option<usize>) {
    let (client, server) = run_with(config, script);
    let client = client.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(client.negotiated().version(), ProtocolVersion::TLS12);
    (client, server.unwrap())
}

fn refused(number: usize, script: &Script, alert: AlertDescription) -> Error {
    let (client, server) = run_with(client(), script);
    let error = client
        .err()
        .unwrap_or_else(|| panic!("case {number} was accepted"));
    assert_eq!(error.alert(), Some(alert), "case {number}: {error}");
    // Where the server had ended, the alert is not read.
    if let Err(received) = server {
        assert!(
            matches!(received.kind(), ErrorKind::AlertReceived(got) if *got == alert),
            "case {number}: {received}"
        );
    }
    error
}

#[test]
fn a_good_flight_completes_with_and_without_the_extended_main_secret() {
    accepted(client(), &Script::good());
    let mut script = Script::good();
    script.extensions.extended_main_secret = false;
    accepted(client().allow_missing_extended_main_secret(), &script);
}

#[test]
fn the_curve_of_the_servers_key_must_be_among_the_clients_groups() {
    let with_groups = |groups: &[NamedGroup]| {
        let config = ClientConfig::builder().groups(groups.iter().copied());
        run_with(config.dangerously_accept_any_certificate(), &Script::good()).0
    };
    with_groups(&[NamedGroup::X25519, NamedGroup::SECP256R1]).unwrap();
    for groups in [
        &[NamedGroup::X25519][..],
        &[NamedGroup::X25519, NamedGroup::SECP384R1],
    ] {
        let error = with_groups(groups).expect_err("the curve was not offered");
        assert!(
            matches!(
                error.kind(),
                ErrorKind::Misbehaved(Misbehaviour::NotOffered("curve of the certificate's key"))
            ),
            "{error}"
        );
        assert_eq!(error.alert(), Some(A::ILLEGAL_PARAMETER));
    }
}

#[test]
fn a_server_key_exchange_is_for_an_offered_group_with_a_good_point() {
    let with = |group, public: Option<Vec<u8>>| Script {
        group,
        public,
        ..Script::good()
    };
    accepted(client(), &with(NamedGroup::SECP256R1, None));
    let cases = [
        // Not offered, a hybrid.
        with(NamedGroup::SECP384R1, None),
        with(NamedGroup::X25519MLKEM768, Some(vec![4; 65])),
        // Too short, all zero, not on the curve, compressed, hybrid form, the point at infinity.
        with(NamedGroup::X25519, Some(vec![9; 31])),
        with(NamedGroup::X25519, Some(vec![0; 32])),
        with(NamedGroup::SECP256R1, Some([vec![4], vec![1; 64]].concat())),
        with(NamedGroup::SECP256R1, Some([vec![2], vec![1; 32]].concat())),
        with(NamedGroup::SECP256R1, Some([vec![6], vec![1; 64]].concat())),
        with(NamedGroup::SECP256R1, Some(vec![0])),
    ];
    for (number, script) in cases.iter().enumerate() {
        refused(number, script, A::ILLEGAL_PARAMETER);
    }
    refused(0, &with(NamedGroup::X25519, Some(Vec::new())), A::DECODE_ERROR);
    // A hybrid that was offered, for TLS 1.3.
    let both = client().groups([NamedGroup::X25519MLKEM768, NamedGroup::X25519]);
    let (client, _) = run_with(both, &with(NamedGroup::X25519MLKEM768, Some(vec![4; 65])));
    assert_eq!(client.err().unwrap().alert(), Some(A::ILLEGAL_PARAMETER));
}

#[test]
fn a_server_key_exchange_is_signed_with_an_offered_scheme_that_fits_the_suite() {
    let wrong = Script {
        signs_something_else: true,
        ..Script::good()
    };
    refused(0, &wrong, A::DECRYPT_ERROR);
    let with = |scheme| Script {
        scheme,
        ..Script::good()
    };
    for (number, scheme) in [
        SignatureScheme::ECDSA_SHA1,
        SignatureScheme::RSA_PKCS1_SHA1,
        SignatureScheme(0x0a0a),
        // Offered, but for suites with RSA.
        SignatureScheme::RSA_PSS_RSAE_SHA256,
        SignatureScheme::RSA_PKCS1_SHA256,
        // For another key than that of the certificate.
        SignatureScheme::ED25519,
    ]
    .into_iter()
    .enumerate()
    {
        refused(number, &with(scheme), A::ILLEGAL_PARAMETER);
    }
    // Another hash with the same curve is good in TLS 1.2, if it were the one.
    refused(
        0,
        &with(SignatureScheme::ECDSA_SECP384R1_SHA384),
        A::DECRYPT_ERROR,
    );
    // A scheme that fits the key, and not the suite.
    let with_rsa = Script {
        suite: CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        ..Script::good()
    };
    refused(0, &with_rsa, A::ILLEGAL_PARAMETER);
}

#[test]
fn wrong_certificates_are_refused() {
    let with = |chain: &[&[u8]]| Script {
        chain: Some(chain.iter().map(|der| der.to_vec()).collect()),
        ..Script::good()
    };
    let leaf = certified().chain()[0].to_vec();
    refused(0, &with(&[]), A::DECODE_ERROR);
    refused(1, &with(&[&[0x30, 0]]), A::DECODE_ERROR);
    refused(2, &with(&[&[]]), A::DECODE_ERROR);
    // Another leaf than the one whose key signs.
    refused(3, &with(&[&leaf]), A::DECRYPT_ERROR);
    refused(4, &with(&vec![&leaf[..]; 40]), A::BAD_CERTIFICATE);
}

#[test]
fn nothing_may_follow_the_server_hello_done_before_the_client_has_answered() {
    let with = |after_done| Script {
        after_done,
        ..Script::good()
    };
    // The beginning of a NewSessionTicket, whose end comes when it is due.
    let mut split = with(&[4, 0, 0]);
    split.extensions.session_ticket = true;
    split.last_word = &[6, 0, 0, 0, 0, 0, 0];
    let (refused, _) = run_with(client().session_cache(Arc::new(NoSessions)), &split);
    let error = refused.err().unwrap();
    assert!(
        matches!(
            error.kind(),
            ErrorKind::Misbehaved(Misbehaviour::HandshakeDataAcrossKeyChange)
        ),
        "{error}"
    );
    // A HelloRequest may come at any time, for those who bear it.
    let hello_request = with(&[0, 0, 0, 0]);
    accepted(client(), &hello_request);
    let (strict, _) = run_with(client().end_on_hello_request(), &hello_request);
    assert_eq!(strict.err().unwrap().alert(), Some(A::NO_RENEGOTIATION));
}

/// Notes what the verifier is shown.
#[derive(Debug, Default)]
struct Verifier(Mutex<Vec<[Option<Vec<u8>>; 2]>>);

impl PeerVerifier for Verifier {
    fn verify<'a>(
        &'a self,
        request: &'a VerifyRequest<'a>,
        _: &'a ConnectionContext,
    ) -> Answer<'a, Result<PeerVerified, CertificateError>> {
        let chain = request.chain;
        let stapled = [chain.ocsp_response.clone(), chain.scts.clone()];
        self.0.lock().unwrap().push(stapled);
        Answer::Now(Ok(PeerVerified::assertion()))
    }
}

#[test]
fn what_is_stapled_reaches_the_verifier_and_need_not_come() {
    let scts = vec![0, 3, 0, 1, 9];
    let status = vec![1, 0, 0, 2, 0x30, 0];
    for (announced, status, scts) in [
        (true, Some(status), Some(scts)),
        (true, None, None),
        (false, None, None),
    ] {
        let expected = [status.as_ref().map(|_| vec![0x30, 0]), scts.clone()];
        let mut script = Script::good();
        script.extensions.status_request = announced;
        script.extensions.signed_certificate_timestamp = scts;
        script.status = status;
        let verifier = Arc::new(Verifier::default());
        accepted(
            ClientConfig::builder()
                .groups([NamedGroup::X25519, NamedGroup::SECP256R1])
                .verifier(Arc::clone(&verifier) as _),
            &script,
        );
        assert_eq!(*verifier.0.lock().unwrap(), [expected]);
    }
}

#[test]
fn a_certificate_status_that_was_not_announced_or_is_of_another_kind_is_refused() {
    let mut script = Script::good();
    script.status = Some(vec![1, 0, 0, 2, 0x30, 0]);
    refused(0, &script, A::UNEXPECTED_MESSAGE);
    script.extensions.status_request = true;
    script.status = Some(vec![2, 0, 0, 2, 0x30, 0]);
    refused(1, &script, A::ILLEGAL_PARAMETER);
    script.status = Some(vec![1, 0, 0, 0]);
    refused(2, &script, A::DECODE_ERROR);
}

#[test]
fn a_client_answers_a_request_with_its_certificate_or_with_an_empty_one() {
    let with = || client().certificate(certified());
    let ecdsa = Script::asking(&[RSA_SIGN, ECDSA_SIGN], &[SignatureScheme(0x0a0a), P256]);
    assert_eq!(accepted(client(), &ecdsa).1, Some(0));
    assert_eq!(accepted(with(), &ecdsa).1, Some(1));
    assert_eq!(accepted(with(), &Script::good()).1, None);
    // The key is not of a kind, or has no scheme, that the server takes.
    assert_eq!(accepted(with(), &Script::asking(&[RSA_SIGN], &[P256])).1, Some(0));
    let for_rsa = Script::asking(&[RSA_SIGN, ECDSA_SIGN], &[SignatureScheme::RSA_PSS_RSAE_SHA256]);
    assert_eq!(accepted(with(), &for_rsa).1, Some(0));
    // SHA-384 for the transcript, and no extended main secret.
    let mut other = ecdsa;
    other.suite = CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384;
    assert_eq!(accepted(with(), &other).1, Some(1));
    other.extensions.extended_main_secret = false;
    let allowing = with().allow_missing_extended_main_secret();
    assert_eq!(accepted(allowing, &other).1, Some(1));
}

/// Notes the kinds of certificate that it is told.
#[derive(Debug, Default)]
struct Resolver(Mutex<Vec<u8>>);

impl CertificateResolver for Resolver {
    fn resolve<'a>(
        &'a self,
        query: &'a CertificateQuery<'a>,
        _: &'a ConnectionContext,
    ) -> Answer<'a, Result<Option<Arc<CertifiedKey>>, HookError>> {
        *self.0.lock().unwrap() = query.certificate_types.to_vec();
        Answer::Now(Ok(None))
    }
}

#[test]
fn a_resolver_is_told_the_kinds_of_certificate_that_the_server_accepts() {
    let resolver = Arc::new(Resolver::default());
    let script = Script::asking(&[RSA_SIGN, 99, ECDSA_SIGN], &[P256]);
    accepted(client().certificate_resolver(resolver.clone()), &script);
    assert_eq!(*resolver.0.lock().unwrap(), [RSA_SIGN, 99, ECDSA_SIGN]);
}

#[test]
fn wrong_certificate_requests_are_refused() {
    for (number, script) in [Script::asking(&[], &[P256]), Script::asking(&[ECDSA_SIGN], &[])]
        .iter()
        .enumerate()
    {
        refused(number, script, A::DECODE_ERROR);
    }
}

#[test]
fn nothing_but_a_hello_request_comes_before_the_change_cipher_spec() {
    let with = |last_word| Script {
        last_word,
        ..Script::good()
    };
    for (number, message) in [
        // A ticket, which was not asked for; a Finished too early; a CertificateStatus too late.
        &[4, 0, 0, 6, 0, 0, 0, 0, 0, 0][..],
        &[20, 0, 0, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        &[22, 0, 0, 6, 1, 0, 0, 2, 0x30, 0],
        &[0, 0, 0],
    ]
    .into_iter()
    .enumerate()
    {
        refused(number, &with(message), A::UNEXPECTED_MESSAGE);
    }
}

#[test]
fn a_finished_that_does_not_fit_is_refused() {
    for (number, verify_data) in [&[7; 12][..], &[7; 11], &[7; 13], &[7; 32]]
        .into_iter()
        .enumerate()
    {
        let script = Script {
            finished: Some(verify_data),
            ..Script::good()
        };
        refused(number, &script, A::DECRYPT_ERROR);
    }
}
