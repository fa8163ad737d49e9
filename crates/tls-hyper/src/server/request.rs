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

use super::activity::{Activity, Responded, UnderWay};
use super::info::TlsConnectInfo;

/// The user's service on one connection.
pub(super) struct OnConnection<S, A> {
    pub(super) service: S,
    pub(super) client: TlsConnectInfo<A>,
    /// With HTTP/1: what is under way; and once the token is cancelled, the response in hand is the last one.
    pub(super) ending: Option<(Activity, CancellationToken)>,
}

impl<S, A, B> Service<Request<Incoming>> for OnConnection<S, A>
where
    S: Service<Request<Incoming>, Response = Response<B>>,
    A: Clone + Send + Sync + 'static,
{
    type Response = Response<Responded<B>>;
    type Error = S::Error;
    type Future = Responding<S::Future>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        request.extensions_mut().insert(self.client.clone());
        let (under_way, draining) = match &self.ending {
            Some((activity, draining)) => (Some(activity.begin()), Some(draining.clone())),
            None => (None, None),
        };
        Responding {
            future: self.service.call(request),
            under_way,
            draining,
        }
    }
}

pin_project! {
    /// A response on its way.
    pub(super) struct Responding<F> {
        #[pin]
        future: F,
        under_way: Option<UnderWay>,
        draining: Option<CancellationToken>,
    }
}

impl<F: Future<Output = Result<Response<B>, E>>, B, E> Future for Responding<F> {
    type Output = Result<Response<Responded<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
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
        let under_way = this.under_way.take();
        Poll::Ready(Ok(response.map(|body| Responded { body, under_way })))
    }
}
