//! The service of one connection: requests learn whose they are, and a client of HTTP/1 that the connection ends.

use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, ready};

use http::HeaderValue;
use http::header::CONNECTION;
use hyper::body::Incoming;
use hyper::service::Service;
use hyper::{Request, Response};
use pin_project_lite::pin_project;
use tokio_util::sync::CancellationToken;

use super::info::TlsConnectInfo;

/// The user's service on one connection.
pub(super) struct OnConnection<S, A> {
    pub(super) service: S,
    pub(super) client: TlsConnectInfo<A>,
    /// With HTTP/1: once this is cancelled, the response in hand is the last one.
    pub(super) draining: Option<CancellationToken>,
}

impl<S, A, B> Service<Request<Incoming>> for OnConnection<S, A>
where
    S: Service<Request<Incoming>, Response = Response<B>>,
    A: Clone + Send + Sync + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Responding<S::Future>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        request.extensions_mut().insert(self.client.clone());
        Responding {
            future: self.service.call(request),
            draining: self.draining.clone(),
        }
    }
}

pin_project! {
    /// A response on its way.
    pub(super) struct Responding<F> {
        #[pin]
        future: F,
        draining: Option<CancellationToken>,
    }
}

impl<F: Future<Output = Result<Response<B>, E>>, B, E> Future for Responding<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let mut response = ready!(this.future.poll(cx))?;
        let is_last = this
            .draining
            .as_ref()
            .is_some_and(CancellationToken::is_cancelled);
        // (An upgrade has its own word there.)
        if is_last && !response.status().is_informational() {
            // hyper closes the connection behind it.
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(CONNECTION, close);
        }
        Poll::Ready(Ok(response))
    }
}
