//! Application data through Tokio over TCP on 127.0.0.1, both ends in one thread.
//!
//! One thread, so that its CPU time is all there is: both ends and the kernel. Wall time beside it shows what
//! waiting costs.

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

use crate::aead::BareAead;
use crate::clock::Moment;
use crate::identity::Identity;
use crate::rounds::{Effort, Row, Sampler, Unit, Work};
use crate::stack::{Group, Setup, Stack, Suite, Version};

/// Writes of one size, first to the server and then to the client.
pub struct Transfer {
    /// Bytes per write.
    pub write: usize,
}

/// Messages of 100 bytes to the server and back.
pub struct PingPong;

/// Bytes per direction and sample.
const TRANSFER_SAMPLE: usize = 16 << 20;
const ROUND_TRIPS: usize = 500;
const PING: usize = 100;

impl Transfer {
    fn writes(&self, effort: Effort) -> usize {
        effort.repeat(TRANSFER_SAMPLE / self.write)
    }

    fn sampler<C: Stream, S: Stream>(&self, pair: Pair<C, S>, effort: Effort, tls: bool) -> Sampler {
        let Pair {
            runtime,
            mut client,
            mut server,
        } = pair;
        let writes = self.writes(effort);
        let write = self.write;
        let plaintext = vec![0x5a; write];
        let mut buffer = vec![0; write.clamp(4 * 1024, 64 * 1024)];
        // Plain TCP pays for the AEAD here, to be the floor.
        let mut aead = (!tls).then(|| BareAead::new(Suite::Aes128Gcm, write));
        Box::new(move || {
            let up = Moment::now();
            runtime.block_on(transfer(
                &mut client,
                &mut server,
                &plaintext,
                writes,
                &mut buffer,
            ));
            cipher(&mut aead, writes);
            let up = up.elapsed();
            let down = Moment::now();
            runtime.block_on(transfer(
                &mut server,
                &mut client,
                &plaintext,
                writes,
                &mut buffer,
            ));
            cipher(&mut aead, writes);
            let down = down.elapsed();
            [up.1, up.0, down.1, down.0]
                .map(|cost| cost / writes as f64)
                .to_vec()
        })
    }
}

impl Work for Transfer {
    fn rows(&self) -> Vec<Row> {
        let label = |way: &str| {
            let work = format!("loopback {} KiB writes, Aes128Gcm, {way}", self.write / 1024);
            Row::new(work, Unit::BytesPer(self.write))
        };
        [
            "to server, CPU",
            "to server, wall",
            "to client, CPU",
            "to client, wall",
        ]
        .map(label)
        .to_vec()
    }

    fn setup<'a>(&self, identity: &'a Identity) -> Setup<'a> {
        setup(identity)
    }

    fn prepare<S: Stack>(&self, stack: S, effort: Effort) -> Sampler {
        self.sampler(Pair::tls(&stack), effort, true)
    }

    fn floor(&self, effort: Effort) -> Option<Sampler> {
        Some(self.sampler(Pair::plain(), effort, false))
    }
}

impl PingPong {
    fn sampler<C: Stream, S: Stream>(pair: Pair<C, S>, effort: Effort, tls: bool) -> Sampler {
        let Pair {
            runtime,
            mut client,
            mut server,
        } = pair;
        let trips = effort.repeat(ROUND_TRIPS);
        let mut aead = (!tls).then(|| BareAead::new(Suite::Aes128Gcm, PING));
        Box::new(move || {
            let start = Moment::now();
            runtime.block_on(async {
                tokio::join!(ping(&mut client, trips), pong(&mut server, trips));
            });
            cipher(&mut aead, 2 * trips);
            let (wall, cpu) = start.elapsed();
            vec![cpu / trips as f64, wall / trips as f64]
        })
    }
}

impl Work for PingPong {
    fn rows(&self) -> Vec<Row> {
        ["CPU", "wall"]
            .map(|clock| {
                Row::new(
                    format!("loopback {PING} B there and back, {clock}"),
                    Unit::Microseconds,
                )
            })
            .to_vec()
    }

    fn setup<'a>(&self, identity: &'a Identity) -> Setup<'a> {
        setup(identity)
    }

    fn prepare<S: Stack>(&self, stack: S, effort: Effort) -> Sampler {
        Self::sampler(Pair::tls(&stack), effort, true)
    }

    fn floor(&self, effort: Effort) -> Option<Sampler> {
        Some(Self::sampler(Pair::plain(), effort, false))
    }
}

fn setup(identity: &Identity) -> Setup<'_> {
    Setup {
        identity,
        version: Version::Tls13,
        suite: Suite::Aes128Gcm,
        groups: &[Group::X25519],
        tickets: false,
        resumption: None,
    }
}

/// Anything that bytes go through.
trait Stream: AsyncRead + AsyncWrite + Unpin + 'static {}
impl<T: AsyncRead + AsyncWrite + Unpin + 'static> Stream for T {}

struct Pair<C, S> {
    // The streams are dropped while their runtime still exists.
    client: C,
    server: S,
    runtime: Runtime,
}

impl<C, S> Pair<C, S> {
    fn tls<T: Stack<ClientStream = C, ServerStream = S>>(stack: &T) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let (client, server) = runtime.block_on(async {
            let (client, server) = tcp_pair().await;
            tokio::join!(stack.connect(client), stack.accept(server))
        });
        Self {
            client,
            server,
            runtime,
        }
    }
}

impl Pair<TcpStream, TcpStream> {
    fn plain() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let (client, server) = runtime.block_on(tcp_pair());
        Self {
            client,
            server,
            runtime,
        }
    }
}

/// Two ends of a connection on 127.0.0.1.
pub(crate) async fn tcp_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (client, server) = tokio::join!(TcpStream::connect(address), listener.accept());
    let (client, server) = (client.unwrap(), server.unwrap().0);
    client.set_nodelay(true).unwrap();
    server.set_nodelay(true).unwrap();
    (client, server)
}

async fn transfer(
    from: &mut impl Stream,
    to: &mut impl Stream,
    plaintext: &[u8],
    writes: usize,
    buffer: &mut [u8],
) {
    let send = async {
        for _ in 0..writes {
            from.write_all(plaintext).await.unwrap();
        }
        from.flush().await.unwrap();
    };
    let receive = async {
        let mut left = writes * plaintext.len();
        while left > 0 {
            let read = to.read(buffer).await.unwrap();
            assert_ne!(read, 0, "the stream ended");
            left -= read;
        }
    };
    tokio::join!(send, receive);
}

/// Sends a message and waits for it to come back, so many times.
pub(crate) async fn ping(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), trips: usize) {
    let mut message = [0x5a; PING];
    for _ in 0..trips {
        stream.write_all(&message).await.unwrap();
        stream.flush().await.unwrap();
        stream.read_exact(&mut message).await.unwrap();
    }
}

/// Sends back each message, so many times.
pub(crate) async fn pong(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), trips: usize) {
    let mut message = [0; PING];
    for _ in 0..trips {
        stream.read_exact(&mut message).await.unwrap();
        stream.write_all(&message).await.unwrap();
        stream.flush().await.unwrap();
    }
}

fn cipher(aead: &mut Option<BareAead>, writes: usize) {
    for aead in aead.iter_mut() {
        for _ in 0..writes {
            aead.seal();
            aead.open();
        }
    }
}
