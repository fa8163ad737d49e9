//! What puts the sessions of a client's connection into its cache.

use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};
use std::sync::{Arc, Mutex, PoisonError};

use tls_core::{
    Answer, ClientConfig, ClientSession, ClientSessionCache, ConnectionContext, Reader, ServerName,
    SessionKey,
};

/// Takes sessions from a reader to a cache. A cache that answers later is polled by the reads of the stream, and
/// forgotten when the stream is dropped.
pub(crate) struct SessionKeeper {
    cache: Arc<dyn ClientSessionCache>,
    key: Arc<SessionKey>,
    context: Arc<ConnectionContext>,
    /// Never locked: the mutex makes the stream `Sync`, which a future alone is not.
    putting: Mutex<Option<Putting>>,
}

type Putting = Pin<Box<dyn Future<Output = ()> + Send>>;

impl SessionKeeper {
    /// `None` where the configuration has no cache.
    pub(crate) fn new(
        config: &ClientConfig,
        server_name: &ServerName<'static>,
        context: &ConnectionContext,
    ) -> Option<Box<Self>> {
        let cache = Arc::clone(config.sessions()?);
        let key = Arc::new(config.session_key(server_name));
        Some(Box::new(Self {
            cache,
            key,
            context: Arc::new(context.clone()),
            putting: Mutex::new(None),
        }))
    }

    /// Goes on with what there is to keep; reading does not wait for it.
    pub(crate) fn poll(&mut self, reader: &mut Reader, cx: &mut Context<'_>) {
        let slot = self.putting.get_mut().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(putting) = slot {
                match putting.as_mut().poll(cx) {
                    Poll::Ready(()) => *slot = None,
                    Poll::Pending => return,
                }
            }
            let Some(session) = reader.take_session() else {
                return;
            };
            *slot = Some(Box::pin(put(
                Arc::clone(&self.cache),
                Arc::clone(&self.key),
                session,
                Arc::clone(&self.context),
            )));
        }
    }
}

async fn put(
    cache: Arc<dyn ClientSessionCache>,
    key: Arc<SessionKey>,
    session: ClientSession,
    context: Arc<ConnectionContext>,
) {
    let result = match cache.put(&key, session, &context) {
        Answer::Now(result) => result,
        Answer::Later(future) => future.await,
    };
    if let Err(error) = result {
        tracing::debug!(%error, "the session cache did not take a session");
    }
}
