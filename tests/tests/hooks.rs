//! Hooks that answer later, refuse, or never answer at all.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;

use tls_core::{
    AlertDescription, Answer, CertificateError, CertificateQuery, CertificateResolver, CertifiedKey,
    ClientAuth, ClientConfig, ClientHello, ConfigSelector, ConnectionContext, Driver, ErrorKind,
    ExpectedPeer, HookError, PeerVerified, PeerVerifier, Phase, PrivateKey, Progress, ProtocolVersion,
    ServerConfig, Side, SignatureScheme, SigningKey, VerifyRequest,
};
use tls_tests::both_versions;
use tls_tests::pair::{NAME, Pair, authority, certified, client, identity, name, roots, server};
use tls_tests::pki::{KeyType, Leaf};
use tls_tests::versions::Only;

type A = AlertDescription;

both_versions!(
    a_hook_that_answers_later_holds_the_handshake_until_then_and_sees_the_context,
    a_hook_that_refuses_is_named_and_its_alert_is_sent,
    a_hook_that_never_answers_is_dropped_with_the_handshake,
    nothing_is_sent_while_a_server_hook_has_not_answered,
    a_wrong_signature_of_an_external_key_is_never_sent,
    a_resolver_that_has_nothing_is_a_handshake_failure,
);

/// Polls after which an answer that comes later is there.
const LATER: usize = 5;

/// What a hook does, for all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    Later,
    RefuseNow,
    RefuseLater,
    Never,
    /// Only [`Key`]: a signature over something else.
    WrongSignature,
}

/// What is seen of the hook from outside.
#[derive(Debug, Default)]
struct Seen {
    polls: AtomicUsize,
    dropped: AtomicBool,
    data: Mutex<Vec<String>>,
}

#[derive(Clone, Debug)]
struct Hook {
    how: How,
    side: Side,
    seen: Arc<Seen>,
    /// The configuration or key it gives in the end.
    config: Option<ServerConfig>,
    certified: Option<Arc<CertifiedKey>>,
    key: Option<Arc<SigningKey>>,
}

struct SeesDrop<'a>(&'a Seen);

impl Drop for SeesDrop<'_> {
    fn drop(&mut self) {
        self.0.dropped.store(true, Ordering::Relaxed);
    }
}

impl Hook {
    fn new(side: Side, how: How) -> Self {
        Self {
            how,
            side,
            seen: Arc::default(),
            config: None,
            certified: None,
            key: None,
        }
    }

    fn answer<'a, T: Send + 'a, E: Send + 'a>(
        &'a self,
        context: &'a ConnectionContext,
        good: impl FnOnce() -> T + Send + 'a,
        bad: impl FnOnce() -> E + Send + 'a,
    ) -> Answer<'a, Result<T, E>> {
        let note = format!(
            "{:?} {:?} {:?}",
            context.data::<u32>(),
            context.server_name(),
            context.peer_address()
        );
        self.seen.data.lock().unwrap().push(note);
        if self.how == How::RefuseNow {
            return Answer::Now(Err(bad()));
        }
        Answer::later(async move {
            let _guard = SeesDrop(&self.seen);
            poll_fn(|_| {
                let polls = self.seen.polls.fetch_add(1, Ordering::Relaxed);
                match polls >= LATER && self.how != How::Never {
                    true => Poll::Ready(()),
                    false => Poll::Pending,
                }
            })
            .await;
            match self.how {
                How::RefuseLater => Err(bad()),
                _ => Ok(good()),
            }
        })
    }
}

fn no() -> HookError {
    HookError::with_alert("the hook says no", A::ACCESS_DENIED)
}

impl ConfigSelector for Hook {
    fn select<'a>(
        &'a self,
        client_hello: &'a ClientHello,
        context: &'a ConnectionContext,
    ) -> Answer<'a, Result<ServerConfig, HookError>> {
        assert_eq!(client_hello.server_name(), Some(NAME));
        self.answer(context, || self.config.clone().unwrap(), no)
    }
}

impl CertificateResolver for Hook {
    fn resolve<'a>(
        &'a self,
        query: &'a CertificateQuery<'a>,
        context: &'a ConnectionContext,
    ) -> Answer<'a, Result<Option<Arc<CertifiedKey>>, HookError>> {
        let wanted = (self.side == Side::Server).then_some(NAME);
        assert_eq!(query.server_name, wanted);
        assert_eq!(query.client_hello.is_some(), self.side == Side::Server);
        if let Some(hello) = query.client_hello {
            // Those of PKCS #1 may sign handshakes of TLS 1.2 only.
            assert_eq!(
                query.schemes.contains(&SignatureScheme::RSA_PKCS1_SHA256),
                !hello.supported_versions().contains(&ProtocolVersion::TLS13)
            );
        }
        self.answer(context, || self.certified.clone(), no)
    }
}

impl PrivateKey for Hook {
    fn schemes(&self) -> &[SignatureScheme] {
        self.key.as_ref().unwrap().schemes()
    }

    fn sign<'a>(
        &'a self,
        scheme: SignatureScheme,
        message: &'a [u8],
        context: &'a ConnectionContext,
    ) -> Answer<'a, Result<Vec<u8>, HookError>> {
        let sign = move || {
            let message = if self.how == How::WrongSignature {
                b"something else"
            } else {
                message
            };
            self.key.as_ref().unwrap().sign(scheme, message).unwrap()
        };
        self.answer(context, sign, no)
    }
}

impl PeerVerifier for Hook {
    fn verify<'a>(
        &'a self,
        request: &'a VerifyRequest<'a>,
        context: &'a ConnectionContext,
    ) -> Answer<'a, Result<PeerVerified, CertificateError>> {
        match (self.side, request.expected) {
            (Side::Client, ExpectedPeer::Server(wanted)) => assert_eq!(*wanted, name(NAME)),
            (Side::Server, ExpectedPeer::Client) => {}
            (_, other) => panic!("{other:?}"),
        }
        assert_eq!(request.chain.certificates.len(), 2);
        self.answer(context, PeerVerified::assertion, || {
            CertificateError::Policy("the hook says no".into())
        })
    }
}

/// Client and server with this hook, which behaves so, on one side. If that concerns the client's certificate the server
/// asks for it.
fn with_hook(
    version: ProtocolVersion,
    (hook, side): (&str, Side),
    how: How,
) -> (ClientConfig, ServerConfig, Arc<Seen>) {
    let identity = match side {
        Side::Server => identity(KeyType::P256),
        Side::Client => authority().issue(&Leaf::new(KeyType::P256, &["client.test"]).client()),
    };
    let mut it = Hook::new(side, how);
    let seen = Arc::clone(&it.seen);
    let (mut at_client, mut at_server) = (client(), server());
    match (hook, side) {
        ("ConfigSelector", _) => {
            it.config = Some(server().alpn(["chosen"]).build().unwrap());
            at_server = ServerConfig::builder().config_selector(Arc::new(it));
        }
        ("CertificateResolver", Side::Server) => {
            it.certified = Some(Arc::new(certified(&identity)));
            at_server = ServerConfig::builder().certificate_resolver(Arc::new(it));
        }
        ("CertificateResolver", Side::Client) => {
            it.certified = Some(Arc::new(certified(&identity)));
            at_client = at_client.certificate_resolver(Arc::new(it));
            at_server = at_server.client_roots(roots());
        }
        ("PrivateKey", _) => {
            it.key = Some(Arc::new(SigningKey::from_der(&identity.key()).unwrap()));
            let certified = CertifiedKey::new(identity.chain(), Arc::new(it)).unwrap();
            match side {
                Side::Server => at_server = ServerConfig::builder().certificate(certified),
                Side::Client => {
                    at_client = at_client.certificate(certified);
                    at_server = at_server.client_roots(roots());
                }
            }
        }
        ("PeerVerifier", Side::Client) => at_client = ClientConfig::builder().verifier(Arc::new(it)),
        ("PeerVerifier", Side::Server) => {
            at_client = at_client.certificate(certified(&identity));
            at_server = at_server.client_auth(ClientAuth::required(Arc::new(it)));
        }
        other => panic!("{other:?}"),
    }
    (
        at_client.alpn(["chosen"]).only(version).build().unwrap(),
        at_server.build().unwrap(),
        seen,
    )
}

const HOOKS: [(&str, Side); 7] = [
    ("ConfigSelector", Side::Server),
    ("CertificateResolver", Side::Server),
    ("CertificateResolver", Side::Client),
    ("PrivateKey", Side::Server),
    ("PrivateKey", Side::Client),
    ("PeerVerifier", Side::Client),
    ("PeerVerifier", Side::Server),
];

fn a_hook_that_answers_later_holds_the_handshake_until_then_and_sees_the_context(version: ProtocolVersion) {
    for (hook, side) in HOOKS {
        for chunk in [1, usize::MAX] {
            let (client, server, seen) = with_hook(version, (hook, side), How::Later);
            let context = |data: u32| {
                ConnectionContext::new()
                    .with_data(data)
                    .with_peer_address("192.0.2.7:99".parse().unwrap())
            };
            let mut ends = Pair::with_contexts((&client, context(1)), (&server, context(2)))
                .in_chunks_of(chunk)
                .run()
                .established();
            ends.check(b"data");
            let alpn = ends.client.negotiated().alpn();
            assert_eq!(alpn.is_some(), hook == "ConfigSelector", "{hook}");
            assert_eq!(seen.polls.load(Ordering::Relaxed), LATER + 1, "{hook}");
            let expected = match side {
                Side::Client => "Some(1) None Some(192.0.2.7:99)".to_owned(),
                Side::Server => format!("Some(2) Some({NAME:?}) Some(192.0.2.7:99)"),
            };
            assert_eq!(*seen.data.lock().unwrap(), [expected], "{hook}");
        }
    }
}

fn a_hook_that_refuses_is_named_and_its_alert_is_sent(version: ProtocolVersion) {
    for (hook, side) in HOOKS {
        for how in [How::RefuseNow, How::RefuseLater] {
            let (client, server, _) = with_hook(version, (hook, side), how);
            let error = Pair::new(&client, &server)
                .run()
                .refused_by(side, A::ACCESS_DENIED);
            assert!(error.to_string().contains("the hook says no"), "{error}");
            match error.kind() {
                ErrorKind::Hook { hook: named, .. } => {
                    assert_eq!(*named, hook);
                    assert!(
                        matches!(error.phase(), Some(Phase::Hook(named)) if named == hook),
                        "{error}"
                    );
                }
                ErrorKind::Certificate(_) => assert_eq!(hook, "PeerVerifier"),
                _ => panic!("{error}"),
            }
        }
    }
}

fn a_hook_that_never_answers_is_dropped_with_the_handshake(version: ProtocolVersion) {
    for (hook, side) in HOOKS {
        let (client, server, seen) = with_hook(version, (hook, side), How::Never);
        let outcome = Pair::new(&client, &server).run();
        let waiting = match side {
            Side::Client => outcome.client,
            Side::Server => outcome.server,
        };
        assert!(format!("{waiting:?}").contains("waiting"), "{hook}: {waiting:?}");
        assert!(seen.polls.load(Ordering::Relaxed) > LATER);
        assert!(!seen.dropped.load(Ordering::Relaxed));
        drop(waiting);
        assert!(seen.dropped.load(Ordering::Relaxed), "{hook}");
    }
}

fn nothing_is_sent_while_a_server_hook_has_not_answered(version: ProtocolVersion) {
    for hook in ["ConfigSelector", "CertificateResolver", "PrivateKey"] {
        let (client, server, _) = with_hook(version, (hook, Side::Server), How::Never);
        let mut client = Driver::client(&client, name(NAME));
        let mut server = Driver::server(&server);
        client.advance().unwrap();
        server.receive(&client.transmit());
        for _ in 0..10 {
            assert_eq!(server.advance().unwrap(), Progress::Waiting);
            assert!(server.transmit().is_empty(), "{hook}");
        }
    }
}

fn a_wrong_signature_of_an_external_key_is_never_sent(version: ProtocolVersion) {
    for side in [Side::Server, Side::Client] {
        let (client, server, _) = with_hook(version, ("PrivateKey", side), How::WrongSignature);
        let error = Pair::new(&client, &server)
            .run()
            .refused_by(side, A::INTERNAL_ERROR);
        let kind = error.kind();
        assert!(
            matches!(
                kind,
                ErrorKind::Hook {
                    hook: "PrivateKey",
                    ..
                }
            ),
            "{error}"
        );
        assert_eq!(error.phase(), Some(Phase::Hook("PrivateKey")));
        assert!(error.to_string().contains("PrivateKey"), "{error}");
    }
}

fn a_resolver_that_has_nothing_is_a_handshake_failure(version: ProtocolVersion) {
    let (client, server, _) = {
        let hook = Hook::new(Side::Server, How::Later);
        let seen = Arc::clone(&hook.seen);
        let server = ServerConfig::builder()
            .certificate_resolver(Arc::new(hook))
            .build();
        (client().only(version).build().unwrap(), server.unwrap(), seen)
    };
    let error = Pair::new(&client, &server)
        .run()
        .refused_by(Side::Server, A::HANDSHAKE_FAILURE);
    assert!(matches!(error.kind(), ErrorKind::NothingInCommon(_)), "{error}");
}
