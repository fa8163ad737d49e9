//! What is under way on a connection of HTTP/1, up to the end of each response.

use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;

use hyper::body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::sync::watch;
use tokio::time::timeout;

/// Counts the requests that are not answered to the end.
#[derive(Clone)]
pub(super) struct Activity(watch::Sender<usize>);

impl Activity {
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(0))
    }

    pub(super) fn begin(&self) -> UnderWay {
        self.0.send_modify(|count| *count = count.saturating_add(1));
        UnderWay(self.clone())
    }

    /// Waits until nothing has been under way for so long.
    pub(super) async fn idle_for(&self, time: Duration) {
        let mut count = self.0.subscribe();
        loop {
            // (There is a sender: this one.)
            let _ = count.wait_for(|count| *count == 0).await;
            if timeout(time, count.wait_for(|count| *count > 0)).await.is_err() {
                return;
            }
        }
    }
}

/// A request that is under way until this is dropped.
pub(super) struct UnderWay(Activity);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.0.send_modify(|count| *count = count.saturating_sub(1));
    }
}

pin_project! {
    /// The body of a response, which is under way as long as there is this.
    pub(super) struct Responded<B> {
        #[pin]
        pub(super) body: B,
        pub(super) under_way: Option<UnderWay>,
    }
}

impl<B: Body> Body for Responded<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        self.project().body.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn it_is_idle_when_nothing_has_been_under_way_for_the_time() {
        let (activity, start) = (Activity::new(), tokio::time::Instant::now());
        activity.idle_for(TIME).await;
        assert_eq!(start.elapsed(), TIME);

        let (first, second) = (activity.begin(), activity.begin());
        let idle = tokio::spawn({
            let activity = activity.clone();
            async move { activity.idle_for(TIME).await }
        });
        tokio::time::sleep(TIME * 10).await;
        drop(first);
        tokio::time::sleep(TIME * 10).await;
        drop(second);
        tokio::time::sleep(TIME / 2).await;
        let third = activity.begin();
        tokio::time::sleep(TIME * 10).await;
        assert!(!idle.is_finished());
        drop(third);
        let dropped = tokio::time::Instant::now();
        idle.await.unwrap();
        assert_eq!(dropped.elapsed(), TIME);
    }
}
