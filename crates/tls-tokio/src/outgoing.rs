//! The writing side of a connection with its transport, and what becomes of it when nobody closed it.

use core::ops::{Deref, DerefMut};
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use std::io::{self, IoSlice};

use tls_core::Writer;
use tokio::io::AsyncWrite;

use crate::shutdown::Closing;
use crate::transfer;

/// What writes: the whole of a stream's transport, or the half of it that writes. Dropped open, it says goodbye to the
/// peer as far as that takes no waiting.
pub(crate) struct Outgoing<W>(Option<Parts<W>>);

pub(crate) struct Parts<W> {
    pub(crate) io: W,
    pub(crate) writer: Writer,
    pub(crate) closing: Closing,
    /// [`say_goodbye`] for this transport: a drop knows nothing of what the transport can do.
    goodbye: fn(&mut Self) -> bool,
}

impl<W: AsyncWrite + Unpin> Outgoing<W> {
    pub(crate) fn new(io: W, writer: Writer, closing: Closing) -> Self {
        Self(Some(Parts {
            io,
            writer,
            closing,
            goodbye: say_goodbye::<W>,
        }))
    }
}

impl<W> Outgoing<W> {
    /// The parts, which are not closed when they are dropped.
    #[expect(clippy::expect_used, reason = "only this takes them, and only once")]
    pub(crate) fn dismantle(mut self) -> Parts<W> {
        self.0.take().expect("not dismantled")
    }
}

impl<W> Deref for Outgoing<W> {
    type Target = Parts<W>;

    #[expect(
        clippy::expect_used,
        reason = "only `dismantle` takes them, and nothing is left to call then"
    )]
    fn deref(&self) -> &Parts<W> {
        self.0.as_ref().expect("not dismantled")
    }
}

impl<W> DerefMut for Outgoing<W> {
    #[expect(
        clippy::expect_used,
        reason = "only `dismantle` takes them, and nothing is left to call then"
    )]
    fn deref_mut(&mut self) -> &mut Parts<W> {
        self.0.as_mut().expect("not dismantled")
    }
}

impl<W> Drop for Outgoing<W> {
    fn drop(&mut self) {
        let Some(parts) = &mut self.0 else { return };
        if parts.closing.is_over() {
            return;
        }
        if std::thread::panicking() {
            // What was being said is not finished: the peer must not take it for that.
            tracing::debug!("a TLS stream was dropped open by a panic");
            return;
        }
        let sent = (parts.goodbye)(parts);
        tracing::debug!(close_notify_sent = sent, "a TLS stream was dropped open");
    }
}

/// Sends what is pending and close_notify behind it, as far as the transport takes it now: whether that was all of it.
/// A record that was half written goes on where it was, so that nothing comes out of order.
fn say_goodbye<W: AsyncWrite + Unpin>(parts: &mut Parts<W>) -> bool {
    let cx = &mut Context::from_waker(Waker::noop());
    let Parts { io, writer, .. } = parts;
    if writer.apply_control().is_err() || writer.ended_by_peer().is_some() || writer.close_notify().is_err() {
        return false;
    }
    let sent = matches!(transfer::poll_push(writer, io, cx), Poll::Ready(Ok(())));
    // Also where not all was taken: it ends what the other half, which may live on, can no longer use. A transport that
    // buffers is flushed by it.
    let _ = Pin::new(io).poll_shutdown(cx);
    sent
}

impl<W: AsyncWrite + Unpin> Parts<W> {
    pub(crate) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        data: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        transfer::poll_write(&mut self.writer, &mut self.io, cx, data)
    }

    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        transfer::poll_flush(&mut self.writer, &mut self.io, cx)
    }

    /// Shuts the transport's write side down if nobody has.
    pub(crate) fn close_transport(&mut self, cx: &mut Context<'_>) {
        if !self.closing.is_over() {
            self.closing.give_up(&mut self.io, cx);
        }
    }

    pub(crate) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.closing.poll(&mut self.writer, &mut self.io, cx)
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::{Debug, Write as _};
    use std::sync::{Arc, Mutex};

    use tls_core::{CertifiedKey, ClientConfig, PrivateKeyDer, ServerConfig, ServerName};
    use tokio::io::{AsyncWriteExt as _, DuplexStream};
    use tracing::field::{Field, Visit};
    use tracing::{Event, Level, Metadata, Subscriber, span};

    use crate::{TlsAcceptor, TlsConnector, TlsStream};

    /// Keeps what is said at level DEBUG or above.
    #[derive(Clone, Default)]
    struct Ear(Arc<Mutex<String>>);

    impl Visit for Ear {
        fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
            write!(self.0.lock().unwrap(), "{}={value:?} ", field.name()).unwrap();
        }
    }

    impl Subscriber for Ear {
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            *metadata.level() <= Level::DEBUG
        }
        fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
            span::Id::from_u64(1)
        }
        fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
        fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
        fn event(&self, event: &Event<'_>) {
            event.record(&mut self.clone());
        }
        fn enter(&self, _: &span::Id) {}
        fn exit(&self, _: &span::Id) {}
    }

    async fn pair(room: usize) -> (TlsStream<DuplexStream>, TlsStream<DuplexStream>) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let key = CertifiedKey::from_der(vec![made.cert.der().clone()], &key).unwrap();
        let server = ServerConfig::builder().certificate(key).build().unwrap();
        let client = ClientConfig::builder()
            .dangerously_accept_any_certificate()
            .build()
            .unwrap();
        let (near, far) = tokio::io::duplex(room);
        let (connector, acceptor) = (TlsConnector::new(client), TlsAcceptor::new(server));
        let name = ServerName::try_from("localhost").unwrap();
        let (client, server) = tokio::join!(connector.connect(name, near), acceptor.accept(far));
        (client.unwrap(), server.unwrap())
    }

    #[tokio::test]
    async fn a_drop_says_whether_the_stream_was_open_and_whether_its_goodbye_left() {
        let said = |drops: Box<dyn FnOnce()>| {
            let ear = Ear::default();
            tracing::subscriber::with_default(ear.clone(), drops);
            let said = ear.0.lock().unwrap();
            said.clone()
        };
        let (client, server) = Box::pin(pair(64 * 1024)).await;
        assert_eq!(
            said(Box::new(|| drop(client))),
            "message=a TLS stream was dropped open close_notify_sent=true "
        );
        let (read, write) = server.into_split();
        assert_eq!(said(Box::new(|| drop(read))), "");
        // There is no one to take it.
        assert_eq!(
            said(Box::new(|| drop(write))),
            "message=a TLS stream was dropped open close_notify_sent=false "
        );

        let (mut client, mut server) = Box::pin(pair(64 * 1024)).await;
        client.shutdown().await.unwrap();
        assert_eq!(said(Box::new(|| drop(client))), "");
        // More than the pipe holds.
        let _ = server.write(&[7; 100_000]).await;
        assert!(said(Box::new(|| drop(server))).contains("close_notify_sent=false"));

        let (client, _server) = Box::pin(pair(64 * 1024)).await;
        assert_eq!(said(Box::new(|| client.abort())), "");
    }
}
