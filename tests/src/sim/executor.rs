//! Polls tasks in an order of the seed's choosing, and makes the transport's wakeups in another.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use tokio::time::sleep;

use super::net::NetHandle;
use super::rng::Rng;

/// Every side has given up long before.
const LIMIT: Duration = Duration::from_secs(1000);

/// Polls and wakeups of one run: the longest ones need some 100,000.
const MAX_STEPS: u64 = 5_000_000;

type Task = Pin<Box<dyn Future<Output = ()>>>;

/// Where tasks can start others.
#[derive(Clone, Default)]
pub(super) struct Spawner(Rc<RefCell<Vec<Task>>>);

impl Spawner {
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        self.0.borrow_mut().push(Box::pin(task));
    }
}

#[derive(Default)]
struct Ready {
    tasks: Mutex<Vec<usize>>,
    executor: Mutex<Option<Waker>>,
}

struct TaskWaker {
    task: usize,
    ready: Arc<Ready>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let mut tasks = self.ready.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        if !tasks.contains(&self.task) {
            tasks.push(self.task);
        }
        drop(tasks);
        let executor = self.ready.executor.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(waker) = &*executor {
            waker.wake_by_ref();
        }
    }
}

struct Executor {
    spawner: Spawner,
    tasks: Vec<Option<(Task, Waker)>>,
    ready: Arc<Ready>,
    net: NetHandle,
    order: Rng,
    spurious: bool,
    steps: u64,
}

/// Runs all tasks to their ends, on a Tokio runtime whose time is paused.
///
/// # Errors
/// What hangs: nothing happens any more, or the same for ever.
pub(super) async fn run(spawner: Spawner, net: NetHandle, seed: u64, spurious: bool) -> Result<(), String> {
    let mut executor = Executor {
        spawner,
        tasks: Vec::new(),
        ready: Arc::default(),
        net,
        order: Rng::new(seed, 3),
        spurious,
        steps: 0,
    };
    // With it there is always a timer that ends the wait.
    let mut limit = Box::pin(sleep(LIMIT));
    poll_fn(|cx| {
        if let Poll::Ready(end) = executor.poll(cx) {
            return Poll::Ready(end);
        }
        limit.as_mut().poll(cx).map(|()| {
            Err(format!(
                "a hang: nothing has happened for long ({} tasks)",
                executor.alive().len()
            ))
        })
    })
    .await
}

impl Executor {
    fn alive(&self) -> Vec<usize> {
        (0..self.tasks.len())
            .filter(|&task| self.tasks[task].is_some())
            .collect()
    }

    fn poll(&mut self, cx: &Context<'_>) -> Poll<Result<(), String>> {
        *self.ready.executor.lock().expect("no panic") = Some(cx.waker().clone());
        loop {
            self.adopt();
            self.steps += 1;
            if self.steps > MAX_STEPS {
                return Poll::Ready(Err("a hang: tasks run without an end".to_owned()));
            }
            if self.spurious && self.order.chance(20) {
                let alive = self.alive();
                if !alive.is_empty() {
                    let task = self.order.pick(&alive);
                    self.poll_task(task);
                }
            }
            let ready = self.ready.tasks.lock().expect("no panic").len();
            let due = self.net.due();
            if ready + due == 0 {
                return if self.alive().is_empty() {
                    Poll::Ready(Ok(()))
                } else {
                    Poll::Pending
                };
            }
            let choice = self.order.below(ready + due);
            if let Some(wakeup) = choice.checked_sub(ready) {
                self.net.wake(wakeup);
            } else {
                let task = self.ready.tasks.lock().expect("no panic").swap_remove(choice);
                self.poll_task(task);
            }
        }
    }

    /// Takes tasks that were started.
    fn adopt(&mut self) {
        for task in self.spawner.0.borrow_mut().drain(..) {
            let waker = Waker::from(Arc::new(TaskWaker {
                task: self.tasks.len(),
                ready: Arc::clone(&self.ready),
            }));
            waker.wake_by_ref();
            self.tasks.push(Some((task, waker)));
        }
    }

    fn poll_task(&mut self, task: usize) {
        let Some((future, waker)) = &mut self.tasks[task] else {
            return;
        };
        if future.as_mut().poll(&mut Context::from_waker(waker)).is_ready() {
            self.tasks[task] = None;
        }
    }
}
