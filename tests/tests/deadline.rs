//! One deadline covers everything a handshake may wait for: the peer's bytes, room to write, and every hook.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::large_futures,
    reason = "tests"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use tls_core::{
    Answer, CertificateError, CertificateQuery, CertificateResolver, CertifiedKey, ClientHello,
    ConfigSelector, ConnectionContext, HandshakeType, HookError, PeerVerified, PeerVerifier, Phase,
    PrivateKey, ProtocolVersion, ServerConfig, Side, SignatureScheme, VerifyRequest,
};
use tls_tests::both_versions;
use tls_tests::script::{Memory, Script, ScriptedIo, Tape};
use tls_tests::sides::{self, Role, scripted, server_name};
use tls_tests::versions::Only;
use tls_tokio::{
    DEFAULT_HANDSHAKE_TIMEOUT, Error, HandshakeFailure, HandshakeTimeout, TlsAcceptor, TlsConnector,
    TlsStream,
};
use tokio::io::{DuplexStream, duplex};
use tokio::time::{Instant, timeout};

both_versions!(
    async a_peer_that_stops_after_any_byte_ends_at_the_deadline_with_what_was_awaited,
    a_peer_that_stops_reading_after_any_byte_ends_at_the_deadline_while_writing,
    a_peer_that_never_reads_is_noticed_on_a_real_pipe_too,
    a_trickle_does_not_postpone_the_deadline,
    the_default_is_ten_seconds_and_none_waits_for_ever,
    a_timeout_becomes_an_io_error_of_that_kind,
    a_config_selector_that_never_answers_ends_at_the_deadline,
    a_certificate_resolver_that_never_answers_ends_at_the_deadline,
    a_private_key_that_never_answers_ends_at_the_deadline,
    a_peer_verifier_that_never_answers_ends_at_the_deadline,
);

const LIMIT: Duration = Duration::from_secs(7);

type Scripted = ScriptedIo<DuplexStream>;

/// A handshake whose transport stops as the script says, and how long it took. The peer is free of faults.
async fn stopped(role: Role, script: Script) -> (HandshakeFailure<Scripted>, Arc<Tape>, Duration) {
    let (io, peer) = scripted(script);
    let tape = io.tape();
    let other = tokio::spawn(async move { drop(role.other().handshake(peer, None).await) });
    let started = Instant::now();
    let subject = role.handshake(io, Some(LIMIT)).await;
    let took = started.elapsed();
    other.abort();
    (subject.expect_err("it cannot finish"), tape, took)
}

fn timed_out<IO>(failure: HandshakeFailure<IO>) -> (HandshakeTimeout, IO) {
    match failure.into_parts() {
        (Error::Timeout(timed_out), io) => (timed_out, io),
        (other, _) => panic!("not a timeout: {other}"),
    }
}

/// The bytes that a handshake without faults reads and writes on this side.
async fn wire(role: Role) -> (Vec<u8>, Vec<u8>) {
    let (io, peer) = scripted(Script::new());
    let tape = io.tape();
    let (subject, other) = tokio::join!(role.handshake(io, None), role.other().handshake(peer, None));
    // Not dropped yet: that would be more to write.
    let _established = (subject.unwrap(), other.unwrap());
    (tape.read(), tape.written())
}

async fn a_peer_that_stops_after_any_byte_ends_at_the_deadline_with_what_was_awaited(
    version: ProtocolVersion,
) {
    for role in Role::both(version) {
        let (read, _) = wire(role).await;
        for bytes in 0..read.len() {
            let (failure, tape, took) = stopped(role, Script::new().read_stall_after(bytes as u64)).await;
            let expected = role.awaits(&read, bytes);
            let (error, io) = timed_out(failure);
            let what = format!("{role:?}, silence after {bytes} bytes: {error:?}");
            assert_eq!(error.phase, Phase::Reading(expected), "{what}");
            assert_eq!(error.side == Side::Client, role.is_client(), "{what}");
            assert_eq!(error.bytes_in, bytes as u64, "{what}");
            assert_eq!(error.bytes_out, tape.written().len() as u64, "{what}");
            // The timer counts whole milliseconds.
            assert!(
                took >= LIMIT && took < LIMIT + Duration::from_millis(2),
                "{what}: {took:?}"
            );
            assert_eq!(error.elapsed.as_secs(), LIMIT.as_secs(), "{what}");
            assert!(!tape.counts().is_dropped(), "{what}");
            drop(io);
            assert!(tape.counts().is_dropped(), "{what}");
        }
    }
}

async fn a_peer_that_stops_reading_after_any_byte_ends_at_the_deadline_while_writing(
    version: ProtocolVersion,
) {
    for role in Role::both(version) {
        let (_, written) = wire(role).await;
        for bytes in 0..written.len() {
            let (failure, tape, took) = stopped(role, Script::new().write_stall_after(bytes as u64)).await;
            let (error, _io) = timed_out(failure);
            let what = format!("{role:?}, {bytes} bytes written: {error:?}");
            assert_eq!(error.phase, Phase::Writing, "{what}");
            assert_eq!(error.bytes_out, bytes as u64, "{what}");
            assert_eq!(error.bytes_in, tape.read().len() as u64, "{what}");
            assert_eq!(took.as_secs(), LIMIT.as_secs(), "{what}");
        }
    }
}

async fn a_peer_that_never_reads_is_noticed_on_a_real_pipe_too(version: ProtocolVersion) {
    // Smaller than a ClientHello, and nobody at the other end.
    let (io, _peer) = duplex(16);
    let failure = Role::client(version)
        .handshake(io, Some(LIMIT))
        .await
        .expect_err("it cannot finish");
    assert!(failure.to_string().contains("timed out after 7"), "{failure}");
    let (error, _io) = timed_out(failure);
    assert_eq!((error.phase, error.bytes_out), (Phase::Writing, 16));
}

async fn a_trickle_does_not_postpone_the_deadline(version: ProtocolVersion) {
    let (read, _) = wire(Role::server(version)).await;
    let (io, mut peer) = duplex(1024);
    let trickle = tokio::spawn(async move {
        use tokio::io::AsyncWriteExt;
        for byte in read {
            tokio::time::sleep(Duration::from_millis(500)).await;
            if peer.write_all(&[byte]).await.is_err() {
                return;
            }
        }
    });
    let started = Instant::now();
    let failure = Role::server(version)
        .handshake(io, Some(LIMIT))
        .await
        .expect_err("it is too slow");
    assert_eq!(started.elapsed().as_secs(), LIMIT.as_secs());
    let (error, _io) = timed_out(failure);
    assert_eq!(error.phase, Phase::Reading(HandshakeType::CLIENT_HELLO));
    assert!((13..=14).contains(&error.bytes_in), "{error:?}");
    trickle.abort();
}

async fn the_default_is_ten_seconds_and_none_waits_for_ever(version: ProtocolVersion) {
    let started = Instant::now();
    let failure = sides::acceptor()
        .accept(Memory::then_silent([]))
        .await
        .expect_err("silence");
    assert_eq!(started.elapsed().as_secs(), 10);
    assert_eq!(DEFAULT_HANDSHAKE_TIMEOUT.as_secs(), 10);
    timed_out(failure);

    for role in Role::both(version) {
        let unlimited = role.handshake(Memory::then_silent([]), None);
        let day = Duration::from_secs(86_400);
        assert!(timeout(day, unlimited).await.is_err(), "{role:?}: it ended");
    }
}

async fn a_timeout_becomes_an_io_error_of_that_kind(version: ProtocolVersion) {
    let failure = Role::server(version)
        .handshake(Memory::then_silent([]), Some(LIMIT))
        .await
        .expect_err("silence");
    let error = std::io::Error::from(failure);
    assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
    assert!(error.to_string().contains("waiting for ClientHello"), "{error}");
    assert!(error.to_string().contains("(0 bytes in, 0 bytes out)"), "{error}");
}

/// A hook of every kind that never answers, and sees whether its future is dropped.
#[derive(Clone, Debug, Default)]
struct Never(Arc<Watched>);

#[derive(Debug, Default)]
struct Watched {
    asked: AtomicBool,
    dropped: AtomicBool,
}

struct Guard(Arc<Watched>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.dropped.store(true, Relaxed);
    }
}

impl Never {
    fn answer<'a, T: 'a>(&self) -> Answer<'a, T> {
        let guard = Guard(Arc::clone(&self.0));
        Answer::later(async move {
            guard.0.asked.store(true, Relaxed);
            std::future::pending().await
        })
    }

    fn was_asked(&self) -> bool {
        self.0.asked.load(Relaxed)
    }

    fn is_dropped(&self) -> bool {
        self.0.dropped.load(Relaxed)
    }
}

impl ConfigSelector for Never {
    fn select<'a>(
        &'a self,
        _: &'a ClientHello,
        _: &'a ConnectionContext,
    ) -> Answer<'a, Result<ServerConfig, HookError>> {
        self.answer()
    }
}

impl CertificateResolver for Never {
    fn resolve<'a>(
        &'a self,
        _: &'a CertificateQuery<'a>,
        _: &'a ConnectionContext,
    ) -> Answer<'a, Result<Option<Arc<CertifiedKey>>, HookError>> {
        self.answer()
    }
}

impl PrivateKey for Never {
    fn schemes(&self) -> &[SignatureScheme] {
        &[SignatureScheme::ED25519]
    }

    fn sign<'a>(
        &'a self,
        _: SignatureScheme,
        _: &'a [u8],
        _: &'a ConnectionContext,
    ) -> Answer<'a, Result<Vec<u8>, HookError>> {
        self.answer()
    }
}

impl PeerVerifier for Never {
    fn verify<'a>(
        &'a self,
        _: &'a VerifyRequest<'a>,
        _: &'a ConnectionContext,
    ) -> Answer<'a, Result<PeerVerified, CertificateError>> {
        self.answer()
    }
}

/// The side with the hook fails at its deadline, or is dropped before; either way its future is dropped.
async fn hook_never_answers<F, Fut>(hook: &'static str, role: Role, handshake: F)
where
    F: Fn(Never, Option<Duration>, Scripted) -> Fut,
    Fut: Future<Output = Result<TlsStream<Scripted>, HandshakeFailure<Scripted>>>,
{
    let never = Never::default();
    let (io, peer) = scripted(Script::new());
    let tape = io.tape();
    let other = tokio::spawn(async move { drop(role.other().handshake(peer, None).await) });
    let started = Instant::now();
    let failure = handshake(never.clone(), Some(LIMIT), io).await.expect_err(hook);
    assert_eq!(started.elapsed().as_secs(), LIMIT.as_secs(), "{hook}");
    assert!(never.was_asked() && never.is_dropped(), "{hook}");
    assert!(failure.to_string().contains(hook), "{failure}");
    let (error, _io) = timed_out(failure);
    assert_eq!(error.phase, Phase::Hook(hook));
    assert_eq!(error.bytes_in, tape.read().len() as u64);
    assert!(error.bytes_in > 0);
    other.abort();

    let never = Never::default();
    let (io, peer) = scripted(Script::new());
    let tape = io.tape();
    let other = tokio::spawn(async move { drop(role.other().handshake(peer, None).await) });
    let unlimited = handshake(never.clone(), None, io);
    assert!(timeout(LIMIT, unlimited).await.is_err(), "{hook}");
    assert!(never.was_asked() && never.is_dropped(), "{hook}");
    assert!(tape.counts().is_dropped(), "{hook}");
    other.abort();
}

async fn accept(
    config: tls_core::ServerConfigBuilder,
    limit: Option<Duration>,
    io: Scripted,
) -> Result<TlsStream<Scripted>, HandshakeFailure<Scripted>> {
    let acceptor = TlsAcceptor::new(config.build().unwrap());
    acceptor.handshake_timeout(limit).accept(io).await
}

async fn a_config_selector_that_never_answers_ends_at_the_deadline(version: ProtocolVersion) {
    hook_never_answers("ConfigSelector", Role::server(version), |never, limit, io| {
        accept(
            sides::server_builder().config_selector(Arc::new(never)),
            limit,
            io,
        )
    })
    .await;
}

async fn a_certificate_resolver_that_never_answers_ends_at_the_deadline(version: ProtocolVersion) {
    hook_never_answers(
        "CertificateResolver",
        Role::server(version),
        |never, limit, io| {
            let config = ServerConfig::builder().certificate_resolver(Arc::new(never));
            accept(config, limit, io)
        },
    )
    .await;
}

async fn a_private_key_that_never_answers_ends_at_the_deadline(version: ProtocolVersion) {
    hook_never_answers("PrivateKey", Role::server(version), |never, limit, io| {
        let certified = CertifiedKey::new(sides::identity().chain(), Arc::new(never)).unwrap();
        accept(ServerConfig::builder().certificate(certified), limit, io)
    })
    .await;
}

async fn a_peer_verifier_that_never_answers_ends_at_the_deadline(version: ProtocolVersion) {
    hook_never_answers(
        "PeerVerifier",
        Role::client(version),
        |never, limit, io| async move {
            let config = sides::client_builder()
                .only(version)
                .verifier(Arc::new(never))
                .build()
                .unwrap();
            let connector = TlsConnector::new(config).handshake_timeout(limit);
            connector.connect(server_name(), io).await
        },
    )
    .await;
}
