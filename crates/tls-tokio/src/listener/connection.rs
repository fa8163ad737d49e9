//! One connection on its way to an established stream.

use core::future::{Future, poll_fn};
use core::pin::{Pin, pin};
use std::sync::Arc;

use tls_core::{ConnectionContext, HandshakeType, Phase, Side};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout_at};

use super::counts::End;
use super::drain::StreamGuard;
use super::listen::Listen;
use super::settings::Settings;
use super::state::Entry;
use crate::error::{Error, HandshakeFailure, HandshakeTimeout};

/// A stream that nobody has taken yet.
pub(super) struct Admitted<S, A> {
    pub(super) stream: S,
    pub(super) address: A,
    pub(super) guard: StreamGuard,
    /// Streams that nobody takes keep their places, so that there are never more of both than allowed.
    _place: OwnedSemaphorePermit,
}

/// Waits for the first byte, then for a place, and runs the handshake.
///
/// This is what a silent connection costs: what belongs to the later steps is made when they begin.
pub(super) async fn admit<L: Listen, S: Send + 'static>(
    settings: Arc<Settings<L, S>>,
    mut io: L::Io,
    address: L::Address,
    mut entry: Entry,
) -> Option<Box<Admitted<S, L::Address>>> {
    let arrived = Instant::now();
    let until = settings
        .first_byte_timeout
        .and_then(|limit| arrived.checked_add(limit));
    let first_byte = within(until, pin!(poll_fn(|cx| L::poll_first_byte(&mut io, cx)))).await;
    match first_byte {
        Some(Ok(())) => {}
        Some(Err(error)) => {
            let error = Error::Tls(tls_core::Error::new(tls_core::ErrorKind::Link(error)));
            let end = End::Failed(&error);
            entry.ended(&end);
            settings.report(address, HandshakeFailure::before_handshake(error, io));
            return None;
        }
        None => {
            entry.ended(&End::Silent);
            let error = timed_out(Phase::Reading(HandshakeType::CLIENT_HELLO), arrived);
            settings.report(address, HandshakeFailure::before_handshake(error, io));
            return None;
        }
    }
    entry.has_spoken();

    // The deadline of the handshake covers the wait for a place.
    let spoke = Instant::now();
    let deadline = settings
        .acceptor
        .time_limit()
        .and_then(|limit| spoke.checked_add(limit));
    let place = within(deadline, pin!(Arc::clone(&settings.places).acquire_owned())).await;
    // (The semaphore is never closed.)
    let Some(Ok(place)) = place else {
        let error = timed_out(Phase::Starting, spoke);
        entry.ended(&End::Failed(&error));
        settings.report(address, HandshakeFailure::before_handshake(error, io));
        return None;
    };
    if !entry.handshakes() {
        return None;
    }

    let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
    let acceptor = settings
        .acceptor
        .clone()
        .handshake_timeout(left)
        .stopped_by(entry.shared().force.clone());
    let mut context = ConnectionContext::new();
    if let Some(address) = L::socket_address(&address) {
        context = context.with_peer_address(address);
    }
    match (settings.handshake)(acceptor, io, context).await {
        Ok(stream) => Some(Box::new(Admitted {
            stream,
            address,
            guard: StreamGuard {
                open: entry.established(),
            },
            _place: place,
        })),
        Err(failure) => {
            drop(place);
            entry.ended(&End::Failed(failure.error()));
            settings.report(address, failure);
            None
        }
    }
}

fn timed_out(phase: Phase, since: Instant) -> Error {
    Error::Timeout(HandshakeTimeout {
        side: Side::Server,
        phase,
        bytes_in: 0,
        bytes_out: 0,
        elapsed: since.elapsed(),
    })
}

async fn within<F: Future>(deadline: Option<Instant>, future: Pin<&mut F>) -> Option<F::Output> {
    match deadline {
        Some(deadline) => timeout_at(deadline, future).await.ok(),
        None => Some(future.await),
    }
}

#[cfg(test)]
mod tests {
    use tls_core::ServerConfig;
    use tokio::net::TcpListener;

    use super::*;
    use crate::acceptor::TlsAcceptor;
    use crate::listener::state::Shared;
    use crate::stream::TlsStream;

    /// Bytes of a silent connection's future: the socket, its address, a timer, and the wait for a place. That of a
    /// handshake is several times as large.
    const MAX_SILENT: usize = 640;

    #[tokio::test]
    async fn a_silent_connection_has_a_small_future() {
        let key = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let certificate = crate::CertifiedKey::from_pem(
            key.cert.pem().as_bytes(),
            key.signing_key.serialize_pem().as_bytes(),
        );
        let config = ServerConfig::builder()
            .certificate(certificate.unwrap())
            .build()
            .unwrap();
        let settings: Settings<TcpListener, TlsStream<_>> = Settings::new(
            TlsAcceptor::new(config),
            Arc::new(|acceptor, io, context| {
                Box::pin(async move { acceptor.accept_with(io, context).await })
            }),
        );
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = tcp.local_addr().unwrap();
        let (io, _) = tokio::join!(tokio::net::TcpStream::connect(address), tcp.accept());
        let entry = Arc::new(Shared::default()).admit(None, None).unwrap();
        let size = size_of_val(&admit(Arc::new(settings), io.unwrap(), address, entry));
        assert!(size <= MAX_SILENT, "{size} bytes");
    }
}
