//! From the listening socket to the last line: who is accepted, and how it ends.

use core::future::pending;
use core::task::{Context, Poll, ready};
use core::time::Duration;
use std::io;
use std::net::SocketAddr;

use tls_tokio::{
    Accepted, Drained, HandshakeFailure, Listen, ListenerHandle, PlainHttpAnswer, TlsAcceptor, TlsListener,
};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::Mode;
use super::connection::{self, Outcome};
use super::stop::StopSignal;
use crate::console;
use crate::failure::Failure;

/// How connections are accepted, and what is done with them.
#[derive(Clone, Debug)]
pub(super) struct Server {
    pub(super) acceptor: TlsAcceptor,
    pub(super) mode: Mode,
    pub(super) takes_early_data: bool,
    /// One connection, then it is over.
    pub(super) once: bool,
    /// How long open connections may take to end when we are told to stop.
    pub(super) drain: Duration,
}

impl Server {
    /// Serves until we are told to stop, or once.
    pub(super) async fn run(self, tcp: TcpListener, mut stop: StopSignal) -> Result<(), Failure> {
        let (outcomes, mut first_outcome) = mpsc::channel(1);
        let mut listener = self.listener(tcp, outcomes.clone());
        let handle = listener.handle();
        let accepting = async {
            while let Some(Accepted {
                stream,
                address,
                guard,
                ..
            }) = listener.accept().await
            {
                let (mode, draining, outcomes) = (self.mode, guard.draining(), outcomes.clone());
                tokio::spawn(guard.run(async move {
                    let outcome = connection::serve(mode, stream, address, &draining).await;
                    // Only the first one is of interest.
                    let _ = outcomes.try_send(outcome);
                }));
            }
            pending::<()>().await;
        };
        let ending = async {
            tokio::select! {
                Some(outcome) = first_outcome.recv(), if self.once => return match outcome {
                    Outcome::Served => Ok(()),
                    Outcome::Failed => Err(Failure::new("the connection failed")),
                },
                () = stop.received() => {}
            }
            drain(&handle, self.drain, &mut stop).await;
            Ok(())
        };
        tokio::select! {
            () = accepting => Ok(()),
            result = ending => result,
        }
    }

    fn listener(
        &self,
        tcp: TcpListener,
        outcomes: mpsc::Sender<Outcome>,
    ) -> TlsListener<Source, connection::Established> {
        let source = Source {
            tcp,
            left: self.once.then_some(1),
        };
        let (mode, takes_early_data) = (self.mode, self.takes_early_data);
        TlsListener::with_handshake(source, self.acceptor.clone(), move |acceptor, tcp, context| {
            connection::handshake(mode, takes_early_data, acceptor, tcp, context)
        })
        .first_byte_timeout(self.acceptor.time_limit())
        .on_failure(move |client, failure: HandshakeFailure<TcpStream>| {
            console::say(format_args!("{client} failed: {failure}"));
            let outcomes = outcomes.clone();
            tokio::spawn(async move {
                // Of other failures nothing is left to say.
                let _ = failure.answer_plain_http(PlainHttpAnswer::BadRequest).await;
                let _ = outcomes.try_send(Outcome::Failed);
            });
        })
    }
}

/// Lets what is under way end, within the limit, or until we are told again. Says how that went.
pub(super) async fn drain(handle: &ListenerHandle, limit: Duration, stop: &mut StopSignal) {
    let counts = handle.counts();
    if !limit.is_zero() && counts.open.saturating_add(counts.handshaking) > 0 {
        console::say(format_args!(
            "stopping: {} open, {} in their handshake; they have {limit:?}, or until the next signal",
            counts.open, counts.handshaking
        ));
    }
    let drained = tokio::select! {
        drained = handle.drain(limit) => drained,
        () = stop.received() => handle.drain(Duration::ZERO).await,
    };
    say_how_it_ended(handle, drained);
}

fn say_how_it_ended(handle: &ListenerHandle, drained: Drained) {
    let Drained {
        finished,
        forced,
        left,
        handshakes,
        ..
    } = drained;
    let cut_off = forced.saturating_add(left);
    console::say(format_args!(
        "stopped: {}; at the end {finished} finished, {cut_off} cut off, {handshakes} handshakes given up",
        handle.counts()
    ));
}

/// The listening socket, for all connections or for so many.
struct Source {
    tcp: TcpListener,
    left: Option<u32>,
}

impl Listen for Source {
    type Io = TcpStream;
    type Address = SocketAddr;

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        if self.left == Some(0) {
            return Poll::Pending;
        }
        let accepted = ready!(Listen::poll_accept(&mut self.tcp, cx))?;
        self.left = self.left.map(|left| left.saturating_sub(1));
        Poll::Ready(Ok(accepted))
    }

    fn poll_first_byte(io: &mut TcpStream, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        <TcpListener as Listen>::poll_first_byte(io, cx)
    }

    fn socket_address(address: &SocketAddr) -> Option<SocketAddr> {
        <TcpListener as Listen>::socket_address(address)
    }
}
