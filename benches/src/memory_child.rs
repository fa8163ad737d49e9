//! Runs in the process that counts: allocations of handshakes, memory of idle connections.
//!
//! Two counters: what goes through Rust's allocator (`stats_alloc`), and every `malloc` of the process, C included
//! (`malloc_counter.c`, if it could be built and loaded). A reallocation counts as an allocation in both.

use std::alloc::System;
use std::fs::File;
use std::io::Read;

use stats_alloc::StatsAlloc;

use crate::identity::{Identity, KeyKind};
use crate::loopback::{ping, pong, tcp_pair};
use crate::memory::{COUNTERS, Question};
use crate::ours::Ours;
use crate::resumed::ResumedHandshake;
use crate::rustls_stack::Rustls;
use crate::stack::{
    ClientConnection, Connection, Group, Meter, NoMeter, Resumption, ServerConnection, Setup, Stack, Suite,
    Version, handshake,
};

/// Answers the question in the arguments with numbers on one line: see [`Question`].
pub fn main(rust: &'static StatsAlloc<System>) {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let question = Question::parse(&arguments).expect("run by tls-benches");
    let counters = Counters {
        rust,
        all: std::env::var_os(COUNTERS).map(|path| path.into_string().unwrap()),
    };
    let answer = if question.ours {
        answer::<Ours>(&question, &counters)
    } else {
        answer::<Rustls>(&question, &counters)
    };
    if let Some(numbers) = answer {
        println!("{}", numbers.map(|number| number.to_string()).join(" "));
    }
}

fn answer<S: Stack>(question: &Question, counters: &Counters) -> Option<[f64; 6]> {
    let identity = Identity::generate(KeyKind::EcdsaP256);
    let group = if question.hybrid {
        Group::X25519MlKem768
    } else {
        Group::X25519
    };
    let full = Setup {
        identity: &identity,
        version: if question.tls12 {
            Version::Tls12
        } else {
            Version::Tls13
        },
        suite: Suite::Aes128Gcm,
        groups: &[group],
        tickets: false,
        resumption: None,
    };
    let setup = if question.resumed {
        ResumedHandshake::setup_of(Resumption::Tickets(1), &identity)
    } else {
        full
    };
    let stack = S::new(&setup)?;
    // What is made once for all connections is not theirs.
    for _ in 0..4 {
        exchange::<S>(&mut handshake(&stack, &mut NoMeter));
    }
    Some(if question.idle {
        idle(&stack, question, counters)
    } else {
        allocations(&stack, question, counters)
    })
}

/// Per handshake: allocations of the client (Rust's, all), of the server (same), and their bytes in Rust.
fn allocations<S: Stack>(stack: &S, question: &Question, counters: &Counters) -> [f64; 6] {
    let mut meter = AllocationMeter {
        counters,
        client: Count::default(),
        server: Count::default(),
    };
    for _ in 0..question.connections {
        let (client, server) = handshake(stack, &mut meter);
        assert!(client.is_resumed() == question.resumed && server.is_resumed() == question.resumed);
        meter.client(|| drop(client));
        meter.server(|| drop(server));
    }
    let AllocationMeter { client, server, .. } = meter;
    [
        client.rust_allocations,
        client.all_allocations,
        server.rust_allocations,
        server.all_allocations,
        client.rust_bytes,
        server.rust_bytes,
    ]
    .map(|total| total / question.connections as f64)
}

/// Per connection that only one side is kept of: bytes held in Rust, all, and growth of the resident set.
fn idle<S: Stack>(stack: &S, question: &Question, counters: &Counters) -> [f64; 6] {
    let count = question.connections;
    let grown = match (question.stream, question.server) {
        (false, false) => held(counters, count, || one::<S>(stack).0),
        (false, true) => held(counters, count, || one::<S>(stack).1),
        (true, server) => {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            // The first one also registers things with the runtime that stay.
            drop(runtime.block_on(one_stream(stack)));
            if server {
                held(counters, count, || runtime.block_on(one_stream(stack)).1)
            } else {
                held(counters, count, || runtime.block_on(one_stream(stack)).0)
            }
        }
    };
    let [rust, all, rss] = grown.map(|total| total / count as f64);
    [rust, all, rss, 0.0, 0.0, 0.0]
}

/// Grows by `count` connections. Their own size counts: they have to live somewhere.
fn held<T>(counters: &Counters, count: usize, one: impl FnMut() -> T) -> [f64; 3] {
    let (rss, before) = (resident(), counters.now());
    let mut kept = Vec::with_capacity(count);
    kept.extend(std::iter::repeat_with(one).take(count));
    let grown = counters.now().since(&before);
    let rss = resident() - rss;
    drop(kept);
    [grown.rust_live, grown.all_live, rss]
}

/// Streams over TCP after their handshake and one short message each way.
async fn one_stream<S: Stack>(stack: &S) -> (S::ClientStream, S::ServerStream) {
    let (client, server) = tcp_pair().await;
    let (mut client, mut server) = tokio::join!(stack.connect(client), stack.accept(server));
    tokio::join!(ping(&mut client, 1), pong(&mut server, 1));
    (client, server)
}

/// A connection after its handshake and one short message each way.
fn one<S: Stack>(stack: &S) -> (ClientConnection<S>, ServerConnection<S>) {
    let mut pair = handshake(stack, &mut NoMeter);
    exchange::<S>(&mut pair);
    pair
}

fn exchange<S: Stack>((client, server): &mut (ClientConnection<S>, ServerConnection<S>)) {
    let mut buffer = [0; 1024];
    let mut wire = Vec::new();
    client.send(&[1; 100], &mut wire);
    assert_eq!(server.receive(&wire, &mut buffer), 100);
    wire.clear();
    server.send(&[2; 100], &mut wire);
    assert_eq!(client.receive(&wire, &mut buffer), 100);
}

struct Counters {
    rust: &'static StatsAlloc<System>,
    all: Option<String>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Count {
    rust_allocations: f64,
    rust_bytes: f64,
    rust_live: f64,
    all_allocations: f64,
    all_live: f64,
}

impl Counters {
    fn now(&self) -> Count {
        let rust = self.rust.stats();
        let mut count = Count {
            rust_allocations: (rust.allocations + rust.reallocations) as f64,
            rust_bytes: rust.bytes_allocated as f64,
            rust_live: rust.bytes_allocated as f64 - rust.bytes_deallocated as f64,
            all_allocations: f64::NAN,
            all_live: f64::NAN,
        };
        if let Some(path) = &self.all {
            // The file is mapped by the preloaded counter; two native-endian words.
            let (mut allocations, mut live) = ([0; 8], [0; 8]);
            let mut file = File::open(path).unwrap();
            file.read_exact(&mut allocations).unwrap();
            file.read_exact(&mut live).unwrap();
            count.all_allocations = u64::from_ne_bytes(allocations) as f64;
            count.all_live = i64::from_ne_bytes(live) as f64;
        }
        count
    }
}

impl Count {
    fn since(&self, before: &Self) -> Self {
        Self {
            rust_allocations: self.rust_allocations - before.rust_allocations,
            rust_bytes: self.rust_bytes - before.rust_bytes,
            rust_live: self.rust_live - before.rust_live,
            all_allocations: self.all_allocations - before.all_allocations,
            all_live: self.all_live - before.all_live,
        }
    }

    fn add(&mut self, other: &Self) {
        self.rust_allocations += other.rust_allocations;
        self.rust_bytes += other.rust_bytes;
        self.all_allocations += other.all_allocations;
    }
}

struct AllocationMeter<'a> {
    counters: &'a Counters,
    client: Count,
    server: Count,
}

impl Meter for AllocationMeter<'_> {
    fn client<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let before = self.counters.now();
        let result = work();
        self.client.add(&self.counters.now().since(&before));
        result
    }

    fn server<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let before = self.counters.now();
        let result = work();
        self.server.add(&self.counters.now().since(&before));
        result
    }
}

/// Bytes of this process in memory (Linux; 0 elsewhere).
fn resident() -> f64 {
    const PAGE: f64 = 4096.0;
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse::<f64>().ok())
        .unwrap_or(0.0)
        * PAGE
}
